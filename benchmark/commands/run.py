"""demo, run, status: training a grid and seeing how far it is."""

from __future__ import annotations

import contextlib
import functools
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from benchmark import processes, signals
from benchmark.commands.options import (
    Overrides,
    Plugins,
    Results,
    Target,
    load_plugins,
    names,
    numbers,
    quiet_libraries,
)
from benchmark.commands.report import publish
from benchmark.config import Experiment, read_experiment
from benchmark.errors import UserError
from benchmark.grid.execute import follow, prepare, run_jobs
from benchmark.grid.plan import NONE, Job, Outcome, extend, plan, select
from benchmark.grid.status import (
    Cost,
    Status,
    estimate,
    status_of,
    statuses,
    statuses_of_grid,
    write_grid,
)
from benchmark.progress import Progress, duration
from benchmark.registry import DATASETS

DEMO = Path(__file__).resolve().parents[2] / "configs" / "demo.yaml"
STATES = ("done", "running", "failed", "killed", "missing", "changed", "damaged")


def demo(results: Results = Path("results")) -> None:
    """The whole grid on a small synthetic corpus.

    Takes minutes on a laptop and downloads nothing. Interrupt it when you like: the same command
    goes on where it stopped. The tables are also written to results/demo/.
    """
    experiment = read_experiment(DEMO)
    jobs = plan(experiment, results)
    _train(experiment, jobs, jobs, results)


def run(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG", help="An experiment file, e.g. configs/demo.yaml.")
    ],
    overrides: Overrides = None,
    seeds: Annotated[
        str | None, typer.Option(metavar="LIST", help="Only these seeds: 0,1 or 0-9.")
    ] = None,
    backbones: Annotated[
        str | None, typer.Option(metavar="LIST", help="Only these backbones: atlop,baseline.")
    ] = None,
    augmenters: Annotated[
        str | None, typer.Option(metavar="LIST", help="Only these augmenters: none,vaediff.")
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Show the runs, what is done, what the rest will take, and any mistake.",
        ),
    ] = False,
    checkpoint_every: Annotated[
        float,
        typer.Option(min=0, metavar="MINUTES", help="Save the training state at least so often."),
    ] = 10,
    executor: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Who runs them: local (worker processes), slurm (job arrays), debug.",
        ),
    ] = None,
    parallel: Annotated[
        int | None,
        typer.Option(
            "--jobs", metavar="N", help="Runs at a time; by itself it means --executor local."
        ),
    ] = None,
    restart: Annotated[
        bool,
        typer.Option(
            "--restart",
            help="Let go of states that other settings saved; else such a run is refused.",
        ),
    ] = False,
    wait: Annotated[
        bool,
        typer.Option("--wait", help="With --executor slurm: wait for the runs and show the table."),
    ] = False,
    results: Results = Path("results"),
    plugin: Plugins = None,
) -> None:
    """Train what is not done of an experiment.

    Shows the table at the end. Safe to interrupt and to repeat: finished runs are kept, killed ones
    go on from their last checkpoint, failed ones are done again. A name that the experiment file
    does not hold is added to the grid with its default hyper-parameters. Exit code 1 when a run
    failed; 75 after SIGTERM or SIGUSR1: the state is saved, run the command again.

    Examples:

      python run_benchmark.py run configs/demo.yaml --dry-run

      python run_benchmark.py run configs/demo.yaml --backbones atlop --seeds 0 --set train.epochs=6
      --set name=short

      python run_benchmark.py run configs/demo.yaml --plugin my_augmenter.py --augmenters none,mixup

      python run_benchmark.py run configs/demo.yaml --jobs 4
    """
    load_plugins(plugin)
    only = {"backbones": names(backbones), "augmenters": names(augmenters), "seeds": numbers(seeds)}
    of_file = read_experiment(config, overrides or [])
    experiment = extend(of_file, **only)
    grid = plan(experiment, results)
    jobs = select(grid, **only)
    asked = only["augmenters"] or [choice.name for choice in experiment.augmenters]
    if NONE not in asked and any(job.augmenter == NONE for job in jobs):
        typer.echo(
            f"'{NONE}' is run as well: it is stage 1 of augmenters that are fitted", err=True
        )
    start = run_jobs
    if executor is not None or parallel is not None or wait:
        from benchmark.launch.executors import runner

        start = runner(
            executor or "local", experiment, results, parallel=parallel, wait=wait, plugins=plugin
        )
    if dry_run:
        _preview(jobs, grid)
        _foresee(of_file, jobs, grid)
    else:
        _train(
            of_file,
            jobs,
            grid,
            results,
            save_every=60 * checkpoint_every,
            start=functools.partial(start, restart=restart),
        )


def _foresee(experiment: Experiment, jobs: list[Job], grid: list[Job]) -> None:
    """Tell what `run` would refuse with the files that are at hand: nothing is downloaded for a
    look.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    quiet_libraries()
    load_corpus = lambda: DATASETS[experiment.dataset.name](**experiment.dataset.options)
    try:
        prepare(jobs, grid=grid, load_corpus=load_corpus, progress=Progress.for_console())
    except UserError as error:
        typer.echo(f"with what is at hand now, `run` would stop: {error}", err=True)


def status(
    target: Target,
    overrides: Overrides = None,
    results: Results = Path("results"),
    plugin: Plugins = None,
) -> None:
    """What is done, running, failed or missing.

    Examples:

      python run_benchmark.py status configs/demo.yaml

      python run_benchmark.py status results/demo
    """
    load_plugins(plugin)
    found = statuses(target, results, overrides or ())
    console = Console(markup=False)
    console.print(_overview(found))
    console.print(f"{_counts(found)} of {len(found)} runs")
    for run_status in found:
        if run_status.state in ("failed", "changed", "damaged"):
            text = f"{run_status.state}: {run_status.directory.path}: {run_status.detail}"
            console.print(text, markup=False, highlight=False, soft_wrap=True)
    if any(run_status.state == "changed" for run_status in found):
        console.print(
            "changed: what `run` was told with --set must be told here too; a folder of results needs neither",
            soft_wrap=True,
        )


def _train(
    experiment: Experiment,
    jobs: list[Job],
    grid: list[Job],
    results: Path,
    *,
    save_every: float = 600.0,
    start: Callable[..., Iterator[Outcome]] = run_jobs,
) -> None:
    """Execute, tell the outcomes, publish the table; exit code 1 unless every job is done, or in a
    cluster's queue.

    `experiment` is the file's, `grid` also holds what the command line added to it. `start` does
    the runs: here, or by workers.
    """
    quiet_libraries()
    load_corpus = lambda: DATASETS[experiment.dataset.name](**experiment.dataset.options)
    processes.begin()
    if not processes.is_main():
        with signals.listening():
            follow(grid, load_corpus=load_corpus, save_every=save_every)
        return
    progress = Progress.for_console()
    if processes.started_alone():
        progress.message(
            "`accelerate launch --cpu` starts one process. For several on CPUs: `accelerate launch --multi_gpu`"
        )
    outcomes = []
    when_checked = lambda: write_grid(experiment, results)
    with (
        signals.listening(),
        contextlib.closing(
            start(
                jobs,
                grid=grid,
                load_corpus=load_corpus,
                when_checked=when_checked,
                save_every=save_every,
                progress=progress,
            )
        ) as running,
    ):
        for outcome in running:
            outcomes.append(outcome)
            if outcome.state != "kept":
                progress.message(
                    f"{outcome.state} {outcome.job.name}: {outcome.detail}{_scores(outcome)}"
                )
    if any(outcome.state in ("submitted", "queued") for outcome in outcomes):
        _conclude(outcomes)
        typer.echo(
            f"follow them with `status` and `squeue --me`, then make the table: report {Path(results) / experiment.name}"
        )
        return
    asked = plan(experiment, results)
    planned = {job.directory for job in asked}
    asked += [job for job in jobs if job.directory not in planned]
    found = statuses_of_grid(asked, Path(results) / experiment.name)
    if any(run_status.state == "done" for run_status in found):
        try:
            publish(found, Path(results) / experiment.name, Console())
        except UserError as error:  # the runs' outcomes must be told all the same
            typer.echo(f"error: no table: {error}", err=True)
            _conclude(outcomes)
            raise typer.Exit(1) from error
    _conclude(outcomes)


def _scores(outcome: Outcome) -> str:
    if outcome.state != "done":
        return ""
    metrics = outcome.job.directory.read_json("metrics.json")
    shown = (
        f"{split} F1 {100 * metrics[split]['f1']:.2f}"
        for split in ("dev", "test")
        if metrics[split]["f1"] is not None
    )
    return ", " + ", ".join(shown)


def _conclude(outcomes: list[Outcome]) -> None:
    counts = Counter(outcome.state for outcome in outcomes)
    words = {
        "done": "done now",
        "kept": "done before",
        "failed": "failed",
        "blocked": "blocked by a failure",
    }
    words |= {
        "damaged": "damaged",
        "elsewhere": "at work in another process",
        "untried": "not tried",
    }
    words |= {
        "killed": "killed",
        "stopped": "stopped with their state saved",
        "submitted": "submitted",
        "queued": "queued before",
    }
    typer.echo(
        ", ".join(f"{counts[state]} {text}" for state, text in words.items() if counts[state]),
        err=True,
    )
    for outcome in outcomes:
        if outcome.state in ("failed", "killed"):
            record = outcome.job.directory.path / "FAILED"
            see = f"\n  see {record}" if outcome.state == "failed" and record.is_file() else ""
            typer.echo(f"{outcome.state}: {outcome.job.name}: {outcome.detail}{see}", err=True)
    fine = sum(counts[state] for state in ("done", "kept", "submitted", "queued"))
    if fine + counts["stopped"] < len(outcomes):
        raise typer.Exit(1)
    if counts["stopped"]:
        raise typer.Exit(signals.AGAIN)


def _preview(jobs: list[Job], grid: list[Job]) -> None:
    """The table of --dry-run."""
    state = {job.name: status_of(job).state for job in grid}
    left = [job for job in jobs if state[job.name] not in ("done", "changed", "damaged")]
    costs = estimate(left, [job for job in grid if state[job.name] == "done"])
    table = Table("Backbone", "Augmenter", "Seed", "State", "Time", "Disk", box=box.SIMPLE_HEAD)
    for job in jobs:
        cost = costs.get(job.name)
        expected = (
            (f"~ {duration(cost.seconds)}", f"~ {_size(cost.bytes)}")
            if cost
            else ("unknown", "unknown")
            if job in left
            else ("", "")
        )
        table.add_row(job.backbone, job.augmenter, str(job.config.seed), state[job.name], *expected)
    console = Console()
    console.print(table)
    console.print(
        f"{len(left)} of {len(jobs)} runs to do"
        + (f": {_total(list(costs.values()))}" if left else "")
    )
    if changed := sum(state[job.name] == "changed" for job in jobs):
        console.print(
            f"{changed} changed: done, but with another configuration: `run` refuses; take another name (--set name=...)"
        )
    if any(state[job.name] == "damaged" for job in jobs):
        console.print(
            "damaged: done, but a file is torn, gone or edited: `run` leaves it; move its folder away to run it again"
        )


def _total(costs: list[Cost | None]) -> str:
    if None in costs:
        return "time and disk are unknown until a first run is done"
    return f"about {duration(sum(cost.seconds for cost in costs))} and {_size(sum(cost.bytes for cost in costs))} of disk"


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def _overview(found: list[Status]) -> Table:
    """Cells as rows, states as columns, the seeds in each."""
    states = [state for state in STATES if any(run_status.state == state for run_status in found)]
    table = Table(
        "Backbone", "Augmenter", *(f"{state} (seeds)" for state in states), box=box.SIMPLE_HEAD
    )
    for cell in dict.fromkeys(run_status.cell for run_status in found):
        here = [run_status for run_status in found if run_status.cell == cell]
        table.add_row(
            *cell, *(", ".join(str(s.seed) for s in here if s.state == state) for state in states)
        )
    return table


def _counts(found: list[Status]) -> str:
    counts = Counter(run_status.state for run_status in found)
    return ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])
