"""Copy finished runs without their large files, to publish them.

    python docs/results/collect.py RESULTS DESTINATION

Predictions, candidates, drawn samples and weights stay behind. The counts give every F1, precision
and recall of a table or a test; they and the history go into one archive, which takes an eighth of
their room (benchmark/store/packed.py). Average precision and thresholds, which follow from the
candidates alone, stand in metrics.json and cannot be recomputed any more. DONE lists the files left
behind, so that `report --verify` names these scores instead of calling the run damaged. Runs that
the destination already has are not touched.
"""

import shutil
import sys
from pathlib import Path

from benchmark.store.runs import find_runs

LEFT_OUT = ("predictions_*.json", "candidates_*.json", "sample.json")
PACKED = ("counts_*.json", "history.jsonl")


def collect(results: Path, destination: Path) -> int:
    """Copy the finished runs of `results`; returns how many were new.

    Raises UserError for a damaged run.
    """
    new = 0
    for run in find_runs(results):
        target = destination / run.path.relative_to(results)
        if not (target / "DONE").exists():
            run.verify()
            run.copy_results(target, *LEFT_OUT, packed=PACKED)
            new += 1
    for plan in results.glob("*/experiment.json"):  # what it asks for; one that is there stays
        folder = destination / plan.parent.name
        if folder.is_dir() and not (folder / plan.name).exists():
            shutil.copy2(plan, folder)
    return new


if __name__ == "__main__":
    print(f"{collect(*map(Path, sys.argv[1:]))} new runs")
