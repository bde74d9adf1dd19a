"""Copy finished runs without their large files, to publish them.

    python docs/results/collect.py RESULTS DESTINATION

Predictions, candidates, drawn samples and weights stay behind. The counts give every F1, precision
and recall of a table or a test; they and the history go into one archive, which takes an eighth of
their room (benchmark/store/packed.py). Average precision and thresholds, which follow from the
candidates alone, stand in metrics.json and cannot be recomputed any more. DONE lists the files left
behind, so that `report --verify` names these scores instead of calling the run damaged. Runs that
the destination already has are not touched; those trained anew since are named: move the published
ones away to take them instead.
"""

import shutil
import sys
from pathlib import Path

from benchmark.store.runs import RunDirectory, find_runs

LEFT_OUT = ("predictions_*.json", "candidates_*.json", "sample.json")
PACKED = ("counts_*.json", "history.jsonl")
METRICS = "metrics.json"


def collect(results: Path, destination: Path) -> tuple[int, list[Path]]:
    """Copy the finished runs of `results`.

    Returns how many were new, and the folders below `destination` that hold another run than
    `results`. Raises UserError for a damaged run.
    """
    new, others = 0, []
    for run in find_runs(results):
        target = destination / run.path.relative_to(results)
        if not (target / "DONE").exists():
            run.verify()
            run.copy_results(target, *LEFT_OUT, packed=PACKED)
            new += 1
        elif RunDirectory(target).read_json(METRICS) != run.read_json(METRICS):
            others.append(target)
    for plan in results.glob("*/experiment.json"):  # what it asks for; one that is there stays
        folder = destination / plan.parent.name
        if folder.is_dir() and not (folder / plan.name).exists():
            shutil.copy2(plan, folder)
    return new, others


if __name__ == "__main__":
    new, others = collect(*map(Path, sys.argv[1:]))
    print(f"{new} new runs")
    for other in others:
        print(f"{other}: holds another run, and was left as it is")
