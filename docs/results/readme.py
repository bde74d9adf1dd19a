"""Write the tables of results/small into two pages; then the leaderboard and the picture of its
first screen.

    python docs/results/readme.py

README.md has the whole models, results/small/README.md the cheap protocol, each between the lines
`<!-- findings -->` and `<!-- end -->`. Run it after `docs/results/collect.py`; the numbers come
from the stored files alone. The picture takes Chromium; without it the old one stays, which is
said.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from benchmark.config import HEAD
from benchmark.grid.status import seeds_by_cell, statuses
from benchmark.reports.ablation import CALIBRATED, ablation_table
from benchmark.reports.difference_table import marked
from benchmark.reports.evidence import Evidence
from benchmark.reports.significance import FURTHER, significance
from benchmark.reports.study import Study
from benchmark.reports.tables import Column, Row, shown
from benchmark.statistics.advice import counted
from benchmark.store.files import write_text
from benchmark.store.runs import find_runs

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results/small"
PAGES = {ROOT / "README.md": False, RESULTS / "README.md": True}  # -> of the cheap protocol?
LEAST_SEEDS = 3
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BEGIN, END = "<!-- findings -->\n", "<!-- end -->\n"
SHOWN = ("test.f1", "test.ltail_f1", "test.f1.difference")
LEFT = ("calibrated.f1.difference", "calibrated.ltail_f1.difference", "ap.tail.difference")
HEADINGS = ("F1", "LTail F1", "Δ F1", "calibrated Δ F1", "calibrated Δ LTail", "Δ AP of the tail")


def findings(page: Path, *, cheap: bool) -> str:
    """Markdown for this page: one table of the experiments of a protocol that have a comparison,
    with their rows of three seeds or more.
    """
    few = 0
    lines = [f"| Experiment | Backbone | Augmenter | seeds | {' | '.join(HEADINGS)} |"]
    lines.append("|---|---|---|" + "---:|" * (1 + len(HEADINGS)))
    experiments = {run.experiment for run in find_runs(RESULTS)}
    for experiment in sorted(e for e in experiments if e.name.endswith(HEAD) == cheap):
        planned = seeds_by_cell(statuses(experiment, RESULTS))  # Holm counts what has not run
        study = Study.of((run.read() for run in find_runs(experiment)), planned)
        evidence = Evidence(study.runs)
        plain = significance(study, evidence)
        if not plain:
            continue
        report = f"[{experiment.name}]({experiment.relative_to(page.parent).as_posix()}/report.md)"
        tables = [marked(ablation_table(study), plain)]
        further = significance(study, evidence, FURTHER)
        tables.append(marked(ablation_table(study, CALIBRATED), further))
        for row, calibrated in zip(*(table.rows for table in tables), strict=True):
            if len(row.seeds) < LEAST_SEEDS:
                few += bool(row.seeds)
                continue  # so few say little of a spread; the report has the row
            numbers = [_number(row, tables[0].columns, key) for key in SHOWN]
            numbers += [_number(calibrated, CALIBRATED, key) for key in LEFT]
            stub = report, row.group, row.shown_label, row.coverage
            lines.append(f"| {' | '.join((*stub, *numbers))} |")
            report = ""  # once for all rows of an experiment
    legend = (
        "Δ is the difference to `none`, over the seeds that both rows have; F1 and LTail F1 are "
        "means over all of a row, so compare by Δ. `*`: significant among the comparisons of its "
        "experiment (average precision, AP, has no mark). Calibrated: both with one threshold "
        "tuned on dev."
    )
    if few:
        legend += f" Left out: {counted(few, 'row')} with fewer than {LEAST_SEEDS} seeds."
    return "\n".join([*lines, "", legend]) + "\n"


def _number(row: Row, columns: tuple[Column, ...], key: str) -> str:
    column = next((column for column in columns if column.key == key), None)
    number = shown(row, column).number if column else ""
    return number and number + row.cell(key).mark


def leaderboard() -> str:
    """Write `leaderboard.html` and `leaderboard.png`; returns what was not made."""
    page = RESULTS / "leaderboard.html"
    command = [sys.executable, str(ROOT / "run_benchmark.py"), "leaderboard", str(RESULTS)]
    subprocess.run([*command, "--out", str(page)], check=True)
    chromium = next(filter(None, map(shutil.which, BROWSERS)), None)
    if chromium is None:
        return "not made, without Chromium on the path: leaderboard.png"
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")
    size, picture = "--window-size=1200,960", f"--screenshot={page.with_suffix('.png')}"
    command = [chromium, *options, size, picture, page.as_uri()]
    subprocess.run(command, check=True, capture_output=True)
    return ""


if __name__ == "__main__":
    for page, cheap in PAGES.items():
        before, rest = page.read_text(encoding="utf-8").split(BEGIN)
        found = findings(page, cheap=cheap)
        write_text(page, before + BEGIN + found + END + rest.split(END)[1])
        print(f"written: {page}")
    if missing := leaderboard():
        print(missing)
