"""Generators and label sets for tests of augmenters and backbones."""

import torch

from benchmark.data.pairs import Pairs


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def multi_hot(*sets, classes=5):
    """Labels [sets, classes] of sets of relations."""
    labels = torch.zeros(len(sets), classes)
    for row, relations in enumerate(sets):
        labels[row, list(relations)] = 1
    return labels


def mixture(rows, sets, seed=0, width=10):
    """Pairs of label sets that are drawn at random, each near a centre of its own; the centres."""
    centres = 3 * torch.randn(len(sets), width, generator=rng(50)).sign()
    ids = torch.randint(len(sets), (rows,), generator=rng(seed))
    noise = 0.2 * torch.randn(rows, width, generator=rng(seed + 1))
    return Pairs(centres[ids] + noise, sets[ids]), centres[ids]


def spy(monkeypatch, owner, method, record):
    """Calls `record(result, *arguments, **options)` after every call to a method."""
    original = getattr(owner, method)

    def watched(*arguments, **options):
        result = original(*arguments, **options)
        record(result, *arguments, **options)
        return result

    monkeypatch.setattr(owner, method, watched)
