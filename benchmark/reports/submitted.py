"""Prediction files of systems that ran elsewhere, scored on the test documents of our runs.

They have no seeds and no dev scores, so they are not tested, ranked or paired.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.errors import DataError
from benchmark.reports.ablation import ABLATION
from benchmark.reports.evidence import Evidence
from benchmark.reports.tables import UNDEFINED, Cell, Column, Row, Table
from benchmark.scoring.counts import Counts, score
from benchmark.scoring.submission import Reference, read_predictions

LABEL = "predictions only"


def predictions_table(
    files: Mapping[str, Path], reference: Reference, evidence: Evidence, dataset: str
) -> Table:
    """The scores of prediction files, a row each, in the columns of the ablation table.

    Args:
        files: name of a system -> its predictions in the official submission format.
        reference: the gold documents, and the training facts if there are any.
        evidence: of runs on this dataset.

    Raises:
        DataError: a file is faulty, or the gold documents are not the runs' test documents.
    """
    where = "made elsewhere, scored here on the test documents of our runs"
    rows, notes = [], [f"{LABEL.capitalize()}: {where}; no seeds, no dev scores."]
    for name, path in files.items():
        counts = reference.count(read_predictions(path), str(path))
        evidence.against_gold(counts, "f1")
        scores, lacking = score(counts), []
        if reference.train is None:
            scores["ign_f1"] = None
            lacking.append("Ign F1")
        if not _same_tail(counts, evidence):
            scores["freq_f1"] = scores["ltail_f1"] = None
        if scores["ltail_f1"] is None:
            lacking.append("Freq and LTail F1")
        cells = tuple(_cell(column, scores) for column in ABLATION)
        rows.append(Row(name, LABEL, cells, elsewhere="n/a"))
        if lacking:
            notes.append(
                f"{name}: no {' and no '.join(lacking)}. Ign F1 needs the training documents "
                "(--train). Freq and LTail F1 need the same frequent relations as the runs "
                "(--train of the same documents, or --frequent)."
            )
    title = f"{dataset}, predictions of systems that ran elsewhere"
    return Table(title, tuple(notes), "System", "Kind", ABLATION, tuple(rows))


def require_same_documents(
    reference: Reference, evidence: Sequence[Evidence], gold: str
) -> list[bool]:
    """For each of `evidence`, whether the gold documents are its runs' test documents.

    Raises DataError, saying what differs, if they are those of none.
    """
    empty, fits = reference.count([], gold), []
    reason = "no run holds counts per document (counts_test.json)"
    for each in evidence:
        fits.append(bool(each))
        try:
            if each:
                each.against_gold(empty, "f1")
        except DataError as error:
            fits[-1], reason = False, str(error)
    if not any(fits):
        raise DataError(f"{gold}: not the documents that the runs were tested on: {reason}")
    return fits


def _same_tail(counts: Counts, evidence: Evidence) -> bool:
    try:
        evidence.against_gold(counts, "ltail_f1")
    except DataError:
        return False
    return True


def _cell(column: Column, scores: Mapping[str, Any]) -> Cell:
    split, name = column.path
    if split != "test" or column.difference:
        return Cell()
    return Cell(absent=UNDEFINED) if scores[name] is None else Cell(number=100 * scores[name])
