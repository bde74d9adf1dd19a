r"""A Table as LaTeX that needs booktabs alone, so that it drops into any paper.

The text is UTF-8. Titles, names and notes may come from anywhere, so every character with a meaning
in TeX is escaped, and one that pdflatex cannot print becomes its code point: it would stop the
compilation.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from benchmark.reports.tables import Column, Row, Table, headings, shown

PREAMBLE = r"""\documentclass[10pt]{article}
\usepackage{booktabs}
% a page as wide as the widest tables, with margins of 1.5 cm, and no package for it
\paperwidth=594mm \paperheight=297mm \pdfpagewidth=\paperwidth \pdfpageheight=\paperheight
\oddsidemargin=\dimexpr 15mm-1in\relax \topmargin=\oddsidemargin \headheight=0pt \headsep=0pt
\textwidth=\dimexpr\paperwidth-30mm\relax \textheight=\dimexpr\paperheight-30mm\relax
\columnwidth=\textwidth \hsize=\textwidth \linewidth=\textwidth
\pagestyle{empty}
\begin{document}
"""

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
    columns, stub = table.columns, [escaped(label) for label in table.stub]
    lines = [
        r"\begin{table}[tp]",
        r"\centering\footnotesize\setlength{\tabcolsep}{3pt}\setlength{\belowcaptionskip}{4pt}",
        rf"\caption{{{text_of(table.title)}}}",
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
        numbers = [_cell(row, column) for column in columns]
        lines.append(_line([*map(escaped, texts), _absent(coverage), *numbers]))
    lines += [r"\bottomrule", r"\end{tabular}"]
    if table.notes:
        lines += [r"\par\medskip\begin{minipage}{\linewidth}\scriptsize\raggedright"]
        lines += [rf"{text_of(note)}\par" for note in table.notes]
        lines += [r"\end{minipage}"]
    return "\n".join([*lines, r"\end{table}", ""])


def _heading(columns: tuple[Column, ...], offset: int) -> list[str]:
    """The line of the headings and the rules below it; nothing if no column has a heading."""
    fields, rules, first = [""] * offset, [], offset + 1
    for heading, number in headings(columns):
        fields.append(rf"\multicolumn{{{number}}}{{c}}{{{escaped(heading)}}}")
        if heading:
            rules.append(rf"\cmidrule(lr){{{first}-{first + number - 1}}}")
        first += number
    return [_line(fields), " ".join(rules)] if rules else []


def _line(fields: Iterable[str]) -> str:
    r"""A line of a tabular; an initial "[" or "*" would be an argument of the `\\` above it."""
    guarded = [f"{{}}{field}" if field.startswith(("[", "*")) else field for field in fields]
    return " & ".join(guarded) + r" \\"


def _cell(row: Row, column: Column) -> str:
    parts, cell = shown(row, column), row.cell(column.key)
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
