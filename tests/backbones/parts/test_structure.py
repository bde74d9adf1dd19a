"""An encoder with entity structure: what it reads, where its parameters live."""

from dataclasses import replace

import pytest
import torch
from samples import ADA, ROME, corpus

from backbones.encoders.tiny import Tiny
from backbones.encoders.word_level import Lstm
from backbones.parts.structure import add_structure
from benchmark.data.collation import Collator
from benchmark.data.features import featurise
from benchmark.data.sampling import Rows
from benchmark.errors import ConfigError

MENTIONS = ("mention_position", "mention_entity", "mention_end", "entity_type")
WORDS = [sentence for row in (ADA, ROME) for sentence in row["sentences"]]


def encoder_of(structure):
    torch.manual_seed(0)
    encoder = Tiny(WORDS, vocabulary=200, width=8, layers=2, heads=2).eval()
    add_structure(encoder, structure)
    return encoder


@pytest.fixture(scope="module")
def rows():
    made = corpus([ADA, ROME])
    tokenizer = encoder_of("none").tokenizer
    features = featurise(made.train, made, tokenizer, training=True, mention="unmarked")
    return Rows(features, encoder_of("none").needs)


@pytest.mark.parametrize("structure", ["biaffine", "decomp"])
def test_packed_one_by_one_and_without_a_bias(structure, rows):
    """A fresh bias is changed to none: then the encoder is one without structure."""
    encoder, plain = encoder_of(structure), encoder_of("none")
    collate = Collator(encoder.windows, encoder.needs)
    together = encoder(collate([rows[0], rows[1]])).states
    for number in (0, 1):
        alone = encoder(collate([rows[number]])).states[0]
        torch.testing.assert_close(together[number, : len(alone)], alone)
    loss = together.square().sum()
    loss.backward()
    assert all(p.grad is not None for p in encoder.structure.parameters())
    for layer in encoder.structure.layers:
        for weight in layer.parameters():
            torch.nn.init.zeros_(weight)
    plain.load_state_dict(encoder.state_dict(), strict=False)
    without = plain(collate([rows[0], rows[1]])).states
    torch.testing.assert_close(encoder(collate([rows[0], rows[1]])).states, without)
    assert not torch.allclose(without, together)


def test_windows_without_a_mention(rows):
    encoder = encoder_of("biaffine")
    collate = Collator(replace(encoder.windows, size=10, overlap=2), encoder.needs)
    first = {**rows[0], **{key: rows[0][key][:1] for key in MENTIONS}, "entities": 1}
    none = {**rows[1], **{key: rows[1][key][:0] for key in MENTIONS}, "entities": 0}
    for facts in ("fact_head", "fact_tail", "fact_class"):
        first[facts] = none[facts] = rows[0][facts][:0]
    for documents in ([first, none], [none]):
        assert encoder(collate(documents)).states.isfinite().all()
        with torch.autocast("cpu", torch.bfloat16):
            assert encoder(collate(documents)).states.isfinite().all()


def test_only_bert_and_roberta(rows):
    with pytest.raises(ConfigError, match="BERT and RoBERTa"):
        add_structure(Lstm(WORDS), "biaffine")
