"""Packing: windows, pairs, labels, and the order of documents."""

import numpy as np
import pytest
import torch
from datasets import Dataset

from benchmark.data.batches import BLANK, Collator, DocumentBatches, Rows, WindowPlan


def row(number, length, mentions, entities, facts=()):
    head, tail, relation = zip(*facts, strict=True) if facts else ((), (), ())
    return {
        "row": number,
        "tokens": np.arange(100, 100 + length),
        "mention_position": [p for _, p in mentions],
        "mention_entity": [e for e, _ in mentions],
        "entities": entities,
        "fact_head": head,
        "fact_tail": tail,
        "fact_class": relation,
    }


def collate(rows, size=12, overlap=2):
    return Collator(WindowPlan(size, overlap, start=1, end=2, pad=0))(rows)


FIRST = row(7, 6, [(0, 1), (1, 3), (0, 4)], 2, [(1, 0, 3)])
SECOND = row(3, 4, [(0, 0), (1, 2), (2, 3)], 3, [(0, 2, 1), (0, 2, 2), (2, 1, 1)])


def test_one_window_a_document():
    batch = collate([FIRST, SECOND])
    assert batch.window_ids.tolist() == [
        [1, 100, 101, 102, 103, 104, 105, 2],
        [1, 100, 101, 102, 103, 2, 0, 0],
    ]
    assert batch.window_mask.sum(1).tolist() == [8, 6] and batch.single_window and batch.width == 8
    # one further for the start token; the second document starts at 8
    assert batch.mention_state.tolist() == [2, 4, 5, 9, 11, 12]
    assert batch.mention_entity.tolist() == [0, 1, 0, 2, 3, 4]
    assert batch.rows.tolist() == [7, 3]


def test_pairs_are_those_off_the_diagonal_in_row_major_order():
    batch = collate([FIRST, SECOND])
    assert batch.pairs.tolist() == [
        [0, 0, 1], [0, 1, 0],
        [1, 0, 1], [1, 0, 2], [1, 1, 0], [1, 1, 2], [1, 2, 0], [1, 2, 1],
    ]  # fmt: skip
    assert len(batch.cells) == 4 + 9
    reverse = batch.pairs[batch.pair_reverse]
    assert torch.equal(reverse[:, [0, 2, 1]], batch.pairs)
    head, tail = batch.entity_of(batch.pairs)
    assert head.tolist() == [0, 1, 2, 2, 3, 3, 4, 4] and tail.tolist() == [1, 0, 3, 4, 2, 4, 2, 3]


def test_labels():
    labels = collate([FIRST, SECOND]).labels(5)
    expected = torch.zeros(8, 5)
    expected[:, 0] = 1
    for pair, relation in ((1, 3), (3, 1), (3, 2), (7, 1)):
        expected[pair, 0], expected[pair, relation] = 0, 1
    assert torch.equal(labels, expected)


def test_a_fact_on_the_diagonal_has_no_pair():
    batch = collate([row(0, 4, [(0, 0), (1, 2)], 2, [(1, 1, 2), (0, 1, 1)])])
    assert batch.fact_pair.tolist() == [0] and batch.fact_class.tolist() == [1]


@pytest.mark.parametrize("entities", [0, 1])
def test_documents_without_pairs(entities):
    batch = collate([row(0, 4, [(0, 0)] * entities, entities)])
    assert batch.labels(3).shape == (0, 3) and len(batch.cells) == entities
    empty = collate([row(0, 0, [], 0), SECOND])
    assert empty.window_ids[0].tolist() == [1, 2, 0, 0, 0, 0] and len(empty.pairs) == 6


def test_windows_cover_every_token_and_overlap():
    # room for 10 tokens a window, at least 2 shared: 25 tokens need 3 windows, from 0, 8 and 15
    batch = collate([row(0, 25, [(0, 9), (1, 24)], 2)])
    assert batch.window_ids.shape == (3, 12) and not batch.single_window
    assert batch.window_ids[:, 1].tolist() == [100, 108, 115]
    target = batch.window_target
    # start token kept, end token dropped (27 = D * L)
    assert target[0].tolist() == [*range(0, 11), 27]
    assert target[1].tolist() == [27, *range(9, 19), 27]
    assert target[2].tolist() == [27, *range(16, 26), 26]
    assert sorted(set(target.flatten().tolist()) - {27}) == list(range(27))
    # the mention at token 9 stands in the first two windows, the one at 24 in the last
    assert batch.occurrence_mention.tolist() == [0, 0, 1]
    assert batch.occurrence_window.tolist() == [0, 1, 2]
    assert batch.occurrence_column.tolist() == [10, 2, 10]


def test_further_tokens_end_every_window():
    plan = WindowPlan(12, 2, start=1, end=2, pad=0, appended=(50, 51))
    batch = Collator(plan)([row(0, 10, [(0, 0), (1, 9)], 2), row(1, 3, [(0, 1)], 1)])
    # room for 7 tokens; 10 need 2 windows, from 0 and 3
    assert batch.window_ids.tolist() == [
        [1, *range(100, 107), 2, 50, 51, 2],
        [1, *range(103, 110), 2, 50, 51, 2],
        [1, 100, 101, 102, 2, 50, 51, 2, 0, 0, 0, 0],
    ]
    assert batch.lengths.tolist() == [15, 8] and batch.width == 15
    assert batch.window_target.tolist() == [
        [*range(8), 30, 12, 13, 14],  # 30 = D * L: dropped
        [30, *range(4, 15)],
        [*range(15, 23), 30, 30, 30, 30],
    ]
    alone = Collator(plan)([row(1, 3, [(0, 1)], 1)])
    assert alone.single_window and alone.window_target.tolist() == [list(range(8))]


@pytest.mark.parametrize("tokens", [0, 10, 11, 18, 57, 1000])
@pytest.mark.parametrize("overlap", [0, 2, 50])
def test_window_starts(tokens, overlap):
    starts = WindowPlan(12, overlap, 1, 2, 0).starts(tokens)
    ends = np.minimum(starts + 10, tokens)
    assert starts[0] == 0 and ends[-1] == tokens
    shared = ends[:-1] - starts[1:]
    assert (shared >= min(overlap, 5)).all() and (np.diff(starts) > 0).all()


def test_without_overlap_up_to_two_windows_are_the_official_ones():
    # the first and the last 510 tokens
    assert WindowPlan(512, 0, 1, 2, 0).starts(900).tolist() == [0, 390]


@pytest.mark.parametrize("order", ["random", "bucketed", "sorted"])
def test_every_document_once(order):
    sizes = np.random.default_rng(0).integers(10, 500, 103)
    batches = DocumentBatches(sizes, 4, order=order, seed=1)
    epochs = []
    for epoch in range(2):
        batches.set_epoch(epoch)
        epochs.append(list(batches))
        assert sorted(sum(epochs[-1], [])) == list(range(103))
        assert len(epochs[-1]) == len(batches) == 26
    again = DocumentBatches(sizes, 4, order=order, seed=1)
    again.set_epoch(1)
    assert list(again) == epochs[1]
    assert (epochs[0] == epochs[1]) == (order == "sorted")


@pytest.mark.parametrize("order", ["random", "bucketed", "sorted"])
@pytest.mark.parametrize("processes", [1, 2, 3, 5])
def test_processes_share_the_batches_of_one(order, processes):
    """Together, their parts are the batches of one process; one without documents has a blank."""
    sizes = np.random.default_rng(0).integers(5, 50, 23)
    whole = DocumentBatches(sizes, 4, order=order, seed=1)
    parts = [
        DocumentBatches(sizes, 4, order=order, seed=1, share=(process, processes))
        for process in range(processes)
    ]
    for part in (whole, *parts):
        part.set_epoch(2)
        part.skip = 1
    for batch, *shares in zip(whole, *parts, strict=True):
        assert [row for share in shares for row in share if row != BLANK] == batch
        least = len(batch) // processes
        assert all(share == [BLANK] or least <= len(share) <= least + 1 for share in shares)


def test_a_blank_document_has_no_pairs():
    rows = Rows(Dataset.from_list([{k: v for k, v in FIRST.items() if k != "row"}]))
    batch = collate([rows[BLANK]])
    assert batch.rows.tolist() == [BLANK]
    assert len(batch.cells) == len(batch.positive) == len(batch.mention_state) == 0
    both, alone = collate([rows[0], rows[BLANK]]), collate([rows[0]])
    assert torch.equal(both.cells, alone.cells) and torch.equal(both.labels(4), alone.labels(4))


def test_bucketed_batches_hold_similar_documents():
    sizes = np.random.default_rng(0).integers(10, 500, 400)
    waste = lambda order: sum(
        max(sizes[b]) * len(b) - sum(sizes[b]) for b in DocumentBatches(sizes, 4, order=order)
    )
    assert waste("bucketed") < 0.25 * waste("random")


def test_the_batch_that_is_not_full_holds_documents_of_any_size():
    """They weigh more in their batch's mean: else every epoch would favour long documents."""
    sizes = np.arange(103)
    batches = DocumentBatches(sizes, 4, order="bucketed")
    epochs = [batches.batches(epoch) for epoch in range(300)]
    left = [sizes[batch].mean() for epoch in epochs for batch in epoch if len(batch) == 3]
    # the standard deviation of a mean of 3 of 103 numbers is 17
    assert len(left) == 300 and abs(np.mean(left) - 51) < 5 * 17.2 / 300**0.5
