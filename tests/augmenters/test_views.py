"""era and dropout_view."""

import pytest
import torch
from tensors import rng

from augmenters.base import AugmenterError
from augmenters.check import encoding
from augmenters.dropout_view import DropoutView
from augmenters.era import Era
from benchmark.data.batches import Encoded


def test_era_hides_the_same_tokens_from_all_mentions_of_a_document():
    encoded, batch = encoding()
    ones = Encoded(encoded.states, torch.ones_like(encoded.rows))
    seen = Era(rate=0.4).view(ones, batch, rng=rng())
    assert torch.equal(seen.states, encoded.states)
    documents = batch.mention_state // batch.width
    for number in documents.unique():
        rows = seen.rows[documents == number]
        assert set(rows.unique().tolist()) <= {0.0, 1.0}
        assert torch.equal(rows, rows[:1, :1].expand_as(rows))
    assert 0.2 < (seen.rows == 0).float().mean() < 0.6


def test_era_says_that_it_needs_attention():
    encoded, batch = encoding()
    with pytest.raises(AugmenterError, match="has none"):
        Era().view(Encoded(encoded.states, None), batch, rng=rng())


def test_dropout_view_starts_from_a_second_encoding():
    encoded, batch = encoding()
    assert DropoutView.encodes_again
    seen = DropoutView().view(encoded, batch, rng=rng())
    assert torch.equal(seen.states, encoded.states) and torch.equal(seen.rows, encoded.rows)
