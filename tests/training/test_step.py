"""Which pairs a step augments."""

import torch

from benchmark.training.step import Requests

# relation 1 holds 90 times in train, relation 2 ten times
TRAIN = torch.tensor([[0.0, 1, 0]] * 90 + [[0.0, 0, 1]] * 10)


def test_every_pair_m_times():
    rows = Requests(3, 0.0, TRAIN).choose(TRAIN[:4], torch.Generator())
    assert rows.tolist() == [0, 1, 2, 3] * 3


def test_rare_relations_more_often():
    batch = torch.tensor([[0.0, 1, 0], [0, 0, 1], [0, 1, 1]])
    requests = Requests(2000, 1.0, TRAIN)
    rows = requests.choose(batch, torch.Generator().manual_seed(0))
    assert len(rows) == 6000
    share = torch.bincount(rows).double() / 6000
    # weights 1/90, 1/10 and, by its rarest relation, 1/10
    torch.testing.assert_close(share, torch.tensor([1.0, 9, 9]).double() / 19, atol=0.02, rtol=0)
    assert torch.equal(rows, requests.choose(batch, torch.Generator().manual_seed(0)))


def test_no_pair():
    for rarity in (0.0, 1.0):
        assert Requests(2, rarity, TRAIN).choose(TRAIN[:0], torch.Generator()).tolist() == []


def test_no_rarity_is_too_great():
    """(1 / 1000) ^ 1e6 underflows for the frequent pair alone: the rare one is always drawn."""
    labels = torch.zeros(1001, 3)
    labels[:1000, 1] = 1
    labels[1000, 2] = 1
    rows = Requests(2, 1e6, labels).choose(labels[999:], torch.Generator().manual_seed(0))
    assert rows.tolist() == [1] * 4
