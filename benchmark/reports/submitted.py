"""Prediction files of systems that ran elsewhere, scored on the test documents of our runs.

They have no seeds and no dev scores, so they are not tested, ranked or paired.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark.errors import DataError
from benchmark.reports.ablation import ABLATION, ON_TEST
from benchmark.reports.evidence import Evidence
from benchmark.reports.tables import UNDEFINED, Cell, Row, Table
from benchmark.scoring.counts import score
from benchmark.scoring.submission import Reference, read_predictions

LABEL = "predictions only"
UNRANKED = (
    "Predictions made elsewhere stand at their score, without a rank: `compare` tests them "
    "against a run."
)


def predictions_tables(
    files: Mapping[str, Path], reference: Reference, evidence: Mapping[Any, Evidence]
) -> dict[Any, Table]:
    """Their scores, a row each, in the columns of the ablation table.

    files: name of a system -> its predictions in the official submission format.
    evidence: of the runs of each board; those with other test documents get no table.

    Raises DataError for a faulty file, and if no runs were tested on the reference's documents.
    """
    empty = reference.count([])
    differences = {data: each.difference(empty, "f1") for data, each in evidence.items()}
    if all(differences.values()):
        raise DataError(
            "--gold: not the documents that the runs were tested on: "
            f"{next(iter(differences.values()))}"
        )
    # the tail of other frequent relations is another tail
    tail = {data: not each.difference(empty, "ltail_f1") for data, each in evidence.items()}
    return {
        data: _table(files, reference, tail[data])
        for data, difference in differences.items()
        if not difference
    }


def _table(files: Mapping[str, Path], reference: Reference, tail: bool) -> Table:
    lacking = ["Ign F1"] * (reference.train is None) + ["Freq and LTail F1"] * (not tail)
    notes = [
        f"{LABEL.capitalize()}: made elsewhere, scored here on the test documents of our runs; no "
        "seeds, no dev scores."
    ]
    if lacking:
        notes.append(
            f"They have no {' and no '.join(lacking)}. Ign F1 needs the training facts (--train or "
            "--train-facts), Freq and LTail F1 the same frequent relations as the runs "
            "(--frequent, or --train of the same documents)."
        )
    rows = []
    for name, path in files.items():
        scores = score(reference.count(read_predictions(path), str(path)))
        scores |= {"ign_f1": None} if reference.train is None else {}
        scores |= {} if tail else {"freq_f1": None, "ltail_f1": None}
        values = {column.key: scores[column.path[-1]] for column in ON_TEST}
        cells = {
            key: Cell(absent=UNDEFINED) if value is None else Cell(number=100 * value)
            for key, value in values.items()
        }
        rows.append(Row(name, LABEL, cells, elsewhere="n/a"))
    return Table(LABEL, tuple(notes), "System", "Kind", ABLATION, tuple(rows))
