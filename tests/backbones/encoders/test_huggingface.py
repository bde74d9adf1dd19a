"""Token states and attention rows against the plain eager model; windows; loading."""

import pytest
import torch
import transformers
from samples import ADA, ROME, corpus

from backbones.encoders.huggingface import (
    HuggingFaceEncoder,
    Wordpieces,
    load_encoder,
    usable_positions,
)
from backbones.encoders.tiny import Tiny
from benchmark.data.batches import Collator, Rows, WindowPlan
from benchmark.data.features import featurise
from benchmark.errors import ConfigError, UserError

SMALL = dict(
    vocab_size=300, hidden_size=16, num_hidden_layers=3, num_attention_heads=4, intermediate_size=32
)
MODELS = dict(
    bert=lambda: transformers.BertModel(
        transformers.BertConfig(**SMALL, attn_implementation="sdpa"), add_pooling_layer=False
    ),
    roberta=lambda: transformers.RobertaModel(
        transformers.RobertaConfig(
            **SMALL, pad_token_id=1, max_position_embeddings=514, attn_implementation="sdpa"
        ),
        add_pooling_layer=False,
    ),
    mpnet=lambda: transformers.MPNetModel(
        transformers.MPNetConfig(**SMALL, pad_token_id=1, max_position_embeddings=514),
        add_pooling_layer=False,
    ),
    distilbert=lambda: transformers.DistilBertModel(
        transformers.DistilBertConfig(
            vocab_size=300,
            dim=16,
            n_layers=3,
            n_heads=4,
            hidden_dim=32,
            attn_implementation="eager",
        )
    ),
)


@pytest.fixture(scope="module")
def tokenizer():
    words = [sentence for row in (ADA, ROME) for sentence in row["sentences"]]
    return Tiny(words, vocabulary=200, width=8, layers=1, heads=2).tokenizer.fast


@pytest.fixture(scope="module")
def rows(tokenizer):
    made = corpus([ADA, ROME])
    return Rows(featurise(made.train, made, Wordpieces(tokenizer), training=True))


def encoder_of(kind, tokenizer):
    torch.manual_seed(0)
    model = MODELS[kind]()
    for parameter in model.parameters():  # far from the near-uniform attention of fresh weights
        parameter.data.mul_(5)
    return HuggingFaceEncoder(model, tokenizer).eval()


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("kind", MODELS)
def test_rows_are_the_last_layers_attention(kind, layers, tokenizer, rows):
    encoder = encoder_of(kind, tokenizer)
    encoder.average_layers(layers)
    batch = Collator(encoder.windows)([rows[0], rows[1]])
    encoded = encoder(batch)
    if kind != "mpnet":
        encoder.model.set_attn_implementation("eager")
    plain = encoder.model(
        input_ids=batch.window_ids,
        attention_mask=batch.window_mask,
        output_attentions=True,
        output_hidden_states=True,
    )
    document, position = batch.mention_state // batch.width, batch.mention_state % batch.width
    mean = lambda tensors: torch.stack(tensors[-layers:]).mean(0)
    expected = mean(plain.attentions)[document, :, position]
    torch.testing.assert_close(encoded.rows, expected, rtol=1e-5, atol=1e-6)
    real = batch.window_mask.bool()
    states = mean(plain.hidden_states)
    torch.testing.assert_close(encoded.states[real], states[real], rtol=1e-5, atol=1e-5)
    assert (encoded.states[~real] == 0).all()
    torch.testing.assert_close(encoded.rows.sum(-1), torch.ones(len(batch.mention_state), 4))


def test_attention_dropout_reaches_the_rows_in_training_only(tokenizer, rows):
    encoder = encoder_of("bert", tokenizer)
    batch = Collator(encoder.windows)([rows[0]])
    dropped = (encoder.train()(batch).rows == 0).float().mean()
    assert 0.02 < dropped < 0.3  # a tenth
    assert (encoder.eval()(batch).rows > 0).all()


def test_positions():
    assert {usable_positions(make()) for make in MODELS.values()} == {512}  # of 512 or 514


def test_overlapping_windows_by_hand(tokenizer, rows):
    """Every window encoded on its own; states averaged, attention rows added and normalised."""
    encoder = encoder_of("bert", tokenizer)
    plan = WindowPlan(14, 4, encoder.windows.start, encoder.windows.end, encoder.windows.pad)
    tokens, room = list(rows[0]["tokens"]), 12
    length = len(tokens) + 2
    sums, counts = torch.zeros(length, 16), torch.zeros(length)
    attention = torch.zeros(len(rows[0]["mention_position"]), 4, length)
    starts = plan.starts(len(tokens)).tolist()
    assert len(starts) > 2
    encoder.model.set_attn_implementation("eager")
    for start in starts:
        piece = tokens[start : start + room]
        output = encoder.model(
            input_ids=torch.tensor([[plan.start, *piece, plan.end]]), output_attentions=True
        )
        keep = [
            i
            for i in range(len(piece) + 2)
            if (i > 0 or start == 0) and (i <= len(piece) or start + room >= len(tokens))
        ]
        sums[[start + i for i in keep]] += output.last_hidden_state[0, keep]
        counts[[start + i for i in keep]] += 1
        for m, position in enumerate(rows[0]["mention_position"]):
            if start <= position < start + len(piece):
                attention[m][:, [start + i for i in keep]] += output.attentions[-1][
                    0, :, position - start + 1
                ][:, keep]
    encoder.model.set_attn_implementation("sdpa")
    encoded = encoder(Collator(plan)([rows[0], rows[1]]))
    torch.testing.assert_close(
        encoded.states[0, :length], sums / counts[:, None], rtol=1e-4, atol=1e-5
    )
    mentions = len(attention)
    torch.testing.assert_close(
        encoded.rows[:mentions, :, :length],
        attention / attention.sum(-1, keepdim=True),
        rtol=1e-4,
        atol=1e-6,
    )


def test_freezing(tokenizer):
    encoder = encoder_of("bert", tokenizer)
    encoder.freeze("lower:2")
    trainable = {
        name.split(".")[0:4][-1] for name, p in encoder.named_parameters() if p.requires_grad
    }
    assert trainable == {"2"}  # the last of three layers
    with pytest.raises(ConfigError, match="3 layers"):
        encoder.freeze("lower:4")


def test_a_local_folder_loads_without_a_network(tmp_path, tokenizer, rows):
    encoder = encoder_of("bert", tokenizer)
    encoder.model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded = load_encoder(str(tmp_path), attention_dropout=0.0, hidden_dropout=0.2).eval()
    batch = Collator(encoder.windows)([rows[0]])
    torch.testing.assert_close(loaded(batch), encoder(batch))
    assert (
        loaded.model.config.hidden_dropout_prob == 0.2
        and loaded.model.config.attention_probs_dropout_prob == 0.0
    )


def test_a_checkpoint_of_pretraining_loads(tmp_path, tokenizer, rows):
    """CorefBERT's layout (Ye et al. 2020): a BERT with its pretraining heads, in PyTorch's file."""
    torch.manual_seed(1)
    trained = transformers.BertForPreTraining(transformers.BertConfig(**SMALL))
    trained.config.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    weights = trained.state_dict() | {"cls.copy.weight": torch.zeros(3)}
    torch.save(weights, tmp_path / "pytorch_model.bin")
    loaded = load_encoder(tmp_path)
    for name, tensor in loaded.model.state_dict().items():
        torch.testing.assert_close(tensor, weights[f"bert.{name}"])


def test_a_folder_without_a_tokenizer(tmp_path, tokenizer):
    encoder_of("bert", tokenizer).model.save_pretrained(tmp_path)
    with pytest.raises(UserError, match="tokenizer"):
        load_encoder(str(tmp_path))


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_attention_rows_are_float32_under_autocast(kind, tokenizer, rows):
    """In bfloat16, which keeps 8 bits, probabilities of long windows would sum to anything."""
    encoder = encoder_of(kind, tokenizer)
    batch = Collator(encoder.windows)([rows[0]])
    taken = {}
    taps = encoder._taps[0]
    taps.attention_rows = keep(taps.attention_rows, taps, taken)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        found = encoder(batch).rows
    query, key = (taken[name].double() for name in ("query", "key"))
    size = query.shape[-1] // 4
    heads = lambda tensor: tensor[0].unflatten(-1, (4, size)).transpose(0, 1)
    column = batch.occurrence_column
    scores = heads(query)[:, column] @ heads(key).transpose(1, 2) / size**0.5
    expected = scores.softmax(-1).transpose(0, 1)
    torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=1e-4)


def keep(method, taps, taken):
    def kept(batch, training):
        taken.update(query=taps.query, key=taps.key)
        return method(batch, training)

    return kept
