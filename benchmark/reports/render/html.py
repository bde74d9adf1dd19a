"""A Table as an HTML fragment, and whole pages that need no network.

The marks carry the structure (caption, scopes, row groups); a style sheet decides how it looks.
Texts may come from anywhere and are escaped. There is no inline style: a page may forbid it.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable

from benchmark.reports.tables import Cell, Column, Row, Table, headings, shown
from benchmark.texts import escape

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
    """The tables as `<figure class="results">`: a box that scrolls, with the notes as caption."""
    return "\n".join(map(_figure, tables))


def html_document(tables: Iterable[Table], title: str, summary: Iterable[str] = ()) -> str:
    """The tables as a page of their own, after the paragraphs of `summary`."""
    said = "\n".join(f"<p>{text_of(paragraph)}</p>" for paragraph in summary)
    return whole_page(f"<main>\n{said}\n{html(tables)}\n</main>", title, STYLE)


def whole_page(body: str, title: str, style: str, script: str = "") -> str:
    """A page that needs no network. Its policy allows this style sheet and script, by digest."""
    scripts = f"script-src {_digest(script)}; " if script else ""
    allowed = f"style-src {_digest(style)}; {scripts}img-src data:"
    policy = f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
{body}
{f"<script>{script}</script>" if script else ""}
</body>
</html>
"""


def number_html(cell: Cell, column: Column, row: Row) -> str:
    """A cell's number, bold if best, with its spread, its number of seeds and its mark."""
    parts = shown(cell, column, row)
    if parts.absent:
        return f'<span class="absent">{escape(parts.absent)}</span>'
    if not parts.number:
        return ""
    number = escape(parts.number.replace("-", "\N{MINUS SIGN}"))
    text = f"<strong>{number}</strong>" if cell.best else number
    text += f' <span class="spread">± {parts.spread}</span>' if parts.spread else ""
    text += f' <span class="spread">(n={parts.n})</span>' if parts.n else ""
    return text + (f"<sup>{escape(cell.mark)}</sup>" if cell.mark else "")


def text_of(text: str) -> str:
    """A sentence of a caption: escaped, with `code` between backticks as such."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _figure(table: Table) -> str:
    notes = "".join(f"<p>{text_of(note)}</p>" for note in table.notes)
    folded = f"<details><summary>About this table</summary>{notes}</details>"
    return (
        '<figure class="results">\n<div class="scroll" role="region" tabindex="0" '
        f'aria-label="{escape(table.title)}">\n'
        f"<table>\n<caption>{text_of(table.title)}</caption>\n{_head(table)}\n"
        + "\n".join(_group(name, rows, table) for name, rows in table.groups)
        + f"\n</table>\n</div>\n{f'<figcaption>{folded}</figcaption>' if notes else ''}</figure>"
    )


def _head(table: Table) -> str:
    groups = headings(table.columns)
    two_lines = any(heading for heading, *_ in groups)
    span = ' rowspan="2"' if two_lines else ""
    stub = "".join(f'<th scope="col"{span}>{escape(label)}</th>' for label in table.stub)
    labels = "".join(
        f'<th scope="col" class="number">{escape(column.label)}</th>' for column in table.columns
    )
    spans = "".join(
        f'<th scope="colgroup" colspan="{last - first + 1}">{escape(heading)}</th>'
        for heading, first, last in groups
    )
    lines = [stub + spans, labels] if two_lines else [stub + labels]
    return f"<thead>{''.join(f'<tr>{line}</tr>' for line in lines)}</thead>"


def _group(name: str, rows: list[Row], table: Table) -> str:
    lines = []
    for row in rows:
        rank = f'<td class="number">{escape(row.rank)}</td>' if table.ranked else ""
        head = f'<th scope="rowgroup" rowspan="{len(rows)}">{escape(name)}</th>'
        label = f'<th scope="row">{escape(row.label)}</th>'
        cells = "".join(
            f'<td class="number">{text}</td>'
            for text in [escape(row.coverage), *_numbers(row, table.columns)]
        )
        lines.append(f"<tr>{rank}{'' if lines else head}{label}{cells}</tr>")
    return "<tbody>" + "\n".join(lines) + "</tbody>"


def _numbers(row: Row, columns: tuple[Column, ...]) -> list[str]:
    return [number_html(*pair, row) for pair in zip(row.cells, columns, strict=True)]


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
