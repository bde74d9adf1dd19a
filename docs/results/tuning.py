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
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmark.config import HEAD, read_experiment
from benchmark.store.runs import find_runs

ROOT = Path(__file__).parents[2]
SEED = 100
MARGIN = 0.5
GRID = {  # augmenter -> its option, or a key of the experiment file; the values
    "copies": ("augment.copies", (2, 1, 4)),
    "input_dropout": ("rate", (0.15, 0.05, 0.3)),
    "logit_adjustment": ("tau", (1.0, 0.5, 0.25)),
    "class_balanced": ("beta", (0.99, 0.9, 0.999)),
    "gaussian": ("scale", (0.1, 0.03, 0.3)),
    "mixup": ("alpha", (2.0, 1.0, 0.4)),
    "smote": ("neighbours", (5, 2, 20)),
    "calibrated": ("alpha", (0.21, 0.05, 0.5)),
    "era": ("rate", (0.1, 0.05, 0.3)),
    "vae": ("kl_weight", (1e-3, 1e-2, 1e-4)),
    "vaediff": ("kl_weight", (1e-3, 1e-2, 1e-4)),
    "flow": ("guidance", (0.0, 0.5, 1.0)),
}
"""The default stands first. The files in configs/small have what was chosen where it is another."""


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
            own = options[augmenter] | ({} if "." in key else {key: value})
            chosen = [f"augmenters={json.dumps(['none', {augmenter: own}])}"]
            if "." in key:
                chosen.append(f"{key}={value}")
            settings = [part for assignment in chosen for part in ("--set", assignment)]
            _run(file, folder, f"none,{augmenter}", *common, *settings)


def _run(file: str, results: Path, augmenters: str, *options: str) -> None:
    command = [sys.executable, str(ROOT / "run_benchmark.py"), "run", file]
    command += ["--results", str(results), "--seeds", str(SEED)]
    command += ["--backbones", read_experiment(file).backbones[0].name, "--augmenters", augmenters]
    subprocess.run([*command, *options], check=True)


def table(results: Path) -> str:
    """Markdown: the dev scores of `none` and of each setting that has run, and which is chosen."""
    rows = [("`none`", "", dev) for dev in _dev(results / "none", "none")]
    for augmenter, (key, values) in GRID.items():
        dev = {
            value: scores
            for value in values
            for scores in _dev(results / f"{augmenter} {key}={value}", augmenter)
        }
        best = chosen({value: scores["f1"] for value, scores in dev.items()}, values)
        for value, scores in dev.items():
            notes = ["default"] * (value == values[0]) + ["chosen"] * (value == best)
            note = f" ({', '.join(notes)})" if notes else ""
            rows.append((f"`{augmenter}`", f"`{key}` {value:g}{note}", scores))
    heads = "F1 | LTail F1 | calibrated F1 | calibrated LTail | average precision | of the tail"
    lines = [f"| augmenter | setting | {heads} |", "|---|---|" + "---:|" * 6]
    for *names, dev in rows:
        calibrated, precision = dev["calibrated"], dev["average_precision"]
        numbers = [scores[key] for scores in (dev, calibrated) for key in ("f1", "ltail_f1")]
        numbers += [precision["all"], precision["tail"]]
        shown = " | ".join(f"{100 * number:.2f}" for number in numbers)
        lines.append(f"| {' | '.join(names)} | {shown} |")
    return "\n".join(lines)


def chosen(f1: Mapping[float, float], values: Sequence[float]) -> float | None:
    """The value with the best dev F1, a fraction; the first, the default, unless another is better
    by more than MARGIN. None while some have not run.
    """
    if set(f1) != set(values):
        return None
    best, default = max(f1, key=f1.get), values[0]
    return best if 100 * (f1[best] - f1[default]) > MARGIN else default


def _dev(results: Path, augmenter: str) -> list[dict]:
    """The dev scores of its run in the cheap protocol, if it has finished."""
    runs = find_runs(results) if results.is_dir() else ()
    found = [run.read() for run in runs if run.experiment.name.endswith(HEAD)]
    return [run.metrics["dev"] for run in found if run.augmenter == augmenter]


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    if command == "run":
        run(arguments[0], Path(arguments[1]), *arguments[2:])
    else:
        print(table(Path(arguments[0])))
