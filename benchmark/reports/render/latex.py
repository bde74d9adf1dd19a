r"""A Table as LaTeX that needs booktabs alone, so that it drops into any paper.

The text is UTF-8. Titles, names and notes may come from anywhere, so every character with a meaning
in TeX is escaped, and one that pdflatex cannot print becomes its code point: it would stop the
compilation.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from benchmark.reports.tables import Cell, Column, Row, Table, headings, shown

PREAMBLE = r"""\documentclass[10pt]{article}
\usepackage{booktabs}
% a page as wide as the tables: A4 across, with margins of 1.5 cm, and no package for it
\paperwidth=297mm \paperheight=210mm \pdfpagewidth=\paperwidth \pdfpageheight=\paperheight
\oddsidemargin=\dimexpr 15mm-1in\relax \topmargin=\oddsidemargin \headheight=0pt \headsep=0pt
\textwidth=\dimexpr\paperwidth-30mm\relax \textheight=\dimexpr\paperheight-30mm\relax
\columnwidth=\textwidth \hsize=\textwidth \linewidth=\textwidth
\pagestyle{empty}
\begin{document}
"""
LINE, GAP = 210, 1.5  # characters in a line of the page above, and between two columns

_SPECIAL = {character: "\\" + character for character in "{}$&#%_"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"{\textquoteleft}",
    "Δ": r"$\Delta$",
    "−": "$-$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
}
_SYMBOLS = "•–—‘’“”†‡…→€™"  # beyond the Latin letters, what pdflatex prints in any paper
_NOT_IN_OT1 = "«»ÐÞðþĄąĐđĘęĦħĮįĸĿŀŉŊŋŦŧŲų"  # Latin letters that its default font lacks


def latex(tables: Iterable[Table]) -> str:
    """A document that pdflatex compiles, with the tables as `table` environments, one per page."""
    return "\\clearpage\n".join([PREAMBLE, *map(_table, tables), "\\end{document}\n"])


def text_of(text: str) -> str:
    """A sentence of a caption: escaped, with `code` between backticks in typewriter."""
    parts = re.split(r"`([^`]+)`", text)
    return "".join(
        rf"\texttt{{{escaped(part)}}}" if index % 2 else escaped(part)
        for index, part in enumerate(parts)
    )


def escaped(text: str) -> str:
    """`text` so that LaTeX prints it as it stands, with no command in it."""
    # "--" would become a dash, ",," a quotation mark
    parts = re.split(r"(?<=-)(?=-)|(?<=,)(?=,)", re.sub(r"\s+", " ", text))
    return "{}".join("".join(map(_character, part)) for part in parts)


def _character(character: str) -> str:
    if character in _SPECIAL:
        return _SPECIAL[character]
    if unicodedata.category(character)[0] == "C":
        return ""  # control and format characters cannot be seen
    known = character < "ſ" and character not in _NOT_IN_OT1
    return character if known or character in _SYMBOLS else f"[U+{ord(character):04X}]"


def _table(table: Table) -> str:
    lines = [
        r"\begin{table}[tp]",
        r"\centering\footnotesize\setlength{\tabcolsep}{3pt}\setlength{\belowcaptionskip}{4pt}",
        rf"\caption{{{text_of(table.title)}}}",
    ]
    for number, part in enumerate(_parts(table)):
        lines += [r"\par\medskip"] * bool(number) + _tabular(table, part)
    if table.notes:
        lines += [r"\par\medskip\begin{minipage}{\linewidth}\scriptsize\raggedright"]
        lines += [rf"{text_of(note)}\par" for note in table.notes]
        lines += [r"\end{minipage}"]
    return "\n".join([*lines, r"\end{table}", ""])


def _tabular(table: Table, part: slice) -> list[str]:
    """The stub and some of the columns."""
    columns, stub = table.columns[part], [escaped(label) for label in table.stub]
    lines = [
        rf"\begin{{tabular}}{{{'r' * table.ranked}ll{'r' * (1 + len(columns))}}}",
        r"\toprule",
        *_heading(columns, len(stub)),
        _line([*stub, *(escaped(column.label) for column in columns)]),
    ]
    previous = None
    for row, (*texts, coverage) in table.lines():
        if row.group != previous:
            lines.append(r"\midrule")
        previous = row.group
        cells = zip(row.cells[part], columns, strict=True)
        numbers = [_cell(cell, column, row) for cell, column in cells]
        lines.append(_line([*map(escaped, texts), _absent(coverage), *numbers]))
    return [*lines, r"\bottomrule", r"\end{tabular}"]


def _heading(columns: tuple[Column, ...], offset: int) -> list[str]:
    """The line of the headings and the rules below it; nothing if no column has a heading."""
    groups = headings(columns)
    if not any(heading for heading, *_ in groups):
        return []
    span = r"\multicolumn{{{}}}{{c}}{{{}}}"
    spans = [span.format(last - first + 1, escaped(heading)) for heading, first, last in groups]
    rules = [
        rf"\cmidrule(lr){{{offset + first + 1}-{offset + last + 1}}}"
        for heading, first, last in groups
        if heading
    ]
    return [_line([*[""] * offset, *spans]), " ".join(rules)]


def _parts(table: Table) -> list[slice]:
    """The columns in stretches that fit a line each, divided where a heading ends."""
    longest = lambda texts: max(map(len, texts), default=0) + GAP
    stub = longest(row.group for row in table.visible) + 10
    stub += longest(row.label for row in table.visible)
    widths = [_width(table, index) for index in range(len(table.columns))]
    parts, first, used = [], 0, stub
    for _, start, last in headings(table.columns) if stub + sum(widths) > LINE else ():
        block = sum(widths[start : last + 1])
        if start > first and used + block > LINE:
            parts.append(slice(first, start))
            first, used = start, stub
        used += block
    return [*parts, slice(first, len(widths))]


def _width(table: Table, index: int) -> float:
    """Of a column, in characters; a spread is set smaller."""
    column = table.columns[index]
    texts = [shown(row.cells[index], column, row) for row in table.visible]
    spread = lambda parts: 0.8 * (len(parts.spread) + 3) if parts.spread else 0
    numbers = (len(parts.absent or parts.number) + spread(parts) for parts in texts)
    return max([len(column.label), *numbers]) + GAP


def _line(fields: Iterable[str]) -> str:
    r"""A line of a tabular; an initial "[" or "*" would be an argument of the `\\` above it."""
    guarded = [f"{{}}{field}" if field.startswith(("[", "*")) else field for field in fields]
    return " & ".join(guarded) + r" \\"


def _cell(cell: Cell, column: Column, row: Row) -> str:
    parts = shown(cell, column, row)
    if not parts.number:
        return _absent(parts.absent)
    number = re.sub("[-+<]", r"$\g<0>$", parts.number)
    text = rf"\textbf{{{number}}}" if cell.best else number
    text += rf" {{\scriptsize$\pm$\,{parts.spread}}}" if parts.spread else ""
    text += rf" {{\scriptsize($n$={parts.n})}}" if parts.n else ""
    # the mark takes no room, so that numbers stay below each other
    return text + (rf"\rlap{{\textsuperscript{{{escaped(cell.mark)}}}}}" if cell.mark else "")


def _absent(text: str) -> str:
    return text if text[:1].isdigit() else rf"\textit{{{escaped(text)}}}" if text else ""
