"""quality: how good generated pairs are, measured on finished runs."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from benchmark.commands.options import Plugins, argument, load_plugins, quiet_libraries
from benchmark.errors import UserError
from benchmark.store.runs import RunDirectory, StoredRun, find_runs

Runs = argument(list[Path], "Folders that are or hold finished runs.", "RUN...")


def quality(runs: Runs, plugin: Plugins = None) -> None:
    """Measure how good generated pairs are.

    For finished runs without a quality.json: do generated pairs carry the labels asked for, how far
    are they from real ones, and has the generator collapsed? Needs the stored augmenter, the
    weights of the `none` run of the same seed, and the data. Runs measure themselves when they
    train, so this is for older ones. To measure a run again, delete its quality.json. Exit code 1
    when a run cannot be measured.

    Examples:

      \b
      python run_benchmark.py quality results/demo
      python run_benchmark.py quality results/demo/atlop/vae/seed-0
    """
    load_plugins(plugin)
    found = {one.path.resolve(): one.read() for folder in runs for one in find_runs(folder)}
    augmented = [run for run in found.values() if run.augmenter != "none"]
    if not augmented:
        raise UserError(f"{', '.join(map(str, runs))}: no finished run there that generates pairs")
    failed = _measure([run for run in augmented if not (run.path / "quality.json").is_file()])
    from benchmark.reports.quality import quality_tables
    from benchmark.reports.render.text import terminal
    from benchmark.reports.study import studies

    complete, left_out = studies(augmented)
    for sentence in left_out:
        typer.echo(f"left out: {sentence}", err=True)
    for study in complete:
        terminal(quality_tables(study), Console())
    if failed:
        raise typer.Exit(1)


def _measure(runs: list[StoredRun]) -> int:
    """Measure runs, those of one stage 1 model together; the number that could not be measured."""
    if not runs:
        return 0
    if len({run.config["train"].get("precision") for run in runs}) > 1:
        raise UserError("the runs have several precisions (train.precision): measure one at a time")
    quiet_libraries()
    from benchmark.progress import Progress
    from benchmark.registry import DATASETS
    from benchmark.training.stored_quality import StoredRunQuality

    @cache
    def corpus(name: str, options: str) -> Any:
        return DATASETS[name](**json.loads(options))

    load_corpus = lambda run: corpus(run.dataset.name, json.dumps(run.dataset.options))
    stored, failed = StoredRunQuality(load_corpus, Progress.for_console()), 0
    place = lambda run: (run.path.resolve().parents[1], run.seed, run.augmenter)
    for run in sorted(runs, key=place):
        try:
            stored.record(RunDirectory(run.path.resolve()))
        except UserError as error:
            failed += 1
            typer.echo(f"not measured: {error}", err=True)
    return failed
