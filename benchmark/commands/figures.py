"""figures: relation frequencies, and generated pairs beside real ones, from result files alone."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.commands.options import names
from benchmark.errors import UserError
from benchmark.store.runs import RunDirectory, StoredRun, find_runs

if TYPE_CHECKING:
    from benchmark.reports.plots import Sample

SAMPLE = "sample.json"


def figures(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="DIR...", help="Folders of experiments or of single runs."),
    ],
    relations: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="The relations whose pairs are shown: P40,P569. Default: eight of the rare ones.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Where the figures go; default: figures/ in the first experiment."
        ),
    ] = None,
) -> None:
    """Draw figures like the paper's Figures 1 and 5.

    relation_frequency: the training facts of each relation, a panel for each dataset.

    BACKBONE-AUGMENTER-seed-K: entity pairs with a rare relation, as t-SNE of their representations
    in the stage 1 model; real ones of the dev split (dots) and generated ones (crosses). One for
    every run with a sample.json, which is written with quality.json.

    Each as PNG and SVG. Needs matplotlib and scikit-learn, but no data and no model.

    Examples:

      \b
      python run_benchmark.py figures results/demo

      \b
      python run_benchmark.py figures results/demo/atlop/vaediff/seed-0 \\
          --relations P40,P569,P570 --out figures

      \b
      python run_benchmark.py figures results/demo results/my_experiment \\
          --out figures
    """
    from benchmark.progress import Progress
    from benchmark.reports.plots import generated_pairs
    from benchmark.reports.studies import folder_of

    chosen = names(relations)
    runs = {run.path.resolve(): run for folder in folders for run in _read(find_runs(folder))}
    if not runs:
        raise UserError(f"{', '.join(map(str, folders))}: no finished run there")
    sampled = [run for run in runs.values() if (run.path / SAMPLE).is_file()]
    if chosen is not None and not sampled:
        raise UserError(
            f"--relations: no run there has a {SAMPLE}; see: python run_benchmark.py quality --help"
        )
    out = out or folder_of(next(iter(runs.values()))) / "figures"
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{out}: cannot be made: {error.strerror}") from error
    several = len({folder_of(run) for run in runs.values()}) > 1
    written = _frequency_figure(runs.values(), out)
    progress = Progress.for_console() if sampled else Progress.silent()
    with progress.task("figures", total=len(sampled)) as bar:
        for run in sampled:
            sample = _sample(run)
            cell, dataset = [run.backbone, run.augmenter, f"seed-{run.seed}"], run.dataset
            name = "-".join([run.experiment, *cell] if several else cell)
            made = f"those of {run.augmenter}, seed {run.seed}"
            title = f"{dataset}, {run.backbone}: real pairs and {made}"
            written += generated_pairs(sample, sample.shown(chosen), title, out / name)
            bar.advance()
    if not sampled:
        typer.echo(f"no figure of pairs: no run there has a {SAMPLE}", err=True)
    typer.echo(f"written: {', '.join(map(str, written))}", err=True)


def _read(directories: Iterable[RunDirectory]) -> list[StoredRun]:
    """The runs that can be read; the others are named."""
    runs = []
    for directory in directories:
        try:
            runs.append(directory.read())
        except UserError as error:
            typer.echo(f"left out: {error}", err=True)
    return runs


def _frequency_figure(runs: Iterable[StoredRun], out: Path) -> list[Path]:
    from benchmark.reports.plots import relation_frequency

    frequencies: dict[str, Any] = {}
    known: dict[str, str] = {}
    for run in runs:
        scores = run.metrics.get("test_relations", {})
        if scores and run.dataset not in frequencies:
            counts = {name: score["train_frequency"] for name, score in scores.items()}
            inventory = _inventory(run)
            frequencies[run.dataset] = counts, inventory.get("frequent")
            known |= dict(inventory.get("relations", []))
    return relation_frequency(frequencies, known, out / "relation_frequency") if frequencies else []


def _inventory(run: StoredRun) -> dict[str, Any]:
    """The relations of the run's dataset, with names, and which are frequent."""
    directory = RunDirectory(run.path)
    if not (run.path / "relations.json").is_file():
        return {}
    directory.verify("relations.json")
    return directory.read_json("relations.json")


def _sample(run: StoredRun) -> Sample:
    from benchmark.reports.plots import Sample

    directory, inventory = RunDirectory(run.path), _inventory(run)
    if SAMPLE in directory.read_json("DONE").get("sha256", {}):
        directory.verify(SAMPLE)
    relations = [tuple(pair) for pair in inventory["relations"]]
    content = directory.read_json(SAMPLE)
    return Sample.of_json(content, relations, inventory.get("frequent") or (), run.path / SAMPLE)
