"""Generators and label sets for tests of augmenters and backbones."""

import torch


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def multi_hot(*sets, classes=5):
    """Labels [sets, classes] of sets of relations."""
    labels = torch.zeros(len(sets), classes)
    for row, relations in enumerate(sets):
        labels[row, list(relations)] = 1
    return labels
