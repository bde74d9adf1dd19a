"""What a model says of documents and of their pseudo-documents, merged (Ma et al. 2023, inference-
stage fusion).

A fact that both find is accepted. All others are ranked by the sum of their scores. If only one of
the two scores a fact, ONCE is taken off its score. One threshold, tuned on dev, decides which of
them are predicted.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from benchmark.scoring.calibration import PER_ENTITY

# beside the plain scores of a split in metrics.json -> where metrics.json has the threshold
FUSED = {"fused": "fusion_threshold"}
ONCE = 10.0  # taken off a fact that is scored once
ACCEPTED = 1000.0  # the score of an accepted fact: above every sum, so above every threshold


class Scores(NamedTuple):
    """Facts as numbers of any kind, and how far each lies above the threshold class."""

    facts: np.ndarray  # [K] int64
    values: np.ndarray  # [K]


def strongest(scores: Scores) -> Scores:
    """Each fact once, ascending, with its highest score."""
    facts, place = np.unique(scores.facts, return_inverse=True)
    values = np.full(len(facts), -np.inf)
    np.maximum.at(values, place, scores.values)
    return Scores(facts, values)


def merged(documents: Scores, pseudo: Scores) -> Scores:
    """Each fact of the two once, with the score that it is ranked by.

    pseudo: the same fact may come from several pseudo-documents; the highest score counts.
    """
    both = [strongest(documents), strongest(pseudo)]
    facts = np.union1d(*(scores.facts for scores in both))
    table = np.full((2, len(facts)), -np.inf)
    for row, scores in zip(table, both, strict=True):
        row[np.searchsorted(facts, scores.facts)] = scores.values
    twice = np.isfinite(table).all(axis=0)
    values = np.where(twice, table.sum(axis=0), table.max(axis=0, initial=-np.inf) - ONCE)
    return Scores(facts, np.where((table > 0).all(axis=0), ACCEPTED, values))


def most_likely(values: np.ndarray, document: np.ndarray, entities: np.ndarray) -> np.ndarray:
    """Numbers of the facts that stay candidates, ascending: of each document those that are
    accepted, and PER_ENTITY for each of its entities, the highest of the rest.

    Args:
        values, document: [K] the score and the document of each fact.
        entities: [documents] how many each has.
    """
    order = np.lexsort((-values, document))
    count = np.bincount(document, minlength=len(entities))
    place = np.arange(len(order)) - (np.cumsum(count) - count)[document[order]]
    accepted = np.bincount(document[values == ACCEPTED], minlength=len(entities))
    room = accepted + PER_ENTITY * entities
    return np.sort(order[place < room[document[order]]])
