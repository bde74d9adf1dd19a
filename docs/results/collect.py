"""Copy finished runs without their large files, to publish them.

    python docs/results/collect.py RESULTS DESTINATION

Predictions, candidates, drawn samples and weights stay behind. The counts hold every number that a
table or a test needs. DONE keeps the digests of the files left behind and lists them, so that
`report --verify` says what it could not recompute instead of calling the run damaged. Runs that
the destination already has are not touched.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from benchmark.store.files import read_json, write_json
from benchmark.store.runs import find_runs

LEFT_OUT = ("predictions_*.json", "candidates_*.json", "sample.json")


def collect(results: Path, destination: Path) -> int:
    """Copy the finished, undamaged runs of `results`; returns how many were new."""
    new = 0
    for run in find_runs(results):
        target = destination / run.path.relative_to(results)
        if (target / "DONE").exists():
            continue
        run.verify()
        marker = read_json(run.path / "DONE")
        large = {path.name for pattern in LEFT_OUT for path in run.path.glob(pattern)}
        target.mkdir(parents=True, exist_ok=True)
        for name in marker["sha256"].keys() - large:
            shutil.copy2(run.path / name, target / name)
        left_out = sorted(large.union(marker.get("left_out", ())))
        write_json(target / "DONE", {**marker, "left_out": left_out})
        new += 1
    for plan in results.glob("*/experiment.json"):  # what the experiment asks for
        shutil.copy2(plan, destination / plan.relative_to(results))
    return new


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    print(f"{collect(Path(sys.argv[1]), Path(sys.argv[2]))} new runs")
