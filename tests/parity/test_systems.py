"""Representations, logits, losses and predictions of the systems of docs/systems.md against their
official code, at fixed random weights (float64).
"""

import numpy as np
import pytest
import torch
from parity_files import CLOSE, encoding, order, read, renamed, weights

from backbones.correl import Correl
from backbones.docunet import DocuNet
from backbones.dreeam import Dreeam
from backbones.parts.structure import EntityStructure, structure_kinds
from backbones.parts.unet import UNet
from benchmark.data.pairs import Pairs
from benchmark.registry import BACKBONES, ENCODERS


@pytest.fixture(autouse=True)
def float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def close(found, expected, **tolerance):
    np.testing.assert_allclose(found.detach().numpy(), expected, **{**CLOSE, **tolerance})


def check_loss_and_predictions(model, logits, arrays, more=0.0):
    """The official code returns its loss in float32; test_losses.py compares losses at 1e-9."""
    labels = torch.from_numpy(arrays["labels"]).double()
    close(model.pair_loss(logits, labels).mean() + more, arrays["loss"], rtol=1e-7)
    if "predictions" in arrays:
        facts, margins = model.predict(logits, max_labels=4)
        relations = arrays["predictions"] * (np.arange(logits.shape[1]) > 0)
        assert facts.tolist() == np.argwhere(relations).tolist() and (margins > 0).all()


def with_official_weights(name, backbone, **options):
    """The backbone with the weights of a parity file as `--checkpoint` reads them, the file, its
    batch and its encoding.
    """
    arrays, kind = read(name), BACKBONES[backbone]
    batch, encoded = encoding(arrays)
    model = kind(encoded.states.shape[-1], 97, emb=64, block=16, **options)
    ours, unused = kind.official.translate(weights(arrays))
    model.load_state_dict(ours)
    assert unused == ([] if backbone == "atlop" else ["bilinear.weight", "bilinear.bias"])
    return model, arrays, batch, encoded


def test_atlop():
    model, arrays, batch, encoded = with_official_weights("head_atlop", "atlop")
    numbers = order(batch, arrays)
    context = model.features.context(encoded, batch, batch.pairs)[numbers]
    close(context, arrays["local_context"], atol=1e-12)
    logits = model.classify(model.represent(encoded, batch)[numbers])
    close(logits, arrays["logits"], atol=1e-12)
    check_loss_and_predictions(model, logits, arrays)


@pytest.mark.parametrize("axial", ["masked", "pad_to_42_unmasked"])  # the document has 42 entities
@pytest.mark.parametrize(
    ("name", "options"), [("kd_docre", {}), ("baseline", {"entropy": "broadcast"})]
)
def test_axial_backbones(name, options, axial):
    official = with_official_weights(f"head_{name}", name, axial=axial, **options)
    model, arrays, batch, encoded = official
    # row-major, the diagonal included
    assert batch.cells[:, 1:].tolist() == arrays["pairs"].tolist()
    cells = model.represent_cells(encoded, batch)
    close(cells, arrays["features"])
    assert torch.equal(model.represent(encoded, batch), cells[batch.pair_cell])
    # the official code zeroes the diagonal
    logits = model.classify(cells) * (batch.cells[:, 1:2] != batch.cells[:, 2:])
    close(logits, arrays["logits"])
    pairs = Pairs(cells, torch.from_numpy(arrays["labels"]).double())
    more = model.auxiliary_loss(pairs, encoded, batch)
    check_loss_and_predictions(model, logits, arrays, more)


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


ATLOP = {"features.head.": "head_extractor.", "features.tail.": "tail_extractor."}
ATLOP |= {"bilinear.linear.": "bilinear."}


@pytest.mark.parametrize("masked", [False, True])
def test_unet(masked):
    arrays = read("unet")
    net = UNet(3, 8, 16).eval()
    renamed(net, weights(arrays), unet_names())
    real = torch.ones(2, 1, 42, 42) if masked else None
    found = net(torch.from_numpy(arrays["input"]), real)
    down, across = arrays["step"]
    close(found.permute(0, 2, 3, 1)[:, ::down, ::across], arrays["output"])


@pytest.mark.parametrize(
    ("name", "pad"),
    [
        ("head_docunet", "masked"),
        ("head_docunet", "last_entity"),
        ("head_docunet_padded", "last_entity"),
    ],
)
def test_docunet(name, pad):
    arrays = read(name)
    batch, encoded = encoding(arrays)
    model = DocuNet(32, 12, emb=16, block=8, unet=8, out=16, pad=pad).eval()
    names = ATLOP | {"squeeze.": "liner."} | unet_names("unet.", "segmentation_net.")
    renamed(model, weights(arrays), names)
    logits = model.classify(model.represent(encoded, batch))[order(batch, arrays)]
    close(logits, arrays["logits"])
    check_loss_and_predictions(model, logits, arrays)


def test_dreeam():
    arrays = read("head_dreeam")
    batch, encoded = encoding(arrays, Dreeam.needs)
    model = Dreeam(32, 12, emb=16, block=8, evidence_weight=1)
    renamed(model, weights(arrays), ATLOP)
    numbers = order(batch, arrays)
    logits = model.classify(model.represent(encoded, batch))[numbers]
    close(logits, arrays["logits"])
    check_loss_and_predictions(model, logits, arrays)
    expected = arrays["sentence_attention"]
    pair, sentence = (torch.from_numpy(n) for n in np.nonzero(np.ones_like(expected)))
    found = model.sentence_attention(encoded, batch, torch.tensor(numbers)[pair], sentence)
    close(found.view(expected.shape), expected)
    evidence = {tuple(row) for row in model.evidence(encoded, batch).tolist()}
    assert evidence == {(numbers[p], s) for p, s in np.argwhere(expected > 0.2)} and evidence
    batch.positive = torch.tensor(numbers)[arrays["labels"][:, 0] == 0]
    close(model.auxiliary_loss(None, encoded, batch), arrays["evidence_loss"], rtol=1e-8)


CORREL = {"of_relations.": "correl_rel_repres_trans.", "of_pairs.": "correl_triplet_repres_trans."}
CORREL |= {"pool.": "correl_triplet_pooler."}


def test_correl():
    """Of the three documents one has a single relation, and one a single pair with relations."""
    arrays = read("head_correl")
    batch, encoded = encoding(arrays)
    model = Correl(16, 7, emb=16, block=4)
    renamed(model, weights(arrays), ATLOP | CORREL)
    numbers, labels = order(batch, arrays), torch.from_numpy(arrays["labels"])
    found = model.represent(encoded, batch)
    logits = model.classify(found)[numbers]
    close(logits, arrays["logits"])
    check_loss_and_predictions(model, logits, arrays)
    pair, batch.fact_class = labels[:, 1:].nonzero().T + torch.tensor([[0], [1]])
    batch.fact_pair = torch.tensor(numbers)[pair]
    batch.positive = batch.fact_pair.unique()

    def auxiliary(alpha, pooled=True):
        model.options = model.options.of({"alpha": alpha, "pooled": pooled})
        return model.auxiliary_loss(Pairs(found, labels), encoded, batch)

    close(auxiliary(1), arrays["relations_loss"])
    close(auxiliary(0), arrays["pairs_loss"])
    close(auxiliary(0, pooled=False), arrays["pairs_loss_dwie"])
    loss = model.pair_loss(logits, labels.double()).mean()
    close(model.combine(loss, auxiliary(0.7)), arrays["total"])


DISTANCES = {"pairs.distance.": "dis_embed.", "bilinear.linear.": "bili."}
CONTEXT = DISTANCES | {"classifier.": "linear_output.", "scale": "self_att.dot_scale"}
RECURRENT = {"start.0": "rnn.init_hidden.0", "start.1": "rnn.init_c.0"}
RECURRENT |= {"lstm.": "rnn.rnns.0.", "leave.": "linear_re."}
CONVOLUTIONS = {f"convolutions.{i}.": f"cnn_{i + 1}." for i in range(3)}


@pytest.mark.parametrize(
    ("name", "encoder", "names"),
    [
        ("cnn", "cnn", CONVOLUTIONS),
        ("lstm", "lstm", RECURRENT),
        ("bilstm", "bilstm", RECURRENT),
        ("context", "bilstm", RECURRENT),
    ],
)
def test_word_level(name, encoder, names):
    """Encoder and head."""
    arrays, with_context = read(f"head_{name}"), name == "context"
    theirs = weights(arrays)
    words = [[str(i) for i in range(30)]] * 2
    encoder = ENCODERS[encoder](words, word_width=8, width=16).eval()
    entities = "coref_embed.weight" if "coref_embed.weight" in theirs else "entity_embed.weight"
    tables = {"tags.entity.weight": entities, "tags.kind.": "ner_emb."}
    tables["embeddings."] = ("word_emb.", 5)  # after the special tokens and the marker
    renamed(encoder, theirs, names | tables)
    tokens = [encoder.tokenizer(str(word))[0] for word in arrays["words"]]
    batch, _ = encoding(arrays | {"tokens": tokens}, encoder.needs)
    kind, options = ("context_aware", {"emb": 16}) if with_context else ("bilinear", {})
    model = BACKBONES[kind](16, arrays["logits"].shape[1], **options)
    renamed(model, theirs, CONTEXT if with_context else DISTANCES)
    logits = model.classify(model.represent(encoder(batch), batch))
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


GAIN = {"edge.": "edge_layer.mapping.", "path.": "path_info_mapping."}
GAIN |= {"hidden.": "predict.0.", "classifier.": "predict.3."}
GAIN |= {"tags.entity.": "entity_id_emb.", "tags.kind.": "entity_type_emb."}
for _i in (0, 1):
    _official = {"kinds": "weight", "itself": "loop_weight", "bias": "h_bias"}
    GAIN |= {f"convolutions.{_i}.{a}": f"GCN_layers.{_i}.{b}" for a, b in _official.items()}
REDUCED = {"reduce.": "dim_reduction."}
RSMAN = {"attention.": "attention_weight.", "relations": "attention_net"}
RSMAN |= {"bilinear": "classifier", "bias": "classifier_bais"}
JEREX = {"mention_pair.": "pair_linear.", "pair.": "rel_linear."}
JEREX |= {"distance.": "token_distance_embeddings.", "kind.": "entity_type_embeddings."}
JEREX |= {"sentences.": "sentence_distance_embeddings.", "classifier.": ("rel_classifier.", 1)}


@pytest.mark.parametrize(
    ("name", "sizes", "options", "names"),
    [
        ("gain", (8, 5), {}, GAIN),
        ("ssan", (10, 6), {"emb": 8}, REDUCED | DISTANCES | {"pairs.distance.": "distance_emb."}),
        ("rsman", (10, 6), {"emb": 8, "attention": 12}, REDUCED | RSMAN),
        ("jerex", (8, 6), {}, JEREX),
    ],
)
def test_binary_relations(name, sizes, options, names):
    arrays, kind = read(f"head_{name}"), BACKBONES[name]
    batch, encoded = encoding(arrays, kind.needs)
    model = kind(*sizes, **options).eval()
    # of GAIN the file's document is tanh of the first state
    own = {"document.weight": torch.eye(8), "document.bias": torch.zeros(8)}
    theirs = weights(arrays) | (own if name == "gain" else {})
    renamed(model, theirs, names | ({"document.": "document."} if name == "gain" else {}))
    logits = model.classify(model.represent(encoded, batch))[order(batch, arrays)]
    first = 1 if name == "jerex" else 0  # JEREX has no class for the threshold
    close(logits[:, first:], arrays["logits"])
    if name == "jerex":
        facts, _ = model.predict(logits, max_labels=6)
        likely = (logits[:, 1:].sigmoid() > 0.6).nonzero() + torch.tensor([0, 1])
        assert torch.equal(facts, likely)
