"""Each check of encoders fails on one that is broken in its way."""

from dataclasses import replace

import pytest
import torch
from contracts import assert_fails, assert_passes, broken, cases, names
from torch import nn

from backbones.encoders.base import Encoder
from backbones.encoders.check import check_encoder
from backbones.encoders.words import WordTokenizer
from benchmark.data.batches import Encoded


class Words(Encoder):
    """Word embeddings and nothing more."""

    gives_attention = False

    def __init__(self, sentences):
        super().__init__()
        self.tokenizer = WordTokenizer(sentences)
        self.windows, self.width = self.tokenizer.windows(), 4
        self.embedding = nn.Embedding(len(self.tokenizer), 4)

    def forward(self, batch):
        return self.by_document(self.embedding(batch.window_ids), None, batch)


def test_a_good_encoder_passes():
    assert_passes(check_encoder(Words))


def encodes(change):
    """What Words encodes, its states changed by `change(self, states)`."""
    forward = lambda self, batch: Encoded(change(self, Words.forward(self, batch).states), None)
    return broken(Words, forward=forward)


def joins(change):
    """What Words hands to by_document, changed."""
    forward = lambda self, b: self.by_document(change(self.embedding(b.window_ids)), None, b)
    return broken(Words, forward=forward)


def made(change, base=Words):
    """A Words that `change` changes once it is made."""

    def init(self, sentences):
        base.__init__(self, sentences)
        change(self)

    return broken(base, __init__=init)


def has(**members):
    return made(lambda self: [setattr(self, name, value) for name, value in members.items()])


def drawn_elsewhere(self):
    self.embedding.weight.data += torch.randn(1, generator=GENERATOR)


def takes_other_words(self, number):
    first = int(torch.randint(len(self.tokenizer) - number, ()))
    self.windows = replace(self.windows, appended=tuple(range(first, first + number)))


GENERATOR = torch.Generator()
with_rows = lambda self, batch: Encoded(Words.forward(self, batch).states, torch.ones(1, 1, 1))
scaled = encodes(lambda self, x: x * self.windows.size)
by_window = broken(Words, forward=lambda self, b: Encoded(self.embedding(b.window_ids), None))

in_forward = r"shape \[W, T, d\] = \[4, 41, d\], got .*{}.*test_encoder_check.py"

BROKEN = {
    "the tokenizer gives ids": [
        (has(tokenizer=lambda word: []), "at least one, got"),
        (broken(Words, __init__=lambda self, sentences: None), r"call super\(\).__init__"),
        (made(lambda self: delattr(self, "width")), "constructor must set self.width"),
    ],
    "shapes are as declared": [
        (broken(Words, forward=lambda self, b: self.embedding(b.window_ids)), "returns Tensor, no"),
        (has(width=5), r"states must be \[documents, tokens, width\]"),
        (encodes(lambda self, states: states + 1), "0 at padding"),
        (encodes(lambda self, states: states / 0), "states are NaN or infinite$"),
        (encodes(lambda self, states: states / (states != 0)), "NaN or infinite at padding"),
        (encodes(lambda self, states: states.long()), "must be floating point, got torch.int64"),
        (joins(lambda states: states.transpose(1, 2)), in_forward.format("float64 .4, 4, 41")),
        (joins(lambda states: states.long()), in_forward.format("int64")),
        (broken(Words, gives_attention=True), "if and only if"),
        (broken(Words, gives_attention=True, forward=with_rows), r"rows must be \[mentions"),
    ],
    "packed and one by one agree": [
        (encodes(lambda self, x: x - x.mean((0, 1))), "depends on the other documents")
    ],
    "long documents are cut into windows": [
        (scaled, "the window's size changes the states"),
        (by_window, "end with by_document"),
    ],
    "further tokens end every window": [
        (broken(Words, append_tokens=lambda self, number: None), "must set windows.appended"),
        (broken(Words, append_tokens=takes_other_words), "states differ after save()"),
    ],
    "evaluation is deterministic": [
        (encodes(lambda self, x: x * torch.rand(1)), "dropout is for training")
    ],
    "the seed decides the weights": [(made(drawn_elsewhere), "two encoders of one seed differ")],
    "is restored from its folder": [
        (broken(Words, load=classmethod(lambda cls, folder: cls([]))), "another tokenizer")
    ],
    "every parameter learns": [(has(spare=nn.Linear(2, 2)), "spare.weight")],
}


def test_every_check_has_a_way_to_fail():
    assert list(BROKEN) == names(check_encoder(Words))


@pytest.mark.parametrize(("name", "kind", "message"), cases(BROKEN))
def test_a_broken_encoder_fails_with_advice(name, kind, message):
    assert_fails(check_encoder(kind), name, message)
