import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tensors import rng

from augmenters.pool import LabelSets, Pool

LABELS = torch.tensor(
    [[0, 1, 0, 0], [0, 0, 1, 0], [0, 1, 1, 0], [0, 1, 0, 0], [0, 1, 0, 0]], dtype=torch.float32
)


def test_distinct_label_sets_are_counted():
    sets = LabelSets(LABELS)
    counted = {
        tuple(row): count
        for row, count in zip(sets.sets.int().tolist(), sets.counts.tolist(), strict=True)
    }
    assert counted == {(0, 1, 0, 0): 3, (0, 0, 1, 0): 1, (0, 1, 1, 0): 1}


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


def test_a_hash_collision_is_not_taken_for_a_match():
    sets = LabelSets(LABELS)
    sets._hash = torch.zeros_like(sets._hash)  # now every label set has the key 0
    sets._keys = torch.zeros_like(sets._keys)
    assert sets.lookup(torch.tensor([[0.0, 0, 0, 1]])).tolist() == [-1]


def test_lookup_in_nothing():
    assert LabelSets(LABELS[:0]).lookup(LABELS).tolist() == [-1] * 5


def test_draws_are_rows_with_the_label_set_and_reach_all_of_them():
    sets = LabelSets(LABELS)
    pool = Pool(sets, sets.ids)
    rows = pool.draw(sets.lookup(LABELS.repeat(200, 1)), rng())
    torch.testing.assert_close(LABELS[rows], LABELS.repeat(200, 1))
    drawn = torch.bincount(rows, minlength=5)
    assert (drawn[[0, 3, 4]] > 150).all() and drawn[1] == drawn[
        2
    ] == 200  # rows 0, 3, 4 share 600 draws


def test_overlap_is_jaccard():
    # {1,2,3} against {2}: 1/3; {1}: 1/3; {1,2}: 2/3
    sets = LabelSets(LABELS)
    overlap = sets.overlap(torch.tensor([[0.0, 1, 1, 1]]))[0]
    expected = [
        len({1, 2, 3} & s) / len({1, 2, 3} | s)
        for s in ({i for i, v in enumerate(row) if v} for row in sets.sets.tolist())
    ]
    assert overlap.tolist() == pytest.approx(expected)


def test_unseen_label_sets_take_the_nearest_rows():
    sets = LabelSets(LABELS)
    pool = Pool(sets, sets.ids)
    # {1,2,3} is nearest to {1,2} (row 2); {1,3} is nearest to {1} (rows 0, 3, 4); {2} is known (row
    # 1)
    asked = torch.tensor([[0.0, 1, 1, 1], [0, 1, 0, 1], [0, 0, 1, 0]]).repeat(100, 1)
    rows = pool.draw_nearest(asked, rng()).view(100, 3)
    assert set(rows[:, 0].tolist()) == {2}
    assert set(rows[:, 1].tolist()) == {0, 3, 4}
    assert set(rows[:, 2].tolist()) == {1}


def test_ties_are_drawn_among_all_rows_that_share_the_overlap():
    # {3} overlaps nothing: all five rows are equally near, and equally likely
    sets = LabelSets(LABELS)
    rows = Pool(sets, sets.ids).draw_nearest(torch.tensor([[0.0, 0, 0, 1]]).repeat(1000, 1), rng())
    assert (torch.bincount(rows, minlength=5) > 150).all()
