"""Pseudo-documents: some sentences of a document as a feature row of its own, which collators and
models take like any other.
"""

from __future__ import annotations

import numpy as np
import torch

from benchmark.data.sampling import BLANK, Rows

NOTHING = np.zeros(0, dtype=np.int64)


def sentence_sets(row: dict, pairs: np.ndarray, evidence: np.ndarray) -> np.ndarray:
    """[Q, S] bool: the sentences of each pseudo-document that the pairs of a document ask for.

    A pair asks for its evidence, and for the first sentence of its head and of its tail where they
    have no mention there. Pairs that ask for the same share one.

    Args:
        pairs: [P, 2] (head, tail). evidence: [P, S] bool, at least one sentence each.
    """
    wanted = evidence.copy()
    named = np.zeros((int(row["entities"]), wanted.shape[1]), dtype=bool)
    named[row["mention_entity"], row["mention_sentence"]] = True
    first = named.argmax(axis=1)
    for entity in pairs.T:  # the tail may be named where the head is
        absent = np.flatnonzero(~(wanted & named[entity]).any(axis=1))
        wanted[absent, first[entity[absent]]] = True
    return np.unique(wanted, axis=0)


def cut(row: dict, chosen: np.ndarray) -> tuple[dict, np.ndarray]:
    """The chosen sentences of a feature row as a row without facts, and its entities: [n] their
    numbers in the document. An entity is there if a mention of it is.

    Args:
        row: with all columns of `FEATURES`. chosen: [S] bool.
    """
    start = np.asarray(row["sentence_start"])
    sizes = np.diff(start, append=len(row["tokens"]))
    kept = np.where(chosen, sizes, 0)
    new_start = np.cumsum(kept) - kept
    sentence = np.asarray(row["mention_sentence"])
    inside = chosen[sentence]
    sentence = sentence[inside]
    entities, entity = np.unique(np.asarray(row["mention_entity"])[inside], return_inverse=True)
    moved = lambda column: np.asarray(row[column])[inside] + (new_start - start)[sentence]
    tokens = np.asarray(row["tokens"])[np.repeat(chosen, sizes)]
    unknown = [name for name in row if name.startswith(("fact_", "evidence_"))]
    piece = {
        **dict.fromkeys(unknown, NOTHING),
        "tokens": tokens,
        "length": len(tokens),
        "mention_position": moved("mention_position"),
        "mention_end": moved("mention_end"),
        "mention_entity": entity,
        "mention_sentence": (np.cumsum(chosen) - 1)[sentence],
        "entities": len(entities),
        "entity_type": np.asarray(row["entity_type"])[entities],
        "sentence_start": new_start[chosen],
    }
    return piece, entities


class PseudoDocuments(torch.utils.data.Dataset):
    """The pseudo-documents of a split as feature rows with their numbers.

    Args:
        documents: the split, with all columns.
        evidence: [K, 4] (document, head, tail, sentence).

    Attributes:
        document: [Q] the document that each is cut from.
        sizes: [Q] tokens of each.
        entities: [Q, N] the numbers that its entities have in the document; -1 behind the last.
    """

    def __init__(self, documents: Rows, evidence: np.ndarray):
        evidence = evidence[np.argsort(evidence[:, 0], kind="stable")]
        numbers, begin = np.unique(evidence[:, 0], return_index=True)
        self.rows, self.blank = [], documents[BLANK]
        document, entities = [], []
        for number, found in zip(numbers.tolist(), np.split(evidence, begin)[1:], strict=True):
            row = documents[number]
            pairs, pair = np.unique(found[:, 1:3], axis=0, return_inverse=True)
            asked = np.zeros((len(pairs), len(row["sentence_start"])), dtype=bool)
            asked[pair, found[:, 3]] = True
            for chosen in sentence_sets(row, pairs, asked):
                piece, of_piece = cut(row, chosen)
                self.rows.append(piece | {"row": len(self.rows)})
                document.append(number)
                entities.append(of_piece)
        self.document = np.array(document, dtype=np.int64)
        self.sizes = np.array([row["length"] for row in self.rows], dtype=np.int64)
        self.entities = np.full((len(entities), max(map(len, entities), default=0)), -1)
        for padded, of_piece in zip(self.entities, entities, strict=True):
            padded[: len(of_piece)] = of_piece

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> dict:
        return self.blank if number == BLANK else self.rows[number]
