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
UNRANKED = (
    "Predictions made elsewhere stand at their score, without a rank: compare them with a run by "
    "`compare`."
)


def predictions_table(
    files: Mapping[str, Path], reference: Reference, evidence: Evidence, dataset: str
) -> Table:
    """The scores of prediction files, a row each, in the columns of the ablation table.

    Args:
        files: name of a system -> its predictions in the official submission format.
        reference: the gold documents, and the training facts if there are any.
        evidence: of runs on this dataset, see `require_same_documents`.

    Raises:
        DataError: a file is faulty.
    """
    where = "made elsewhere, scored here on the test documents of our runs"
    rows, notes = [], [f"{LABEL.capitalize()}: {where}; no seeds, no dev scores."]
    for name, path in files.items():
        counts = reference.count(read_predictions(path), str(path))
        scores, lacking = score(counts), []
        if reference.train is None:
            scores["ign_f1"] = None
            lacking.append("Ign F1")
        if _difference(counts, evidence, "ltail_f1"):
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
    empty = reference.count([], gold)
    differences = [_difference(empty, each, "f1") for each in evidence]
    if all(differences):
        raise DataError(
            f"{gold}: not the documents that the runs were tested on: {differences[-1]}"
        )
    return [not difference for difference in differences]


def _difference(counts: Counts, evidence: Evidence, measure: str) -> str:
    """What sets the gold facts behind counts apart from those of the runs; empty for nothing."""
    if not evidence:
        return "no run holds counts per document (counts_test.json)"
    try:
        evidence.against_gold(counts, measure)
    except DataError as error:
        return str(error)
    return ""


def _cell(column: Column, scores: Mapping[str, Any]) -> Cell:
    split, name = column.path
    if split != "test" or column.difference:
        return Cell()
    return Cell(absent=UNDEFINED) if scores[name] is None else Cell(number=100 * scores[name])
