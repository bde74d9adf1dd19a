"""A Table as an HTML fragment: what it is in its marks (caption, scopes, row groups), how it looks
left to the page's style sheet.

All texts are foreign (an experiment's name, a note from a data file) and escaped; there is no
inline style, so that a page may forbid them.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable

from benchmark.reports.cells import headings, ranked, row_groups, shown
from benchmark.reports.tables import Cell, Column, Row, Table
from benchmark.texts import escape

FOLDED = "<figcaption><details><summary>About this table</summary>{}</details></figcaption>"
MINUS = "\N{MINUS SIGN}"

STYLE = """
:root { color-scheme: light dark; }
body { margin: 0 auto; padding: 2rem 1rem; max-width: 90rem; font: 1rem/1.5 system-ui, sans-serif; }
.scroll { overflow-x: auto; }
figure { margin: 0 0 3rem; }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding-bottom: 0.5rem; }
th, td { padding: 0.3rem 0.55rem; text-align: left; vertical-align: baseline; white-space: nowrap; }
tbody { border-top: 1px solid; border-bottom: 1px solid; }
th { font-weight: 500; }
.number { text-align: right; }
.spread, .absent, figcaption { opacity: 0.8; font-size: 0.85em; }
figcaption p { margin: 0.3rem 0; max-width: 75ch; }
"""


def html(tables: Iterable[Table]) -> str:
    """The tables as `<figure class="results">`: the table in a box that may scroll, its notes as
    the figure's caption.
    """
    return "\n".join(_figure(table) for table in tables)


def html_document(tables: Iterable[Table], title: str, summary: Iterable[str] = ()) -> str:
    """A file of its own, which needs no network and runs nothing: a policy forbids whatever is not
    its style sheet.

    summary: paragraphs that come first.
    """
    said = "\n".join(f"<p>{text_of(paragraph)}</p>" for paragraph in summary)
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, '
        f'initial-scale=1">\n<title>{escape(title)}</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{said}\n{html(tables)}\n</main>\n</body>\n</html>\n"
    )


def number_html(cell: Cell, column: Column, row: Row) -> str:
    """What stands in a cell: the number, bold if best, its spread, its number of seeds and its
    mark.
    """
    parts = shown(cell, column, row)
    if parts.absent:
        return f'<span class="absent">{escape(parts.absent)}</span>'
    if not parts.number:
        return ""
    number = escape(parts.number.replace("-", MINUS))
    text = f"<strong>{number}</strong>" if cell.best else number
    text += f' <span class="spread">± {parts.spread}</span>' if parts.spread else ""
    text += f' <span class="spread">(n={parts.n})</span>' if parts.n else ""
    return text + (f"<sup>{escape(cell.mark)}</sup>" if cell.mark else "")


def text_of(text: str) -> str:
    """A sentence of a caption: escaped, with `code` between backticks as such."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _figure(table: Table) -> str:
    notes = "".join(f"<p>{text_of(note)}</p>" for note in table.notes)
    body = "\n".join(_group(name, rows, table) for name, rows in row_groups(table.visible))
    return (
        '<figure class="results">\n<div class="scroll" role="region" tabindex="0" '
        f'aria-label="{escape(table.title)}">\n'
        f"<table>\n<caption>{text_of(table.title)}</caption>\n{_head(table)}\n{body}\n</table>\n</div>\n"
        f"{FOLDED.format(notes) if notes else ''}</figure>"
    )


def _head(table: Table) -> str:
    groups = list(headings(table.columns))
    two_lines = any(heading for heading, _, _ in groups)
    span = ' rowspan="2"' if two_lines else ""
    stub = [
        *(["Rank"] if ranked(table.visible) else []),
        table.group_label,
        table.row_label,
        "seeds",
    ]
    first = "".join(f'<th scope="col"{span}>{escape(label)}</th>' for label in stub)
    labels = "".join(
        f'<th scope="col" class="number">{escape(column.label)}</th>' for column in table.columns
    )
    if not two_lines:
        return f"<thead><tr>{first}{labels}</tr></thead>"
    spans = "".join(
        f'<th scope="colgroup" colspan="{last - first_ + 1}">{escape(heading)}</th>'
        for heading, first_, last in groups
    )
    return f"<thead><tr>{first}{spans}</tr><tr>{labels}</tr></thead>"


def _group(name: str, rows: list[Row], table: Table) -> str:
    lines = []
    for position, row in enumerate(rows):
        rank = f'<td class="number">{escape(row.rank)}</td>' if ranked(table.visible) else ""
        head = "" if position else f'<th scope="rowgroup" rowspan="{len(rows)}">{escape(name)}</th>'
        cells = "".join(
            f'<td class="number">{number_html(cell, column, row)}</td>'
            for cell, column in zip(row.cells, table.columns, strict=True)
        )
        label = (
            f'<th scope="row">{escape(row.label)}</th><td '
            f'class="number">{escape(row.coverage)}</td>'
        )
        lines.append(f"<tr>{rank}{head}{label}{cells}</tr>")
    return "<tbody>" + "\n".join(lines) + "</tbody>"
