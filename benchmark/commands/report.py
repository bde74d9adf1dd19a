"""report: the tables of an experiment, from its result files alone."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from benchmark.commands.leaderboard import leaderboard
from benchmark.commands.options import (
    AddPredictions,
    Frequent,
    Gold,
    Overrides,
    Plugins,
    Results,
    Target,
    Train,
    TrainFacts,
    Undirected,
    WithPublished,
    load_plugins,
    quiet_libraries,
    submitted,
)
from benchmark.config import read_experiment
from benchmark.errors import UserError
from benchmark.grid.plan import NONE
from benchmark.grid.status import Status, description_of, statuses

if TYPE_CHECKING:
    from benchmark.scoring.submission import Reference


def report(
    target: Target,
    overrides: Overrides = None,
    results: Results = Path("results"),
    plugin: Plugins = None,
    with_published: WithPublished = False,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="First make every score anew from the stored predictions; no tables where one "
            "differs.",
        ),
    ] = False,
    add_predictions: AddPredictions = None,
    gold: Gold = None,
    train: Train = None,
    train_facts: TrainFacts = None,
    frequent: Frequent = None,
    undirected: Undirected = False,
) -> None:
    """Make the tables of an experiment.

    From its finished runs, as report.md, .csv, .tex (pdflatex compiles it) and .html in its folder,
    and in the terminal: scores, differences to none with intervals and tests (Holm), generative
    quality. Missing runs are shown as missing. Needs no GPU and no model. Of a folder of
    experiments: the tables of each, and their leaderboard (leaderboard.html).

    With --verify, files are compared with their digests, and scores and counts with those that the
    stored predictions and the dataset's files give (without these: with the stored counts). Exit
    code 1 and no tables when anything differs; each run, file and score that does is named.

    Examples:

      \b
      python run_benchmark.py report results/demo

      \b
      python run_benchmark.py report configs/demo.yaml

      \b
      python run_benchmark.py report results

      \b
      python run_benchmark.py report results/small --with-published

      \b
      python run_benchmark.py report results/small --verify
    """
    options = (gold, train, train_facts, frequent, undirected)
    files, reference = submitted(add_predictions, *options)
    load_plugins(plugin)
    if experiments := _experiments_in(target):
        for experiment in experiments:
            report(experiment, overrides, results, None, with_published, verify)
        page = target / "leaderboard.html"
        leaderboard([target], page, with_published, add_predictions, *options)
        return
    found = statuses(target, results, overrides or ())
    experiment = None if target.is_dir() else read_experiment(target, overrides or [])
    folder = results / experiment.folder if experiment else target
    if not any(run_status.state == "done" for run_status in found):
        raise UserError(
            f"{folder}: no run of this experiment is done yet, so there is nothing to report"
        )
    if verify:
        _verify(found, experiment and experiment.dataset.model_dump(mode="json"))
    publish(
        found, folder, Console(), with_published=with_published, files=files, reference=reference
    )


def _experiments_in(target: Path) -> list[Path]:
    """The experiments with finished runs in a folder of results; none if `target` is an experiment
    itself, or a file.
    """
    if (
        not target.is_dir()
        or (target / "experiment.json").is_file()
        or any(target.glob("*/*/seed-*/DONE"))
    ):
        return []
    return sorted({marker.parents[3] for marker in target.glob("*/*/*/seed-*/DONE")})


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
    reasons = Counter(reason for run in verified for reason in run.unverified)
    for reason, runs in reasons.items():
        typer.echo(f"not verified, of {runs} run(s): {reason}", err=True)
    differing = sum(bool(run.differences) for run in verified)
    typer.echo(
        f"verified: {len(verified)} runs, {len(verified) - differing} as their files give them, "
        f"{differing} not",
        err=True,
    )
    if differing:
        raise typer.Exit(1)


def publish(
    found: list[Status],
    folder: Path,
    console: Console,
    *,
    with_published: bool = False,
    files: Mapping[str, Path] | None = None,
    reference: Reference | None = None,
) -> None:
    """Write the tables of the done runs into `folder` and print the main ones.

    with_published: also those of the papers in results/published/ that are on the same dataset,
        below ours.
    files: name -> predictions of systems that ran elsewhere, in a table of their own; `reference`:
        what they are scored against.
    """
    from benchmark.reports.ablation import (
        CALIBRATED,
        DETAIL,
        PER_RELATION,
        ablation_table,
        with_stage1,
    )
    from benchmark.reports.difference_table import difference_table, marked
    from benchmark.reports.evidence import Evidence
    from benchmark.reports.published import Reported, reported_beside
    from benchmark.reports.quality import quality_tables
    from benchmark.reports.render.html import html_document
    from benchmark.reports.render.latex import latex
    from benchmark.reports.render.text import csv_text, markdown, terminal
    from benchmark.reports.significance import calibrated_significance, significance
    from benchmark.reports.study import Study
    from benchmark.reports.submitted import predictions_table, require_same_documents
    from benchmark.reports.summary import summary
    from benchmark.store.files import written_atomically

    if changed := sum(run_status.state == "changed" for run_status in found):
        typer.echo(
            f"{changed} run(s) of another configuration are left out; see: run_benchmark.py status",
            err=True,
        )
    for damaged in (run_status for run_status in found if run_status.state == "damaged"):
        typer.echo(f"left out: {damaged.detail}", err=True)
    expected: dict[tuple[str, str], list[int]] = {}
    for run_status in found:
        expected.setdefault(run_status.cell, []).append(run_status.seed)
    done = [run_status.directory.read() for run_status in found if run_status.state == "done"]
    study = Study.of(done, expected, description_of(folder))
    evidence = Evidence(study.runs)
    plain, further = significance(study, evidence), calibrated_significance(study, evidence)
    shown = [with_stage1(marked(ablation_table(study), plain), study)]
    shown += [difference_table(plain)] if plain else []
    if further is not None:
        shown.append(marked(ablation_table(study, CALIBRATED), further))
        shown += [difference_table(further)] if further else []
    if study.has("per_relation"):
        shown.append(ablation_table(study, PER_RELATION))
    said = summary(plain, further)
    if files:
        require_same_documents(reference, [evidence], "--gold")
        shown.append(predictions_table(files, reference, evidence, study.dataset))
    quality = quality_tables(study)
    tables = [*shown, ablation_table(study, DETAIL), *quality]
    reported = reported_beside([study]) if with_published else Reported([])
    every, instead = [*tables, *reported.tables], [reported.instead] if reported.instead else []
    texts = {
        "report.md": markdown(every, said, instead),
        "report.csv": csv_text(tables, reported.tables),
        "report.tex": latex(every),
        "report.html": html_document(every, study.title, said),
    }
    for name, text in texts.items():
        with written_atomically(folder / name) as part:
            part.write_text(text, encoding="utf-8")
    compared = [table for table in shown if table.visible]
    terminal([*compared, *quality], console, said)
    if len(compared) < len(shown):
        typer.echo(
            f"no augmenter has run with a seed of its backbone's `{NONE}`: no difference to show "
            "yet",
            err=True,
        )
    terminal(reported.tables, console)
    for sentence in instead:
        console.print(sentence, markup=False, highlight=False)
    typer.echo(f"written: {', '.join(str(folder / name) for name in texts)}", err=True)
