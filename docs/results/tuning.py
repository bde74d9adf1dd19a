"""Choose one hyper-parameter of each augmenter on dev, with a seed that is not reported.

    python docs/results/tuning.py run configs/small/redocred_400.yaml RESULTS [--set KEY=VALUE ...]
    python docs/results/tuning.py table RESULTS

GRID was written down before any of its runs: three values each, the default among them. All train
the head alone (`augment.stage3: head`) with the first backbone of the file. Another value replaces
the default only if its dev F1 is higher by more than MARGIN, about the standard deviation over
seeds. What is done is not run again; test scores are not looked at.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmark.config import read_experiment
from benchmark.store.runs import find_runs

ROOT = Path(__file__).parents[2]
SEED = 100
MARGIN = 0.5
GRID = {  # augmenter -> its option, or a key of the experiment file; the values
    "gaussian": ("scale", (0.1, 0.03, 0.3)),
    "copies": ("augment.copies", (2, 1, 4)),
    "vaediff": ("kl_weight", (1e-3, 1e-2, 1e-4)),
    "input_dropout": ("rate", (0.15, 0.05, 0.3)),
    "logit_adjustment": ("tau", (1.0, 0.5, 0.25)),
    "mixup": ("alpha", (2.0, 1.0, 0.4)),
    "smote": ("neighbours", (5, 2, 20)),
    "vae": ("kl_weight", (1e-3, 1e-2, 1e-4)),
    "class_balanced": ("beta", (0.99, 0.9, 0.999)),
    "era": ("rate", (0.1, 0.05, 0.3)),
    "flow": ("guidance", (0.0, 0.5, 1.0)),
    "calibrated": ("alpha", (0.21, 0.05, 0.5)),
}
"""The default, which stands first, is that of the experiment files in configs/small."""


def run(file: str, results: Path, *overrides: str) -> None:
    """`none` first, then each setting in a results folder of its own, which shares the runs of
    `none` by hard links.
    """
    options = {choice.name: choice.options for choice in read_experiment(file).augmenters}
    common = (*overrides, "--set", "augment.stage3=head")
    _run(file, results / "none", "none", *common)
    for augmenter, (key, values) in GRID.items():
        for value in values:
            folder = results / f"{augmenter} {key}={value}"
            for done in sorted((results / "none").glob(f"*/*/none/seed-{SEED}")):
                target = folder / done.relative_to(results / "none")
                if not target.exists():
                    shutil.copytree(done, target, copy_function=os.link)
            own = options[augmenter] if "." in key else options[augmenter] | {key: value}
            of_file = ("--set", f"{key}={value}") if "." in key else ()
            chosen = json.dumps(["none", {augmenter: own}])
            _run(file, folder, f"none,{augmenter}", *common, *of_file, "--set", f"augmenters={chosen}")


def _run(file: str, results: Path, augmenters: str, *options: str) -> None:
    command = [sys.executable, str(ROOT / "run_benchmark.py"), "run", file]
    command += ["--results", str(results), "--augmenters", augmenters, "--seeds", str(SEED), *options]
    backbone = read_experiment(file).backbones[0].name
    subprocess.run([*command, "--backbones", backbone], check=True)


def table(results: Path) -> str:
    """Markdown: the dev scores of each setting that has run, and which one is chosen."""
    lines = ["| augmenter | setting | dev F1 | dev LTail F1 | dev AP | |", "|---|---|---:|---:|---:|---|"]
    for augmenter, (key, values) in GRID.items():
        scores = {}
        for value in values:
            for done in find_runs(results / f"{augmenter} {key}={value}"):
                if done.augmenter == augmenter:
                    scores[value] = done.read().metrics["dev"]
        f1 = {value: 100 * dev["f1"] for value, dev in scores.items()}
        best = max(f1, key=f1.get, default=None)
        default = values[0]
        if default in f1 and f1[best] - f1[default] <= MARGIN:
            best = default
        for value, dev in scores.items():
            numbers = [f1[value], 100 * dev["ltail_f1"], 100 * dev["average_precision"]["all"]]
            told = " | ".join(f"{number:.2f}" for number in numbers)
            chosen = "chosen" if value == best and len(f1) == len(values) else ""
            lines.append(f"| {augmenter} | {key} {value} | {told} | {chosen} |")
    return "\n".join(lines)


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    if command == "run":
        run(arguments[0], Path(arguments[1]), *arguments[2:])
    else:
        print(table(Path(arguments[0])))
