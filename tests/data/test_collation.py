"""Packing: windows, pairs and labels."""

import numpy as np
import pytest
import torch
from datasets import Dataset

from benchmark.data.collation import Collator
from benchmark.data.sampling import BLANK, Rows
from benchmark.data.windows import WindowPlan


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


@pytest.mark.parametrize("length", [4, 14])
def test_the_end_stands_for_a_mention_without_tokens_behind_the_text(length):
    """Unmarked, and of characters that the tokenizer drops."""
    batch = collate([row(0, length, [(0, 1), (1, length)], 2)])
    assert batch.occurrence_mention.tolist() == [0, 1]
    place = batch.occurrence_window[-1], batch.occurrence_column[-1]
    assert batch.window_ids[place] == 2 and batch.window_target[place] == batch.mention_state[1]


def test_a_blank_document_has_no_pairs():
    rows = Rows(Dataset.from_list([{k: v for k, v in FIRST.items() if k != "row"}]))
    batch = collate([rows[BLANK]])
    assert batch.rows.tolist() == [BLANK]
    assert len(batch.cells) == len(batch.positive) == len(batch.mention_state) == 0
    both, alone = collate([rows[0], rows[BLANK]]), collate([rows[0]])
    assert torch.equal(both.cells, alone.cells) and torch.equal(both.labels(4), alone.labels(4))
