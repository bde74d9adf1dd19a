"""Write the table of results/small into the README; then the leaderboard and the picture of its
first screen.

    python docs/results/readme.py

The table stands between the lines `<!-- findings -->` and `<!-- end -->`. Run it after
`docs/results/collect.py`; the numbers come from the stored files alone. The picture takes Chromium;
without it the old one stays, which is said.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from benchmark.grid.status import seeds_by_cell, statuses
from benchmark.reports.ablation import CALIBRATED, ablation_table
from benchmark.reports.difference_table import marked
from benchmark.reports.evidence import Evidence
from benchmark.reports.significance import FURTHER, significance
from benchmark.reports.study import Study
from benchmark.reports.tables import Column, Row, shown
from benchmark.store.files import write_text
from benchmark.store.runs import find_runs

ROOT = Path(__file__).parents[2]
LEAST_SEEDS = 3
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BEGIN, END = "<!-- findings -->\n", "<!-- end -->\n"
SHOWN = ("test.f1", "test.ltail_f1", "test.f1.difference")
LEFT = ("calibrated.f1.difference", "calibrated.ltail_f1.difference", "ap.tail.difference")
HEADINGS = ("F1", "LTail F1", "Δ F1", "calibrated Δ F1", "calibrated Δ LTail", "Δ AP of the tail")


def findings(results: Path) -> str:
    """Markdown: one table with the rows, of three seeds or more, of each experiment with a
    comparison.
    """
    few = 0
    lines = [f"| Experiment | Backbone | Augmenter | seeds | {' | '.join(HEADINGS)} |"]
    lines.append("|---|---|---|" + "---:|" * (1 + len(HEADINGS)))
    for experiment in sorted({run.experiment for run in find_runs(results)}):
        planned = seeds_by_cell(statuses(experiment, results))  # Holm counts what has not run
        study = Study.of((run.read() for run in find_runs(experiment)), planned)
        evidence = Evidence(study.runs)
        plain = significance(study, evidence)
        if not plain:
            continue
        report = f"[{experiment.name}]({experiment.relative_to(ROOT).as_posix()}/report.md)"
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
    left_out = f"{few} row{'' if few == 1 else 's'} with fewer than {LEAST_SEEDS} seeds"
    legend = (
        "Δ is the difference to `none`, over the seeds that both rows have; F1 and LTail F1 are "
        "means over all of a row, so compare by Δ. `*`: significant among the comparisons of its "
        "experiment (average precision, AP, has no mark). Calibrated: both with one threshold "
        f"tuned on dev. Left out: {left_out}."
    )
    return "\n".join([*lines, "", legend]) + "\n"


def _number(row: Row, columns: tuple[Column, ...], key: str) -> str:
    column = next((column for column in columns if column.key == key), None)
    number = shown(row, column).number if column else ""
    return number and number + row.cell(key).mark


def leaderboard(results: Path) -> str:
    """Write `leaderboard.html` and `leaderboard.png` below `results`; returns what was not made."""
    page = results / "leaderboard.html"
    command = [sys.executable, str(ROOT / "run_benchmark.py"), "leaderboard", str(results)]
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
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    found = findings(ROOT / "results/small")
    write_text(readme, before + BEGIN + found + END + after)
    print(f"written: {readme}")
    if missing := leaderboard(ROOT / "results/small"):
        print(missing)
