"""figures: relation frequencies, and generated pairs beside real ones, from result files alone."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from benchmark.commands.leaderboard import readable_runs
from benchmark.commands.options import argument, names, option
from benchmark.errors import UserError
from benchmark.store.files import make_folder
from benchmark.store.runs import RunDirectory, StoredRun

if TYPE_CHECKING:
    from benchmark.reports.plots import Sample

SAMPLE = "sample.json"

Folders = argument(list[Path], "Folders of experiments or runs.", "DIR...")
Shown = option(str | None, "Relations to show: P40,P569. Default: eight rare ones.", metavar="LIST")
Out = option(Path | None, "Default: figures/ in the folder of the first experiment.", metavar="DIR")


def figures(folders: Folders, relations: Shown = None, out: Out = None) -> None:
    """Draw figures like the paper's Figures 1 and 5.

    relation_frequency: the training facts of each relation, a panel for each dataset.

    BACKBONE-AUGMENTER-seed-K: entity pairs of some relations, as t-SNE of their representations in
    the stage 1 model; real ones of the dev split (dots) and generated ones (crosses). One for every
    run with a sample.json, which is written with quality.json.

    Each as PNG and SVG. Needs matplotlib and scikit-learn, but no data and no model.

    Examples:

      \b
      python run_benchmark.py figures results/demo
      python run_benchmark.py figures results/demo/atlop/vaediff/seed-0 \\
          --relations P40,P569,P570 --out figures
    """
    from benchmark.progress import Progress
    from benchmark.reports.plots import generated_pairs
    from benchmark.reports.study import folder_of

    chosen = names("--relations", relations)
    found, left_out = readable_runs(folders)
    for sentence in left_out:
        typer.echo(f"left out: {sentence}", err=True)
    runs = list({run.path.resolve(): run for run in found}.values())
    if not runs:
        raise UserError(f"{', '.join(map(str, folders))}: no finished run there")
    sampled = [run for run in runs if (run.path / SAMPLE).is_file()]
    if chosen is not None and not sampled:
        raise UserError(
            f"--relations: no run there has a {SAMPLE}; see: python run_benchmark.py quality --help"
        )
    if not sampled and not any(run.metrics.get("test_relations") for run in runs):
        raise UserError(
            f"{', '.join(map(str, folders))}: nothing to draw. No run there has the scores of each "
            f"relation (test_relations in its metrics.json) or a {SAMPLE}; see: "
            "python run_benchmark.py quality --help"
        )
    out = out or folder_of(runs[0]) / "figures"
    make_folder(out)
    several = len({folder_of(run) for run in runs}) > 1
    written = _frequency_figure(runs, out)
    if not sampled:
        typer.echo(f"no figure of pairs: no run there has a {SAMPLE}", err=True)
    with Progress.for_console().task("figures", total=len(sampled)) as bar:
        for run in sampled:
            cell = [run.backbone, run.augmenter, f"seed-{run.seed}"]
            name = "-".join([run.experiment] * several + cell)
            title = f"{run.dataset}, {run.backbone}: real pairs and those of {run.augmenter}, "
            written += generated_pairs(_sample(run, chosen), f"{title}seed {run.seed}", out / name)
            bar.advance()
    typer.echo(f"written: {', '.join(map(str, written))}", err=True)


def _frequency_figure(runs: Iterable[StoredRun], out: Path) -> list[Path]:
    from benchmark.reports.plots import relation_frequency
    from benchmark.reports.study import inventory

    frequencies: dict[str, Any] = {}
    known: dict[str, str] = {}
    for run in runs:
        scores = run.metrics.get("test_relations", {})
        if scores and run.dataset not in frequencies:
            counts = {name: score["train_frequency"] for name, score in scores.items()}
            relations = inventory(run)
            frequencies[run.dataset] = counts, relations.get("frequent")
            known |= dict(relations.get("relations", []))
    return relation_frequency(frequencies, known, out / "relation_frequency") if frequencies else []


def _sample(run: StoredRun, asked: list[str] | None) -> Sample:
    """The run's sample. Raises UserError if it is faulty or was changed later."""
    from benchmark.reports.plots import Sample
    from benchmark.reports.study import inventory

    directory, known = RunDirectory(run.path), inventory(run)
    if SAMPLE in directory.read_json("DONE").get("sha256", {}):
        directory.verify(SAMPLE)
    content = directory.read_json(SAMPLE)
    try:
        return Sample.of_json(content, known["relations"], known.get("frequent") or (), asked)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise UserError(
            f"{run.path / SAMPLE}: not a sample of real and generated pairs; delete it and "
            "quality.json, and measure again"
        ) from error
