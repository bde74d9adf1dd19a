"""report: the tables of an experiment, from its result files alone."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from benchmark.commands.leaderboard import leaderboard
from benchmark.commands.options import (
    Overrides,
    Plugins,
    Results,
    Target,
    WithPublished,
    load_plugins,
    option,
    quiet_libraries,
    require_file_for,
)
from benchmark.config import read_experiment
from benchmark.errors import UserError
from benchmark.grid.plan import NONE
from benchmark.grid.status import Status, description_of, experiments_in, seeds_by_cell, statuses

Verify = option(bool, "First recompute the scores from the stored files.", "--verify")


def report(
    target: Target,
    overrides: Overrides = None,
    results: Results = Path("results"),
    plugin: Plugins = None,
    with_published: WithPublished = False,
    verify: Verify = False,
) -> None:
    """Make the tables of an experiment.

    From its finished runs, as report.md, .csv, .tex and .html in its folder, and in the terminal.
    Needs no GPU and no model. For a folder of experiments: the tables of each, and their
    leaderboard (leaderboard.html); exit code 1 when one has no tables.

    --verify compares files with their digests, and scores and counts with those that follow from
    the stored predictions and the dataset's files. Where one of these is missing, it takes the
    stored counts, which give no average precision and no threshold, and tells what it did not
    recompute. If anything differs, it names each run, file and score that does, makes no tables,
    and ends with exit code 1.

    Examples:

      \b
      python run_benchmark.py report results/demo
      python run_benchmark.py report results/small --verify
    """
    require_file_for(overrides, target)
    load_plugins(plugin)
    is_done = lambda folder: any(folder.glob("*/*/seed-*/DONE"))
    if experiments := [folder for folder in experiments_in(target) if is_done(folder)]:
        if verify:
            _verify([run for folder in experiments for run in statuses(folder, results)], None)
        failed = False
        for experiment in experiments:
            try:
                report(experiment, None, results, None, with_published)
            except UserError as error:  # of this one; the others get their tables
                typer.echo(f"error: {error}", err=True)
                failed = True
        leaderboard([target], target / "leaderboard.html", with_published)
        if failed:
            raise typer.Exit(1)
        return
    found = statuses(target, results, overrides or ())
    experiment = None if target.is_dir() else read_experiment(target, overrides or [])
    folder = results / experiment.folder if experiment else target
    if not any(run_status.state == "done" for run_status in found):
        damaged = "".join(f"; damaged: {one.detail}" for one in found if one.state == "damaged")
        raise UserError(f"{folder}: nothing to report, no run of this experiment is done{damaged}")
    if verify:
        _verify(found, experiment and experiment.dataset.model_dump(mode="json"))
    publish(found, folder, with_published=with_published)


def _verify(found: list[Status], dataset: dict[str, Any] | None) -> None:
    """Tell what is not as the stored files give it; exit code 1 if anything.

    dataset: where the documents are now; None: where each run found them.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # what is not at hand is not downloaded for this
    quiet_libraries()
    from benchmark.progress import Progress
    from benchmark.scoring.verification import Documents, verify

    documents, verified = Documents(dataset), []
    finished = [each for each in found if each.state in ("done", "changed", "damaged")]
    with Progress.for_console().task("verifying", total=len(finished)) as bar:
        for run_status in finished:
            verified.append(verify(run_status.directory, documents))
            bar.advance()
    for difference in (difference for run in verified for difference in run.differences):
        typer.echo(f"differs: {difference}", err=True)
    for reason, n in Counter(reason for run in verified for reason in run.unverified).items():
        typer.echo(f"{n} run{'s' * (n > 1)} could not be checked in full: {reason}", err=True)
    left: dict[tuple[int, str], list[str]] = {}
    for (score, wanted), n in Counter(s for run in verified for s in run.left.items()).items():
        left.setdefault((n, wanted), []).append(score)
    for (n, wanted), scores in left.items():
        of = f"{n} run{'s' * (n > 1)}"
        told = f"without {wanted}, these scores of {of} were not recomputed: {', '.join(scores)}"
        typer.echo(told, err=True)
    differing = sum(bool(run.differences) for run in verified)
    in_part = sum(bool(run.left) and not run.differences for run in verified)
    told = f", {in_part} agree as far as they were recomputed" if in_part else ""
    typer.echo(
        f"verified {len(verified)} run{'s' * (len(verified) != 1)}: "
        f"{len(verified) - differing - in_part} agree with their files{told}, {differing} differ",
        err=True,
    )
    if differing:
        raise typer.Exit(1)


def publish(found: list[Status], folder: Path, *, with_published: bool = False) -> None:
    """Write the tables of the done runs into `folder` and print the main one, of test scores.

    with_published: also those of the papers in results/published/ on the same dataset, below ours.
    """
    from benchmark.reports import ablation
    from benchmark.reports.ablation import ablation_table
    from benchmark.reports.difference_table import difference_table, marked
    from benchmark.reports.evidence import Evidence
    from benchmark.reports.published import Reported, reported_beside
    from benchmark.reports.quality import quality_tables
    from benchmark.reports.render.html import html_document
    from benchmark.reports.render.latex import latex
    from benchmark.reports.render.text import csv_text, markdown, terminal
    from benchmark.reports.significance import calibrated_significance, significance, to_controls
    from benchmark.reports.study import LATER, Study
    from benchmark.reports.summary import summary
    from benchmark.store.files import write_text

    if changed := sum(run_status.state == "changed" for run_status in found):
        typer.echo(
            f"{changed} run(s) of another configuration are left out; see: run_benchmark.py status",
            err=True,
        )
    for damaged in (run_status for run_status in found if run_status.state == "damaged"):
        typer.echo(f"left out: {damaged.detail}", err=True)
    done = [run_status.directory.read() for run_status in found if run_status.state == "done"]
    study = Study.of(done, seeds_by_cell(found), description_of(folder))
    evidence = Evidence(study.runs)
    plain, further = significance(study, evidence), calibrated_significance(study, evidence)
    shown = [ablation.with_stage1(marked(ablation_table(study), plain), study)]
    shown += [difference_table(plain)] if plain else []
    if further is not None:
        shown.append(marked(ablation_table(further.study, ablation.CALIBRATED), further))
        shown += [difference_table(further)] if further else []
    if (controlled := to_controls(study, evidence)) is not None:
        shown.append(difference_table(controlled))
    if thresholds := study.holding("per_relation"):
        shown.append(ablation_table(thresholds, ablation.PER_RELATION))
    held = dict(zip(LATER, (further, further, thresholds), strict=True))
    if lacking := [name for score, name in LATER.items() if held[score] is None]:
        told = f"Not shown, because all runs are older and lack them: {', '.join(lacking)}."
        shown[0] = replace(shown[0], notes=(*shown[0].notes, told))
    said, quality = summary(plain, further), quality_tables(study)
    tables = [*shown, ablation_table(study, ablation.DETAIL), *quality]
    reported = reported_beside([study]) if with_published else Reported([])
    every, instead = [*tables, *reported.tables], [reported.instead] if reported.instead else []
    texts = {
        "report.md": markdown(every, said, instead),
        "report.csv": csv_text(tables),
        "report.tex": latex(every),
        "report.html": html_document(every, study.title, said),
    }
    for name, text in texts.items():
        write_text(folder / name, text)
    flags = (note for table in quality for note in table.notes if note.startswith("FLAG"))
    on_test = tuple(column for column in shown[0].columns if column.key.startswith("test."))
    main = replace(shown[0], columns=on_test, notes=(*shown[0].notes, *flags))
    console = Console()
    terminal([main], console, said)
    if any(not table.groups for table in shown):
        text = f"no augmenter shares a seed with its backbone's `{NONE}`: no difference to show yet"
        typer.echo(text, err=True)
    terminal(reported.tables, console, instead)
    others = (table.title.removeprefix(f"{study.title}, ") for table in tables[1:])
    further_on = f"also in the files: scores on dev; {'; '.join(others)}"
    Console(stderr=True, markup=False, highlight=False).print(further_on)
    typer.echo(f"written: {', '.join(str(folder / name) for name in texts)}", err=True)
