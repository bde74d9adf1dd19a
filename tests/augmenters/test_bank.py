"""`bank`: training pairs by label set."""

import torch
from tensors import rng

from augmenters.bank import Bank

ROWS = torch.arange(12.0).view(6, 2)
LABELS = torch.tensor([[0, 1, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1], [0, 0, 1], [0, 1, 0]]).float()


def fitted(rows=ROWS, labels=LABELS):
    bank = Bank()
    bank.fit(rows, labels, rng=rng())
    bank.prepare(labels, rng=rng())
    return bank


def test_rows_are_training_pairs_of_the_label_set_all_of_them_in_time():
    wanted = LABELS[[0, 2]].repeat(200, 1)
    rows, labels = fitted().augment(torch.zeros(400, 2), wanted, rng=rng())
    assert torch.equal(labels, wanted)
    assert {tuple(row) for row in rows[::2].tolist()} == {(0, 1), (2, 3), (10, 11)}  # pairs 0, 1, 5
    assert {tuple(row) for row in rows[1::2].tolist()} == {(4, 5), (6, 7), (8, 9)}  # pairs 2, 3, 4
    first = (rows[::2] == torch.tensor([0.0, 1.0])).all(1).sum()
    assert 45 < first < 90  # a third of 200
