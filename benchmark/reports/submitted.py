"""Systems that ran elsewhere, of which there are predictions alone: scored on the runs' own test
documents, beside the runs.

They have no seeds, so nothing of them is tested, ranked or paired, and no dev scores. They come as
a study without runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import DataError
from benchmark.reports.evidence import Evidence
from benchmark.reports.tables import ABLATION, UNDEFINED, Cell, Column, Row, StatedCell, Table
from benchmark.scoring.counts import Counts, score
from benchmark.scoring.submission import Reference, read_predictions

LABEL = "predictions only"


@dataclass(frozen=True)
class ElsewhereRow(Row):
    """One system (`group`). It has no seeds, and none that it lacks."""

    @property
    def complete(self) -> bool:
        return False  # takes no part in ranks and in the marking of the best

    @property
    def coverage(self) -> str:
        return "n/a"


def predictions_table(
    files: Mapping[str, Path], reference: Reference, evidence: Evidence, dataset: str
) -> Table:
    """The scores of prediction files, a row each, in the columns of the ablation table.

    Args:
        files: name of a system -> its predictions in the official submission format.
        reference: the gold documents, and the training facts if there are any.
        evidence: of runs on this dataset.

    Raises:
        DataError: a file is faulty, or the gold documents are not those that the runs were tested
        on.
    """
    rows, notes = (
        [],
        [
            f"{LABEL.capitalize()}: made elsewhere, scored here on the test documents of our runs; "
            "no seeds, no dev scores."
        ],
    )
    for name, path in files.items():
        counts = reference.count(read_predictions(path), str(path))
        evidence.against_gold(counts, "f1")
        scores = score(counts)
        if reference.train is None:
            scores["ign_f1"] = None
        if not _same_tail(counts, evidence):
            scores["freq_f1"] = scores["ltail_f1"] = None
        rows.append(
            ElsewhereRow(name, LABEL, tuple(_cell(column, scores) for column in ABLATION), (), ())
        )
        if reference.train is None or scores["ltail_f1"] is None:
            lacking = [
                *(["Ign F1"] if reference.train is None else []),
                *(["Freq and LTail F1"] if scores["ltail_f1"] is None else []),
            ]
            notes.append(
                f"{name}: no {' and no '.join(lacking)}. Ign F1 takes the training documents "
                "(--train), Freq and LTail F1 the same "
                "frequent relations as those of the runs (--train of the same documents, or "
                "--frequent)."
            )
    title = f"{dataset}, predictions of systems that ran elsewhere"
    return Table(title, tuple(notes), "System", "Kind", ABLATION, tuple(rows))


def require_same_documents(
    reference: Reference, evidence: Sequence[Evidence], gold: str
) -> list[bool]:
    """Which of these the gold documents are the test documents of. Raises DataError, saying what
    differs, if of none.
    """
    empty, fits, reason = (
        reference.count([], gold),
        [],
        "no run holds counts per document (counts_test.json)",
    )
    for each in evidence:
        fits.append(False)
        if each:
            try:
                each.against_gold(empty, "f1")
                fits[-1] = True
            except DataError as error:
                reason = str(error)
    if not any(fits):
        raise DataError(f"{gold}: not the documents that the runs were tested on: {reason}")
    return fits


def _same_tail(counts: Counts, evidence: Evidence) -> bool:
    try:
        evidence.against_gold(counts, "ltail_f1")
    except DataError:
        return False
    return True


def _cell(column: Column, scores: Mapping) -> Cell:
    split, name = column.path
    if split != "test" or column.difference:
        return Cell()
    return Cell(absent=UNDEFINED) if scores[name] is None else StatedCell(number=100 * scores[name])
