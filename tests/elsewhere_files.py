"""Runs that were tested on the documents of the official scorer's made-up example, and the
example's files beside them.
"""

import json
from pathlib import Path
from types import SimpleNamespace

from stored_runs import run, write

from benchmark.commands.options import reference_of
from benchmark.scoring.counts import score

MADE_UP = json.loads(
    (Path(__file__).parent / "parity" / "data" / "metrics_made_up.json").read_text()
)


def store_made_up(folder: Path) -> SimpleNamespace:
    """Runs of `none` and `vae` in folder/results, with ever fewer of the example's predictions.

    Returns the paths of the files gold, train and predictions, and under `expected` the official
    scores of the predictions.
    """
    files = {name: folder / f"{name}.json" for name in ("gold", "train", "predictions")}
    for name, path in files.items():
        path.write_text(json.dumps(MADE_UP[name]))
    reference = reference_of(files["gold"], files["train"], None, "re-docred", False)
    for number, augmenter in enumerate(("none", "vae")):
        counts = reference.count(MADE_UP["predictions"][number + 1 :])
        stored = run(folder / "results", augmenter, 0, 0.5)
        stored.metrics["test"] = score(counts)
        write(stored, files={"counts_test.json": counts.to_json()})
    return SimpleNamespace(**files, expected=MADE_UP["expected"])
