"""Write the findings into the README: a summary and a table for each experiment of results/small.

    python docs/results/readme.py

They stand between the lines `<!-- findings -->` and `<!-- end -->`. Run it after
`docs/results/collect.py`; the numbers come from the stored files alone.
"""

from __future__ import annotations

from pathlib import Path

from benchmark.grid.status import description_of
from benchmark.reports.ablation import CALIBRATED, ablation_table
from benchmark.reports.evidence import Evidence
from benchmark.reports.significance import FURTHER, significance
from benchmark.reports.study import Study
from benchmark.reports.summary import signed, summary
from benchmark.reports.tables import Column, Row
from benchmark.store.files import written_atomically
from benchmark.store.runs import find_runs

ROOT = Path(__file__).parents[2]
BEGIN, END = "<!-- findings -->\n", "<!-- end -->\n"
SHOWN = ("test.f1", "test.ltail_f1", "test.f1.difference")
LEFT = ("calibrated.f1.difference", "calibrated.ltail_f1.difference", "ap.tail.difference")
HEADINGS = ("F1", "LTail F1", "Δ F1", "calibrated Δ F1", "calibrated Δ LTail", "Δ AP of the tail")


def findings(results: Path) -> str:
    """Markdown: of each experiment with an augmenter what it shows, and its table of rows with two
    seeds or more.
    """
    parts = []
    for experiment in sorted({run.experiment for run in find_runs(results)}):
        study = Study.of(run.read() for run in find_runs(experiment))
        evidence = Evidence(study.runs)
        plain = significance(study, evidence)
        if not plain:
            continue
        further = significance(study, evidence, FURTHER)
        tables = (ablation_table(study), ablation_table(study, CALIBRATED))
        name = experiment.relative_to(ROOT).as_posix()
        parts += [f"[{experiment.name}]({name}/report.md): {description_of(experiment)}"]
        parts += summary(plain, further)
        lines = [f"| Backbone | Augmenter | seeds | {' | '.join(HEADINGS)} |"]
        lines.append("|---|---|" + "---:|" * (1 + len(HEADINGS)))
        for row, calibrated in zip(*(table.rows for table in tables), strict=True):
            if len(row.seeds) < 2:
                continue  # one seed says nothing of a spread; the report has the row
            numbers = [_number(row, tables[0].columns, key) for key in SHOWN]
            numbers += [_number(calibrated, CALIBRATED, key) for key in LEFT]
            stub = row.group, row.shown_label, row.coverage
            lines.append(f"| {' | '.join((*stub, *numbers))} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _number(row: Row, columns: tuple[Column, ...], key: str) -> str:
    difference = {column.key: column.difference for column in columns}.get(key)
    if (cell := row.cell(key)).mean is None or difference is None:
        return ""
    return (signed(cell.mean) if difference else f"{cell.mean:.2f}") + cell.mark


if __name__ == "__main__":
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    with written_atomically(readme) as part:
        part.write_text(before + BEGIN + findings(ROOT / "results/small") + END + after)
    print(f"written: {readme}")
