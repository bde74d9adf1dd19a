import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tensors import rng

from augmenters.pool import LabelSets, Pool

LABELS = torch.tensor(
    [[0, 1, 0, 0], [0, 0, 1, 0], [0, 1, 1, 0], [0, 1, 0, 0], [0, 1, 0, 0]], dtype=torch.float32
)


SETS = LabelSets(LABELS)
POOL = Pool(SETS)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.lists(st.booleans(), min_size=70, max_size=70), min_size=1, max_size=20),
    st.integers(0, 2**31),
)
def test_lookup_agrees_with_comparing_all_rows(rows, seed):
    known = torch.tensor(rows, dtype=torch.float32)
    asked = torch.cat([known, torch.randint(0, 2, (5, 70), generator=rng(seed)).float()])
    sets = LabelSets(known)
    ids = sets.lookup(asked)
    for label, found in zip(asked.bool(), ids.tolist(), strict=True):
        matches = (sets.sets == label).all(1).nonzero().flatten().tolist()
        assert matches == ([found] if found >= 0 else [])


def test_lookup_in_nothing():
    assert LabelSets(LABELS[:0]).lookup(LABELS).tolist() == [-1] * 5


def test_draws_are_rows_with_the_label_set_and_reach_all_of_them():
    rows = POOL.draw(SETS.lookup(LABELS.repeat(200, 1)), rng())
    assert torch.equal(LABELS[rows], LABELS.repeat(200, 1))
    drawn = torch.bincount(rows, minlength=5)
    assert (drawn[[0, 3, 4]] > 150).all()  # these rows share 600 draws
    assert drawn[1] == drawn[2] == 200


def test_overlap_is_jaccard():
    asked = torch.tensor([[0.0, 1, 1, 1]])
    expected = {(0, 1, 0, 0): 1 / 3, (0, 0, 1, 0): 1 / 3, (0, 1, 1, 0): 2 / 3}
    for known, overlap in zip(SETS.sets.int().tolist(), SETS.overlap(asked)[0], strict=True):
        assert overlap.item() == pytest.approx(expected[tuple(known)])


def test_unseen_label_sets_take_the_nearest_rows():
    # {1,2,3} is nearest to {1,2}, {1,3} to {1}; {2} is known
    asked = torch.tensor([[0.0, 1, 1, 1], [0, 1, 0, 1], [0, 0, 1, 0]]).repeat(100, 1)
    rows = POOL.draw_nearest(asked, rng()).view(100, 3)
    assert [set(column.tolist()) for column in rows.T] == [{2}, {0, 3, 4}, {1}]


def test_ties_are_drawn_among_all_rows_that_share_the_overlap():
    # {3} overlaps nothing: all five rows are equally near, and equally likely
    rows = POOL.draw_nearest(torch.tensor([[0.0, 0, 0, 1]]).repeat(1000, 1), rng())
    assert (torch.bincount(rows, minlength=5) > 150).all()
