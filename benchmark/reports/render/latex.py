r"""A Table as LaTeX: booktabs rules, nothing else besides the kernel, so that it drops into any
paper (`\usepackage{booktabs}`).

All texts of a table are foreign (a relation, an experiment's name, a file): every character that
means something to TeX is escaped, and one that pdflatex cannot print is written as its code point
rather than left to stop the compilation.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from benchmark.reports.cells import headings, ranked, row_groups, shown
from benchmark.reports.tables import Cell, Column, Row, Table

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


LINE, GAP = (
    210,
    1.5,
)  # characters of a line of footnotesize on the page above, and between two columns


def latex(tables: Iterable[Table], *, document: bool = False) -> str:
    """The tables as `table` environments.

    Args:
        document: a document of its own that pdflatex compiles, with a table per page; else what a
            paper can `\\input`.
    """
    texts = [_table(table) for table in tables]
    return (
        "\\clearpage\n".join([PREAMBLE, *texts, "\\end{document}\n"])
        if document
        else "\n".join(texts)
    )


def _table(table: Table) -> str:
    ranks = ranked(table.visible)
    stub = [*(["Rank"] if ranks else []), table.group_label, table.row_label, "seeds"]
    lines = [
        r"\begin{table}[tp]",
        r"\centering\footnotesize\setlength{\tabcolsep}{3pt}\setlength{\belowcaptionskip}{4pt}",
        rf"\caption{{{text_of(table.title)}}}",
    ]
    for number, part in enumerate(_parts(table)):
        columns = table.columns[part]
        lines += [
            *([r"\par\medskip"] if number else []),
            rf"\begin{{tabular}}{{{'r' if ranks else ''}ll{'r' * (1 + len(columns))}}}",
            r"\toprule",
            *_heading(columns, len(stub)),
            _line([*map(escaped, stub), *(escaped(column.label) for column in columns)]),
        ]
        for name, rows in row_groups(table.visible):
            lines.append(r"\midrule")
            for position, row in enumerate(rows):
                rank = [escaped(row.rank)] if ranks else []
                cells = (
                    _cell(cell, column, row)
                    for cell, column in zip(row.cells[part], columns, strict=True)
                )
                lines.append(
                    _line(
                        [
                            *rank,
                            "" if position else escaped(name),
                            escaped(row.label),
                            _absent(row.coverage),
                            *cells,
                        ]
                    )
                )
        lines += [r"\bottomrule", r"\end{tabular}"]
    if table.notes:
        lines += [r"\par\medskip\begin{minipage}{\linewidth}\scriptsize\raggedright"]
        lines += [rf"{text_of(note)}\par" for note in table.notes]
        lines += [r"\end{minipage}"]
    return "\n".join([*lines, r"\end{table}", ""])


def _parts(table: Table) -> list[slice]:
    """The columns in stretches that fit a line each, divided where a heading ends."""
    stub = (
        sum(
            max((len(getattr(row, part)) for row in table.visible), default=0) + GAP
            for part in ("group", "label")
        )
        + 10
    )
    widths = [_width(table, index) for index in range(len(table.columns))]
    if stub + sum(widths) <= LINE:
        return [slice(0, len(widths))]
    parts, first, used = [], 0, stub
    for _, start, last in headings(table.columns):
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
    numbers = (
        len(parts.absent or parts.number) + 0.8 * (len(parts.spread) + 3 * bool(parts.spread))
        for parts in texts
    )
    return max([len(column.label), *numbers]) + GAP


def _heading(columns: tuple[Column, ...], offset: int) -> list[str]:
    """The line of the splits and the rules below it; nothing if no column has a heading."""
    groups = list(headings(columns))
    if not any(heading for heading, _, _ in groups):
        return []
    spans = [
        rf"\multicolumn{{{last - first + 1}}}{{c}}{{{escaped(heading)}}}"
        for heading, first, last in groups
    ]
    rules = [
        rf"\cmidrule(lr){{{offset + first + 1}-{offset + last + 1}}}"
        for heading, first, last in groups
        if heading
    ]
    return [_line([*[""] * offset, *spans]), " ".join(rules)]


def _line(fields: Iterable[str]) -> str:
    r"""One line of a tabular. A field that begins with "[" or "*" would be read as an argument of
    the `\\` above it.
    """
    guarded = [f"{{}}{field}" if field.startswith(("[", "*")) else field for field in fields]
    return " & ".join(guarded) + r" \\"


def _cell(cell: Cell, column: Column, row: Row) -> str:
    parts = shown(cell, column, row)
    if parts.absent:
        return _absent(parts.absent)
    if not parts.number:
        return ""
    number = parts.number.replace("-", "$-$").replace("+", "$+$").replace("<", "$<$")
    text = rf"\textbf{{{number}}}" if cell.best else number
    text += rf" {{\scriptsize$\pm$\,{parts.spread}}}" if parts.spread else ""
    text += rf" {{\scriptsize($n$={parts.n})}}" if parts.n else ""
    # the mark takes no room, so that numbers stay below each other
    return text + (rf"\rlap{{\textsuperscript{{{escaped(cell.mark)}}}}}" if cell.mark else "")


def _absent(text: str) -> str:
    return text if text[:1].isdigit() else rf"\textit{{{escaped(text)}}}" if text else ""


def text_of(text: str) -> str:
    """A sentence of a caption: escaped, with `code` between backticks in typewriter."""
    parts = re.split(r"`([^`]+)`", text)
    return "".join(
        rf"\texttt{{{escaped(part)}}}" if index % 2 else escaped(part)
        for index, part in enumerate(parts)
    )


def escaped(text: str) -> str:
    """`text` so that LaTeX prints it as it stands: nothing in it is a command."""
    parts = re.split(
        r"(?<=-)(?=-)|(?<=,)(?=,)", re.sub(r"\s+", " ", text)
    )  # "--" would become a dash, ",," a quotation mark
    return "{}".join("".join(map(_character, part)) for part in parts)


_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"''",
    "`": r"{\textquoteleft}",
    "'": r"{\textquoteright}",
}
_SPECIAL |= {
    "Δ": r"$\Delta$",
    "±": r"$\pm$",
    "−": r"$-$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "≠": r"$\neq$",
    "≈": r"$\approx$",
    "→": r"$\rightarrow$",
    "²": r"$^2$",
    "³": r"$^3$",
    "†": r"$\dagger$",
    "‡": r"$\ddagger$",
    "§": r"$\mathsection$",
    "°": r"$^\circ$",
    "–": "--",
    "—": "---",
    "…": r"\ldots{}",
    "‘": r"{\textquoteleft}",
    "’": r"{\textquoteright}",
    "“": r"{\textquotedblleft}",
    "”": r"{\textquotedblright}",
    "\N{NO-BREAK SPACE}": "~",
}
_SPECIAL |= {
    "ß": r"\ss{}",
    "æ": r"\ae{}",
    "Æ": r"\AE{}",
    "œ": r"\oe{}",
    "Œ": r"\OE{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
}
_SPECIAL |= {"ł": r"\l{}", "Ł": r"\L{}", "ı": r"\i{}"}
_GREEK = {
    "α": "alpha",
    "β": "beta",
    "γ": "gamma",
    "δ": "delta",
    "ε": "epsilon",
    "λ": "lambda",
    "μ": "mu",
    "σ": "sigma",
    "τ": "tau",
}
_SPECIAL |= {letter: rf"$\{name}$" for letter, name in _GREEK.items()} | {"µ": r"$\mu$"}
_ACCENTS = {
    "\u0300": "`",
    "\u0301": "'",
    "\u0302": "^",
    "\u0303": "~",
    "\u0304": "=",
    "\u0306": "u",
    "\u0307": ".",
}
_ACCENTS |= {
    "\u0308": '"',
    "\u030a": "r",
    "\u030b": "H",
    "\u030c": "v",
    "\u0327": "c",
    "\u0323": "d",
}


def _character(character: str) -> str:
    if character in _SPECIAL:
        return _SPECIAL[character]
    if " " <= character <= "~":
        return character
    if unicodedata.category(character)[0] == "C":
        return ""  # control and format characters: nothing that could be seen
    base, *marks = unicodedata.normalize("NFD", character)
    if base.isascii() and base.isalpha() and len(marks) == 1 and marks[0] in _ACCENTS:
        base = rf"\{base}" if base in "ij" and marks[0] not in "\u0327\u0323" else base
        return rf"\{_ACCENTS[marks[0]]}{{{base}}}"
    return f"[U+{ord(character):04X}]"
