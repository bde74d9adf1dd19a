"""`bank`: training pairs by label set."""

import torch

from augmenters.bank import Bank

ROWS = torch.arange(12.0).view(6, 2)
LABELS = torch.tensor([[0, 1, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1], [0, 0, 1], [0, 1, 0]]).float()


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def fitted(rows=ROWS, labels=LABELS):
    bank = Bank()
    bank.fit(rows, labels, rng=rng())
    return bank


def test_rows_are_training_pairs_of_the_label_set_all_of_them_in_time():
    wanted = LABELS[[0, 2]].repeat(200, 1)
    rows, labels = fitted().augment(torch.zeros(400, 2), wanted, rng=rng())
    assert torch.equal(labels, wanted)
    assert {tuple(row) for row in rows[::2].tolist()} == {(0, 1), (2, 3), (10, 11)}  # pairs 0, 1, 5
    assert {tuple(row) for row in rows[1::2].tolist()} == {(4, 5), (6, 7), (8, 9)}  # pairs 2, 3, 4
    first = (rows[::2] == torch.tensor([0.0, 1.0])).all(1).sum()
    assert 45 < first < 90  # a third of 200


def test_the_rows_given_do_not_matter():
    bank = fitted()
    one = bank.augment(torch.zeros(6, 2), LABELS, rng=rng(3))[0]
    assert torch.equal(one, bank.augment(torch.ones(6, 2), LABELS, rng=rng(3))[0])


def test_an_unseen_label_set_takes_the_nearest():
    both = torch.tensor([[0.0, 1.0, 1.0]]).repeat(300, 1)  # overlap 1/2 with either
    rows, _ = fitted().augment(torch.zeros(300, 2), both, rng=rng())
    assert len({tuple(row) for row in rows.tolist()}) == 6


def test_what_is_stored_gives_the_same_rows():
    bank, loaded = fitted(), Bank()
    loaded.load_state_dict(bank.state_dict())
    assert torch.equal(
        loaded.augment(ROWS, LABELS, rng=rng(1))[0], bank.augment(ROWS, LABELS, rng=rng(1))[0]
    )
    bank.fit(ROWS + 100, LABELS, rng=rng())  # fitted anew: nothing of the old rows is left
    assert bank.augment(ROWS, LABELS, rng=rng(1))[0].min() >= 100
