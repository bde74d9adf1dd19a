"""status: how far an experiment is; and the preview of `run --dry-run`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from rich import box
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from benchmark.commands.options import (
    Overrides,
    Plugins,
    Results,
    Target,
    load_plugins,
    require_file_for,
)
from benchmark.grid.plan import Job
from benchmark.grid.status import Cost, Status, estimate, experiments_in, status_of, statuses
from benchmark.progress import duration

STATES = ("done", "running", "failed", "killed", "missing", "changed", "damaged")


def status(
    target: Target,
    overrides: Overrides = None,
    results: Results = Path("results"),
    plugin: Plugins = None,
) -> None:
    """Show what is done, running, failed or missing.

    Given a folder of experiments, show each of them.

    Examples:

      \b
      python run_benchmark.py status configs/demo.yaml
      python run_benchmark.py status results/demo
    """
    require_file_for(overrides, target)
    load_plugins(plugin)
    console = Console(markup=False, highlight=False, soft_wrap=True)
    if not (experiments := experiments_in(target)):
        _show(statuses(target, results, overrides or ()), console)
    for experiment in experiments:
        console.print(f"{experiment}")
        _show(statuses(experiment, results), console)


def _show(found: list[Status], console: Console) -> None:
    """Print the table of one experiment's runs, and what is wrong with them."""
    states = [state for state in STATES if any(one.state == state for one in found)]
    headings = ("Backbone", "Augmenter", *(f"{state} (seeds)" for state in states))
    table = Table(*headings, box=box.SIMPLE_HEAD)
    for cell in dict.fromkeys(one.cell for one in found):
        here = [one for one in found if one.cell == cell]
        seeds = [", ".join(str(one.seed) for one in here if one.state == s) for s in states]
        table.add_row(*cell, *seeds)
    console.print(table)
    counts = Counter(one.state for one in found)
    text = ", ".join(f"{counts[state]} {state}" for state in states)
    console.print(f"{text} of {len(found)} runs")
    for one in found:
        if one.state in ("failed", "changed", "damaged"):
            console.print(f"{one.state}: {one.directory.path}: {one.detail}")
    if counts["changed"]:
        console.print(
            "changed: repeat the --set options that `run` had, or give the folder of results"
        )


def preview(jobs: list[Job], grid: list[Job]) -> None:
    """Print the runs, what is done, and what the rest will take."""
    state = {job.name: status_of(job).state for job in grid}
    left = [job for job in jobs if state[job.name] not in ("done", "changed", "damaged")]
    costs = estimate(left, [job for job in grid if state[job.name] == "done"])
    table = Table("Backbone", "Augmenter", "Seed", "State", "Time", "Disk", box=box.SIMPLE_HEAD)
    for job in jobs:
        expected = ("unknown", "unknown") if job.name in costs else ("", "")
        if cost := costs.get(job.name):
            expected = (f"~ {duration(cost.seconds)}", f"~ {decimal(round(cost.bytes))}")
        table.add_row(*map(str, job.cell), state[job.name], *expected)
    console = Console(soft_wrap=True)
    console.print(table)
    total = f": {_total(list(costs.values()))}" if left else ""
    console.print(f"{len(left)} of {len(jobs)} runs to do{total}")
    states = [state[job.name] for job in jobs]
    if changed := states.count("changed"):
        console.print(
            f"{changed} changed: done with another configuration, so `run` refuses them; "
            "give the experiment another name (--set name=...)"
        )
    if damaged := states.count("damaged"):
        console.print(
            f"{damaged} damaged: done, but a file is torn, gone or edited; `run` leaves such a run "
            "alone. Move its folder away to run it again"
        )


def _total(costs: list[Cost | None]) -> str:
    if None in costs:
        return "disk space, and the time of augmented runs, are known once a first run is done"
    seconds, size = sum(cost.seconds for cost in costs), sum(cost.bytes for cost in costs)
    return f"about {duration(seconds)} and {decimal(round(size))} of disk"
