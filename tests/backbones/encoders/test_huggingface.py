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
from benchmark.data.collation import Collator
from benchmark.data.features import featurise
from benchmark.data.sampling import Rows
from benchmark.data.windows import WindowPlan
from benchmark.errors import ConfigError, UserError

SMALL = dict(
    vocab_size=300, hidden_size=16, num_hidden_layers=3, num_attention_heads=4, intermediate_size=32
)
LONG = dict(pad_token_id=1, max_position_embeddings=514)


def model_of(kind, config):
    options = {} if kind is transformers.DistilBertModel else {"add_pooling_layer": False}
    return kind(config, **options)


MODELS = dict(
    bert=(transformers.BertModel, transformers.BertConfig(**SMALL)),
    roberta=(transformers.RobertaModel, transformers.RobertaConfig(**SMALL, **LONG)),
    mpnet=(transformers.MPNetModel, transformers.MPNetConfig(**SMALL, **LONG)),
    distilbert=(
        transformers.DistilBertModel,
        transformers.DistilBertConfig(vocab_size=300, dim=16, n_layers=3, n_heads=4, hidden_dim=32),
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
    model = model_of(*MODELS[kind])
    model.set_attn_implementation("sdpa" if kind in ("bert", "roberta") else "eager")
    for parameter in model.parameters():  # far from the near-uniform attention of fresh weights
        parameter.data.mul_(5)
    return HuggingFaceEncoder(model, tokenizer).eval()


@pytest.mark.parametrize(("layers", "further"), [(1, 0), (2, 0), (1, 3)])
@pytest.mark.parametrize("kind", MODELS)
def test_rows_are_the_last_layers_attention(kind, layers, further, tokenizer, rows):
    encoder = encoder_of(kind, tokenizer)
    encoder.average_layers(layers)
    if further:
        encoder.append_tokens(further)
    batch = Collator(encoder.windows)([rows[0], rows[1]])
    encoded = encoder(batch)
    if kind != "mpnet":
        encoder.model.set_attn_implementation("eager")
    everything = {"output_attentions": True, "output_hidden_states": True}
    plain = encoder.model(batch.window_ids, attention_mask=batch.window_mask, **everything)
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
    models = (model_of(*made) for made in MODELS.values())
    assert {usable_positions(model) for model in models} == {512}  # of 512 or 514


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
        # the special tokens of the text's own start and end alone
        first, last = int(start > 0), len(piece) + 2 - int(start + room < len(tokens))
        place = slice(start + first, start + last)
        sums[place] += output.last_hidden_state[0, first:last]
        counts[place] += 1
        for m, position in enumerate(rows[0]["mention_position"]):
            if start <= position < start + len(piece):
                row = output.attentions[-1][0, :, position - start + 1]
                attention[m, :, place] += row[:, first:last]
    encoder.model.set_attn_implementation("sdpa")
    encoded = encoder(Collator(plan)([rows[0], rows[1]]))
    close = {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(encoded.states[0, :length], sums / counts[:, None], **close)
    expected = attention / attention.sum(-1, keepdim=True)
    found = encoded.rows[: len(attention), :, :length]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_freezing(tokenizer):
    encoder = encoder_of("bert", tokenizer)
    encoder.freeze("lower:2")
    trainable = [name for name, p in encoder.named_parameters() if p.requires_grad]
    assert {name.split(".")[3] for name in trainable} == {"2"}  # the last of three layers
    with pytest.raises(ConfigError, match="3 layers"):
        encoder.freeze("lower:4")


def test_a_local_folder_loads_without_a_network(tmp_path, tokenizer, rows):
    encoder = encoder_of("bert", tokenizer)
    encoder.model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded = load_encoder(str(tmp_path), attention_dropout=0.0, hidden_dropout=0.2).eval()
    batch = Collator(encoder.windows)([rows[0]])
    torch.testing.assert_close(loaded(batch), encoder(batch))
    config = loaded.model.config
    assert (config.hidden_dropout_prob, config.attention_probs_dropout_prob) == (0.2, 0.0)


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
    (taps,), taken = encoder._taps, {}
    rows_of = taps.attention_rows

    def kept(*arguments):
        taken.update(query=taps.query, key=taps.key)
        return rows_of(*arguments)

    taps.attention_rows = kept
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        found = encoder(batch).rows
    query, key = (taken[name].double() for name in ("query", "key"))
    size = query.shape[-1] // 4
    heads = lambda tensor: tensor[0].unflatten(-1, (4, size)).transpose(0, 1)
    column = batch.occurrence_column
    scores = heads(query)[:, column] @ heads(key).transpose(1, 2) / size**0.5
    expected = scores.softmax(-1).transpose(0, 1)
    torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=1e-4)
