"""Logits of finished runs as targets for another one (KD-DocRE's knowledge distillation), aligned
by document title.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from benchmark.data.batches import Batch
from benchmark.data.collation import Collator
from benchmark.data.sampling import BLANK
from benchmark.errors import UserError
from benchmark.store.cleaning import LOGITS
from benchmark.training.checkpoints import read_tensors, write_tensors


def store_logits(
    folder: Path, logits: list[Tensor], titles: list[str], relations: Sequence[str]
) -> None:
    """Write each training document's pair logits [P, R]."""
    pairs = torch.tensor([len(document) for document in logits])
    facts = {"titles": titles, "relations": list(relations)}
    write_tensors(folder / LOGITS, {"logits": torch.cat(logits), "pairs": pairs}, facts)


def require_teacher(run: str) -> Path:
    """The file of a teacher's logits. Raises UserError when the run stored none or is not
    finished.
    """
    path = Path(os.path.expanduser(run)) / LOGITS
    if not path.is_file():
        raise UserError(
            f"teacher: {path} is missing: run the teacher with --set train.store_logits=true"
        )
    if not (path.parent / "DONE").is_file():
        raise UserError(f"teacher: {path.parent} is not finished: run it to its end first")
    return path


def stored_logits(run: str, titles: Sequence[str], relations: Sequence[str]) -> list[Tensor]:
    """[P, R] logits that a finished run stored of each of these training documents.

    Raises:
        UserError: the run stored no logits, has another relation inventory, or lacks one of the
            documents.
    """
    path = require_teacher(run)
    tensors, facts = read_tensors(path)
    if facts["relations"] != list(relations):
        raise UserError(f"teacher: {path} was made with another relation inventory")
    if missing := sorted(set(titles) - set(facts["titles"])):
        raise UserError(
            f"teacher: {path} lacks {len(missing)} of the training documents, e.g. '{missing[0]}'"
        )
    split = tensors["logits"].split(tensors["pairs"].tolist())
    known = dict(zip(facts["titles"], split, strict=True))
    return [known[title] for title in titles]


class TaughtCollator:
    """A collator whose batches bring along the teachers' mean logits of their pairs, as stored by
    finished runs. `titles` are those of the training documents, by row number.

    Raises UserError for a teacher without logits, with other relations or entities, or without one
    of the documents.
    """

    def __init__(
        self,
        collator: Collator,
        teachers: Sequence[str],
        titles: Sequence[str],
        relations: Sequence[str],
    ):
        self.collator = collator
        of_teachers = [stored_logits(run, titles, relations) for run in teachers]
        if len({tuple(map(len, logits)) for logits in of_teachers}) > 1:
            raise UserError("teachers: their training documents have different entities")
        self.logits = [torch.stack(of).mean(0) for of in zip(*of_teachers, strict=True)]

    def __call__(self, rows: Sequence[dict]) -> Batch:
        batch = self.collator(rows)
        logits = [self.logits[row] for row in batch.rows.tolist() if row != BLANK]
        batch.teacher = torch.cat([self.logits[0][:0], *logits])
        if len(batch.teacher) != len(batch.pair_cell):
            raise UserError("teacher: its training documents have other entities than these")
        return batch
