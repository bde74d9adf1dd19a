"""demo, run: training a grid."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer

from benchmark import processes, signals
from benchmark.commands.options import (
    Overrides,
    Plugins,
    Results,
    argument,
    load_plugins,
    names,
    numbers,
    option,
    quiet_libraries,
)
from benchmark.commands.report import publish
from benchmark.commands.status import preview
from benchmark.config import Experiment, read_experiment
from benchmark.errors import UserError
from benchmark.grid.execute import follow, prepare, run_jobs
from benchmark.grid.plan import NONE, Job, Outcome, extend, plan, select
from benchmark.grid.status import statuses_of_grid, write_grid
from benchmark.progress import Progress, duration
from benchmark.registry import DATASETS
from benchmark.shipped import shipped
from benchmark.store.cleaning import PAIRS

DEMO = shipped("configs/demo.yaml")
OUTCOMES = {
    "done": "done now",
    "kept": "done before",
    "failed": "failed",
    "blocked": "blocked by a failure",
    "damaged": "damaged",
    "elsewhere": "running in another process",
    "untried": "not tried",
    "killed": "killed",
    "stopped": "stopped with their state saved",
    "submitted": "submitted",
    "queued": "queued before",
}

Config = argument(Path, "An experiment file, e.g. configs/demo.yaml.", "CONFIG")
Names = option(str | None, "Only these names, separated by commas.", metavar="LIST")
Seeds = option(str | None, "Only these seeds: 0,1 or 0-9.", metavar="LIST")
DryRun = option(
    bool, "Show the runs, their expected time and disk space, and any mistake.", "--dry-run"
)
Minutes = option(float, "Save the training state at least this often.", metavar="MINUTES", min=0)
Executor = option(str | None, "local (worker processes), slurm or debug.", metavar="NAME")
Jobs = option(int | None, "Runs at a time; implies --executor local.", "--jobs", metavar="N")
Restart = option(bool, "Discard states saved with other settings; else `run` stops.", "--restart")
Wait = option(bool, "With slurm: wait for the runs and show the table.", "--wait")


def demo(results: Results = Path("results")) -> None:
    """Run the whole grid on a small synthetic corpus.

    Takes minutes on a laptop and downloads nothing. You can interrupt it at any time; the same
    command continues. The tables are also written to results/demo/.
    """
    run(DEMO, results=results)


def run(
    config: Config,
    overrides: Overrides = None,
    seeds: Seeds = None,
    backbones: Names = None,
    augmenters: Names = None,
    dry_run: DryRun = False,
    checkpoint_every: Minutes = 10,
    executor: Executor = None,
    parallel: Jobs = None,
    restart: Restart = False,
    wait: Wait = False,
    results: Results = Path("results"),
    plugin: Plugins = None,
) -> None:
    """Train the runs of an experiment that are not done.

    Shows the table at the end. Safe to interrupt and to repeat: finished runs are kept, killed ones
    continue from their last checkpoint, failed ones run again. An augmenter, backbone or seed that
    the experiment file does not have joins the grid, with default hyper-parameters. Exit code 1
    when a run failed; 75 after SIGTERM or SIGUSR1: the state is saved, run the command again.

    Examples:

      \b
      python run_benchmark.py run configs/demo.yaml --dry-run
      python run_benchmark.py run configs/demo.yaml --plugin my_augmenter.py \\
          --augmenters none,towards
    """
    load_plugins(plugin)
    only = {
        "backbones": names("--backbones", backbones),
        "augmenters": names("--augmenters", augmenters),
        "seeds": numbers(seeds),
    }
    of_file = read_experiment(config, overrides or [])
    experiment = extend(of_file, **only)
    grid = plan(experiment, results)
    jobs = select(grid, **only)
    asked = only["augmenters"] or [choice.name for choice in experiment.augmenters]
    unasked = (job for job in jobs if job.augmenter == NONE and NONE not in asked)
    if any(job.directory.state() != "done" for job in unasked):
        told = f"'{NONE}' is trained, too: the augmenters asked for need it as stage 1"
        typer.echo(told, err=True)
    start = run_jobs
    if executor is not None or parallel is not None or wait:
        from benchmark.launch.executors import runner

        start = runner(
            executor or "local", experiment, results, parallel=parallel, wait=wait, plugins=plugin
        )
    typer.echo("preparing", err=True)  # importing torch takes seconds
    quiet_libraries()
    dataset = of_file.dataset

    def load_corpus() -> Any:  # only if there is something to run
        from benchmark.training.tried_first import require_known_rates

        require_known_rates(experiment)
        return DATASETS[dataset.name](**dataset.options)

    if dry_run:
        preview(jobs, grid)
        _foresee(jobs, grid, load_corpus)
        return
    settings = {"load_corpus": load_corpus, "save_every": 60 * checkpoint_every}
    processes.begin()
    if not processes.is_main():
        with signals.listening():
            follow(grid, **settings)
        return
    settings |= {"restart": restart, "when_checked": lambda: write_grid(of_file, results)}
    outcomes = _train(lambda **more: start(jobs, grid=grid, **settings, **more))
    in_queue = any(outcome.state in ("submitted", "queued") for outcome in outcomes)
    written = in_queue or _publish(of_file, results)
    code = _conclude(outcomes)
    if in_queue:
        report = f"python run_benchmark.py report {results / of_file.folder}"
        typer.echo(f"follow them with `status` and `squeue --me`, then make the table: {report}")
    raise typer.Exit(code if written else 1)


def _foresee(jobs: list[Job], grid: list[Job], load_corpus: Callable[[], Any]) -> None:
    """Tell what `run` would refuse, from local files alone, and how long a first run will take."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        checked = prepare(jobs, grid=grid, load_corpus=load_corpus, progress=Progress.for_console())
    except UserError as error:
        typer.echo(f"with the files that are here now, `run` would stop: {error}", err=True)
        return
    for reason, count in Counter(filter(None, map(_lacks_weights, jobs))).items():
        would_fail = f"{count} of {len(jobs)} runs would fail: {reason}"
        typer.echo(f"with the files that are here now, {would_fail}", err=True)
    timed = {job.backbone for job in grid if job.directory.state() == "done"}
    first = {job.backbone: job for job in reversed(jobs) if job.backbone not in timed}
    for backbone in sorted(first) if checked else ():
        from benchmark.training.timing import estimated_seconds

        took = duration(estimated_seconds(first[backbone].config.stage1(), checked.corpus))
        typer.echo(
            f"{backbone}: about {took} for a run with `{NONE}`, from a training step timed now; "
            "what an augmenter adds is known once a run with it is done",
            err=True,
        )


def _lacks_weights(job: Job) -> str | None:
    """Why a job will fail whose stage 1 is done but kept no weights; None if it can run."""
    if job.directory.state() == "done" or not job.needs_stage1 or job.stage1.state() != "done":
        return None
    from benchmark.training.session import stage1_weights

    pairs = [job.stage1.path / PAIRS.format(split=split) for split in ("train", "dev")]
    if job.config.on_head:
        wanted_by = "augment.stage3: head"
    elif job.config.augment.start == "stage1":
        wanted_by = "augment.start: stage1"
    elif all(file.is_file() for file in pairs):
        return None
    else:
        wanted_by = "stage 2"
    try:
        stage1_weights(job.stage1.path, wanted_by)
    except UserError as error:
        return str(error)
    return None


def _train(start: Callable[..., Iterator[Outcome]]) -> list[Outcome]:
    """Start the runs, here or in workers, and tell the outcomes as they come."""
    progress, outcomes = Progress.for_console(), []
    with signals.listening(), contextlib.closing(start(progress=progress)) as running:
        for outcome in running:
            outcomes.append(outcome)
            if outcome.state != "kept":
                text = f"{outcome.detail}{_scores(outcome)}"
                progress.message(f"{outcome.state} {outcome.job.name}: {text}")
    return outcomes


def _scores(outcome: Outcome) -> str:
    if outcome.state != "done":
        return ""
    metrics = outcome.job.directory.read_json("metrics.json")
    found = [(s, metrics[s]["f1"]) for s in ("dev", "test") if metrics[s]["f1"] is not None]
    told = "".join(f", {split} F1 {100 * f1:.2f}" for split, f1 in found)
    if ("dev", 0.0) in found:
        told += "; no epoch found a fact of dev: train longer (train.epochs) or at other rates"
    return told


def _publish(experiment: Experiment, results: Path) -> bool:
    """Show and write the table, once a run is done. False if it cannot be written."""
    folder = results / experiment.folder
    found = statuses_of_grid(plan(experiment, results), folder)
    try:
        if any(run_status.state == "done" for run_status in found):
            publish(found, folder)
    except UserError as error:  # the outcomes must be told all the same
        typer.echo(f"error: no table: {error}", err=True)
        return False
    return True


def _conclude(outcomes: list[Outcome]) -> int:
    """Count the outcomes and name what failed; returns the exit code."""
    counts = Counter(outcome.state for outcome in outcomes)
    parts = [f"{counts[state]} {text}" for state, text in OUTCOMES.items() if counts[state]]
    typer.echo(", ".join(parts), err=True)
    for outcome in outcomes:
        if outcome.state in ("failed", "killed"):
            record = outcome.job.directory.path / "FAILED"
            see = f"\n  see {record}" if outcome.state == "failed" and record.is_file() else ""
            typer.echo(f"{outcome.state}: {outcome.job.name}: {outcome.detail}{see}", err=True)
    if counts.keys() - {"done", "kept", "submitted", "queued", "stopped"}:
        return 1
    return signals.AGAIN if counts["stopped"] else 0
