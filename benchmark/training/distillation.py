"""Logits of a finished run as targets for another one (KD-DocRE's knowledge distillation), aligned
by document title.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmark.data.batches import BLANK, Batch, Collator
from benchmark.errors import UserError
from benchmark.training.checkpoints import read_tensors, write_tensors

FILE = "logits_train.safetensors"


def store_logits(
    folder: Path, logits: list[Tensor], titles: list[str], relations: tuple[str, ...]
) -> None:
    """Write each training document's pair logits [P, R]."""
    pairs = torch.tensor([len(document) for document in logits])
    write_tensors(
        folder / FILE,
        {"logits": torch.cat(logits), "pairs": pairs},
        {"titles": titles, "relations": list(relations)},
    )


def require_teacher(run: str) -> Path:
    """The file of a teacher's logits. Raises UserError when the run stored none."""
    path = Path(run).expanduser() / FILE
    if not path.is_file():
        raise UserError(
            f"distill_from: {path} is missing: run the teacher with --set train.store_logits=true"
        )
    return path


class Teacher:
    """The stored logits of a finished run.

    Raises:
        UserError: the run stored no logits, has another relation inventory, or lacks one of the
        documents.
    """

    def __init__(self, run: str, titles: list[str], relations: tuple[str, ...]):
        path = require_teacher(run)
        tensors, facts = read_tensors(path)
        if facts["relations"] != list(relations):
            raise UserError(f"distill_from: {path} was made with another relation inventory")
        missing = sorted(set(titles) - set(facts["titles"]))
        if missing:
            raise UserError(
                f"distill_from: {path} lacks {len(missing)} of the training documents, e.g. "
                f"'{missing[0]}'"
            )
        split = dict(
            zip(facts["titles"], tensors["logits"].split(tensors["pairs"].tolist()), strict=True)
        )
        self.logits = [split[title] for title in titles]

    def attach(self, batch: Batch) -> Batch:
        """The batch with the teacher's logits [P, R] of its pairs."""
        logits = [self.logits[row] for row in batch.rows.tolist() if row != BLANK]
        batch.teacher = torch.cat([self.logits[0][:0], *logits])
        expected = np.asarray(batch.entities) * (np.asarray(batch.entities) - 1)
        if len(batch.teacher) != int(expected.sum()):
            raise UserError("distill_from: the teacher saw other entities in these documents")
        return batch


class TaughtCollator:
    """A collator whose batches bring the teacher's logits along."""

    def __init__(self, collator: Collator, teacher: Teacher):
        self.collator, self.teacher = collator, teacher

    def __call__(self, rows) -> Batch:
        return self.teacher.attach(self.collator(rows))
