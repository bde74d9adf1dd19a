"""Losses and heads of the systems of docs/systems.md against their official code (float64)."""

import numpy as np
import pytest
import torch
from parity_files import CLOSE, encoding, order, read, renamed, weights

from backbones.docunet import DocuNet
from backbones.dreeam import Dreeam
from backbones.gain import Gain
from backbones.jerex import Jerex
from backbones.parts.losses import balanced, none_class_ranking
from backbones.parts.structure import EntityStructure, structure_kinds
from backbones.parts.unet import UNet
from backbones.pemscl import Pemscl
from backbones.rsman import Rsman
from backbones.ssan import Ssan
from benchmark.data.pairs import Pairs
from benchmark.registry import BACKBONES, ENCODERS


@pytest.fixture(autouse=True)
def float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def close(found, expected, **tolerance):
    np.testing.assert_allclose(found.detach().numpy(), expected, **{**CLOSE, **tolerance})


@pytest.mark.parametrize(
    ("name", "loss", "tolerance"),
    [
        ("loss_balanced", lambda a, x, y: balanced(x, y).mean(), 1e-9),
        # the official code computes in float32
        ("loss_ncrl_0", lambda a, x, y: none_class_ranking(x, y, margin=0).mean(), 1e-6),
        ("loss_ncrl_5", lambda a, x, y: none_class_ranking(x, y, margin=0.05).mean(), 1e-6),
    ],
)
def test_losses(name, loss, tolerance):
    arrays = read(name)
    logits = torch.from_numpy(arrays["logits"]).requires_grad_()
    found = loss(arrays, logits, torch.from_numpy(arrays["labels"]))
    found.backward()
    close(found, arrays["loss"], rtol=tolerance)
    close(logits.grad, arrays["grad"], rtol=tolerance, atol=tolerance)


def test_pemscl_contrast():
    """Every anchor of the file has a positive: without them the official code takes the mean of
    another shape.
    """
    arrays = read("loss_pemscl")
    features = torch.from_numpy(arrays["features"]).requires_grad_()
    backbone = Pemscl(
        4,
        arrays["labels"].shape[1],
        emb=features.shape[1] // 2,
        block=int(arrays["block"]),
        temperature=float(arrays["tau"]),
        base_temperature=float(arrays["tau_base"]),
    )
    found = backbone.auxiliary_loss(Pairs(features, torch.from_numpy(arrays["labels"])), None, None)
    found.backward()
    close(found, arrays["loss"])
    close(features.grad, arrays["grad"])


def unet_names(ours="", official=""):
    """{our prefix: official prefix} of DocuNet's U-Net."""
    names = {f"{ours}leave.": f"{official}outc.conv."}
    blocks = {"enter": "inc.conv"}
    blocks |= {f"down.{i}": f"down{i + 1}.maxpool_conv.1" for i in (0, 1)}
    blocks |= {f"up.{i}": f"up{i + 1}.conv" for i in (0, 1)}
    for block, theirs in blocks.items():
        for layer, number in (("convolutions", 0), ("norms", 1)):
            for i in (0, 1):
                place = f"{official}{theirs}.double_conv.{3 * i + number}."
                names[f"{ours}{block}.{layer}.{i}."] = place
    return names


@pytest.mark.parametrize("masked", [False, True])
def test_unet(masked):
    arrays = read("unet")
    table = torch.from_numpy(arrays["input"])
    net = UNet(3, 8, 16).eval()
    renamed(net, weights(arrays), unet_names())
    found = net(table, torch.ones(2, 1, 42, 42) if masked else None)
    down, across = arrays["step"]
    close(found.permute(0, 2, 3, 1)[:, ::down, ::across], arrays["output"])


@pytest.mark.parametrize(
    ("name", "pad"),
    [("head_docunet", "masked"), ("head_docunet", "last_entity")]
    + [("head_docunet_padded", "last_entity")],
)
def test_docunet(name, pad):
    arrays = read(name)
    batch, encoded = encoding(arrays)
    model = DocuNet(32, 12, emb=16, block=8, unet=8, out=16, pad=pad).eval()
    names = {"features.head.": "head_extractor.", "features.tail.": "tail_extractor."}
    names |= {"bilinear.linear.": "bilinear.", "squeeze.": "liner."}
    renamed(model, weights(arrays), names | unet_names("unet.", "segmentation_net."))
    logits = model.classify(model.represent(encoded, batch))[order(batch, arrays)]
    close(logits, arrays["logits"])
    loss = model.pair_loss(logits, torch.from_numpy(arrays["labels"]).double()).mean()
    close(loss, arrays["loss"], rtol=1e-6)  # the official code returns it in float32
    facts, _ = model.predict(logits, max_labels=4)
    assert facts.tolist() == np.argwhere(arrays["predictions"] * (np.arange(12) > 0)).tolist()


ATLOP = {"features.head.": "head_extractor.", "features.tail.": "tail_extractor."}
ATLOP |= {"bilinear.linear.": "bilinear."}


def test_dreeam():
    arrays = read("head_dreeam")
    batch, encoded = encoding(arrays, Dreeam.needs)
    model = Dreeam(32, 12, emb=16, block=8, evidence_weight=1)
    renamed(model, weights(arrays), ATLOP)
    numbers = order(batch, arrays)
    x = model.represent(encoded, batch)
    logits = model.classify(x)[numbers]
    close(logits, arrays["logits"])
    labels = torch.from_numpy(arrays["labels"]).double()
    close(model.pair_loss(logits, labels).mean(), arrays["loss"], rtol=1e-6)  # float32 inside
    expected = arrays["sentence_attention"]
    pair, sentence = (torch.from_numpy(n) for n in np.nonzero(np.ones_like(expected)))
    found = model.sentence_attention(encoded, batch, torch.tensor(numbers)[pair], sentence)
    close(found.view(expected.shape), expected)
    batch.positive = torch.tensor(numbers)[labels[:, 0] == 0]
    close(model.auxiliary_loss(None, encoded, batch), arrays["evidence_loss"], rtol=1e-8)


RECURRENT = {
    "start.0": "rnn.init_hidden.0",
    "start.1": "rnn.init_c.0",
    "lstm.": "rnn.rnns.0.",
    "leave.": "linear_re.",
}
CONVOLUTIONS = {f"convolutions.{i}.": f"cnn_{i + 1}." for i in range(3)}
WORD_LEVEL = {
    "cnn": ("bilinear", CONVOLUTIONS),
    "lstm": ("bilinear", RECURRENT),
    "bilstm": ("bilinear", RECURRENT),
    "context": ("context_aware", RECURRENT),
}


@pytest.mark.parametrize("name", WORD_LEVEL)
def test_word_level(name):
    """Encoder and head."""
    arrays = read(f"head_{name}")
    theirs, (head, names) = weights(arrays), WORD_LEVEL[name]
    words, classes = [str(i) for i in range(30)], arrays["logits"].shape[1]
    kind = ENCODERS["bilstm" if name == "context" else name]
    encoder = kind([words], word_width=8, width=16).eval()
    renamed(encoder, theirs, names, strict=False)
    tables = {
        "embeddings": theirs["word_emb.weight"],
        "tags.entity": theirs.get("coref_embed.weight", theirs.get("entity_embed.weight")),
        "tags.kind": theirs["ner_emb.weight"],
    }
    encoder.embeddings.weight.data[-30:] = tables["embeddings"]
    for table in ("entity", "kind"):
        rows = tables[f"tags.{table}"]
        getattr(encoder.tags, table).weight.data[: len(rows)] = rows
    tokens = [encoder.tokenizer(str(word))[0] for word in arrays["words"]]
    batch, _ = encoding(arrays | {"tokens": tokens}, encoder.needs)
    options = {"emb": 16} if head == "context_aware" else {}
    model = BACKBONES[head](16, classes, **options)
    linear = {"bilinear.linear.": "bili.", "pairs.distance.": "dis_embed."}
    if head == "context_aware":
        linear |= {"classifier.": "linear_output.", "scale": "self_att.dot_scale"}
    theirs["bili.weight"] = theirs["bili.weight"].flatten(1)
    renamed(model, theirs, linear, strict=False)
    logits = model.classify(model.represent(encoder(batch), batch))
    close(logits[order(batch, arrays)], arrays["logits"])


def test_gain():
    arrays = read("head_gain")
    batch, encoded = encoding(arrays, Gain.needs)
    model, theirs = Gain(8, 5).eval(), weights(arrays)
    names = {"edge.": "edge_layer.mapping.", "path.": "path_info_mapping."}
    names |= {"hidden.": "predict.0.", "classifier.": "predict.3."}
    for i in (0, 1):
        official = {"kinds": "weight", "itself": "loop_weight", "bias": "h_bias"}
        names |= {f"convolutions.{i}.{a}": f"GCN_layers.{i}.{b}" for a, b in official.items()}
    renamed(model, theirs, names, strict=False)
    with torch.no_grad():
        model.document.weight.copy_(torch.eye(8))  # the file's document is tanh of the first state
        model.document.bias.zero_()
        for ours, name in (
            (model.tags.entity, "entity_id_emb"),
            (model.tags.kind, "entity_type_emb"),
        ):
            table = theirs[f"{name}.weight"]
            ours.weight[: len(table)] = table
    logits = model.classify(model.represent(encoded, batch))
    close(logits[order(batch, arrays)], arrays["logits"])


@pytest.mark.parametrize("structure", ["biaffine", "decomp"])
def test_structured_attention(structure):
    arrays = read("ssan_attention")
    entity, sentence = (torch.from_numpy(arrays[name])[None] for name in ("entity", "sentence"))
    kinds = structure_kinds(entity, sentence)
    real = arrays["sentence"] >= 0
    assert (kinds[0].numpy() == np.where(real, arrays["kinds"], 5)).all()
    added = EntityStructure(1, 3, 4, structure, 12)
    added.kinds = kinds
    given = {
        name.removeprefix(f"{structure}."): torch.from_numpy(value)
        for name, value in arrays.items()
    }
    added.layers[0].load_state_dict({n: given[n] for n in added.layers[0].state_dict()})
    mask = (torch.arange(24) < 22).expand(1, 1, 24, 24)
    found = added.attend(0, *(given[name] for name in ("query", "key", "value")), mask, 0.0)
    close(found.flatten(2)[:, :22], arrays[f"{structure}.context"])


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (Ssan, {"pairs.distance.": "distance_emb.", "bilinear.linear.": "bili."}),
        (
            Rsman,
            {"attention.": "attention_weight.", "relations": "attention_net"}
            | {"bilinear": "classifier", "bias": "classifier_bais"},
        ),
    ],
)
def test_ssan_and_rsman(kind, names):
    arrays = read(f"head_{kind.__name__.lower()}")
    batch, encoded = encoding(arrays, kind.needs)
    model = kind(10, 6, **{"emb": 8} | ({"attention": 12} if kind is Rsman else {})).eval()
    theirs = weights(arrays)
    if kind is Ssan:
        theirs["bili.weight"] = theirs["bili.weight"].flatten(1)
    renamed(model, theirs, {"reduce.": "dim_reduction."} | names, strict=False)
    logits = model.classify(model.represent(encoded, batch))
    close(logits[order(batch, arrays)], arrays["logits"])


def test_jerex():
    arrays = read("head_jerex")
    batch, encoded = encoding(arrays, Jerex.needs)
    model, theirs = Jerex(8, 6).eval(), weights(arrays)
    renamed(model, theirs, {"mention_pair.": "pair_linear.", "pair.": "rel_linear."}, strict=False)
    with torch.no_grad():
        for ours, name in (
            (model.distance.weight, "token_distance_embeddings.weight"),
            (model.sentences.weight, "sentence_distance_embeddings.weight"),
            (model.kind.weight, "entity_type_embeddings.weight"),
        ):
            ours[: len(theirs[name])] = theirs[name]
        model.classifier.weight[1:] = theirs["rel_classifier.weight"]
        model.classifier.bias[1:] = theirs["rel_classifier.bias"]
    logits = model.classify(model.represent(encoded, batch))[order(batch, arrays)]
    close(logits[:, 1:], arrays["logits"])
    facts, _ = model.predict(logits, max_labels=6)
    assert facts.tolist() == [[p, r] for p, r in (logits.sigmoid() > 0.6).nonzero().tolist() if r]
