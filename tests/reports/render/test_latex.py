"""Tables as LaTeX: the lines by hand, no foreign command, and what pdflatex says to it."""

import re
import shutil
import subprocess

import pytest

from benchmark.reports.render.latex import escaped, latex, text_of
from benchmark.reports.tables import Cell, Column, Row, Table

COLUMNS = (
    Column("dev.f1", "F1", "dev"),
    Column("test.ign_f1", "Ign F1", "test"),
    Column("test.f1.difference", "Δ F1", "test", difference=True),
)
HOSTILE = (
    r"""a_b & 100% #1 ${x} ~^ \input{/etc/passwd} <>|"'` «¡łéñçÅﬁ中文 --help ,, ±†‡Δ² [x] * \\"""
    + "\x00\u202e"
)


def row(group, label, *cells, seeds=(0, 1), **others):
    by_key = dict(zip((column.key for column in COLUMNS), cells, strict=True))
    return Row(group, label, by_key, seeds, (0, 1), **others)


MISSING, TWO = Cell(absent="missing"), Cell({0: 50, 1: 52})
LOSS = Cell({0: -1, 1: -3}, mark="†")
ROWS = (
    row("atlop", "none", TWO, Cell({0: 48, 1: 48}, best=True), Cell()),
    row("atlop", "vae", Cell({0: 51, 1: 53}, best=True), Cell(absent="undefined"), LOSS),
    row("kd_docre", "none", MISSING, MISSING, Cell(), seeds=()),
    row("kd_docre", "vae", Cell({1: 50}), Cell({1: 50}), MISSING, seeds=(1,)),
)


def table(rows=ROWS, *, title="demo", notes=("Over `none`.",), columns=COLUMNS, label="Augmenter"):
    return Table(title, notes, "Backbone", label, columns, tuple(rows))


def test_lines_of_a_table():
    lines = latex([table()]).splitlines()
    assert lines[lines.index(r"\toprule") : lines.index(r"\bottomrule")] == [
        r"\toprule",
        r" &  &  & \multicolumn{1}{c}{dev} & \multicolumn{2}{c}{test} \\",
        r"\cmidrule(lr){4-4} \cmidrule(lr){5-6}",
        r"Backbone & Augmenter & seeds & F1 & Ign F1 & $\Delta$ F1 \\",
        r"\midrule",
        r"atlop & none & 2 & 51.00 {\scriptsize$\pm$\,1.41} & \textbf{48.00} "
        r"{\scriptsize$\pm$\,0.00} &  \\",
        r" & vae & 2 & \textbf{52.00} {\scriptsize$\pm$\,1.41} & \textit{n/a} & "
        r"$-$2.00 {\scriptsize$\pm$\,1.41}\rlap{\textsuperscript{†}} \\",
        r"\midrule",
        r"kd\_docre & vae & 1/2 & 50.00 & 50.00 & \textit{missing} \\",
    ]
    assert r"\begin{tabular}{llrrrr}" in lines and r"\caption{demo}" in lines
    assert r"Over \texttt{none}.\par" in lines


def test_ranks_headings_and_fewer_seeds_are_shown_where_there_are_any():
    rows = [row("atlop", name, TWO, Cell({0: 1}), TWO, rank="1") for name in ("vae", "none")]
    text = latex([table(rows)])
    assert r"1.00 {\scriptsize($n$=1)}" in text
    assert r"Rank & Backbone" in text and r"\begin{tabular}{rllrrrr}" in text
    assert r"\cmidrule(lr){5-5}" in text and text.count("\n1 & ") == 2
    plain = latex([table(columns=tuple(Column(c.key, c.label, "") for c in COLUMNS))])
    assert not any(part in plain for part in ("Rank", "multicolumn", "cmidrule"))


@pytest.mark.parametrize(
    "text, expected",
    [
        ("P17_x & 5%", r"P17\_x \& 5\%"),
        ("#1 $x$ {y}", r"\#1 \$x\$ \{y\}"),
        (r"\input{x}", r"\textbackslash{}input\{x\}"),
        ("~ ^", r"\textasciitilde{} \textasciicircum{}"),
        ("--set", "-{}-set"),
        ("a\n\nb", "a b"),
        ("é Ł ï ±", "é Ł ï ±"),
        ("中 đ", "[U+4E2D] [U+0111]"),
        ("\x07\u202e", ""),
    ],
)
def test_escaping(text, expected):
    assert escaped(text) == expected


def test_hostile_texts_leave_no_command_of_their_own():
    text = escaped(HOSTILE)
    ours = "textbackslash|textasciitilde|textasciicircum|textless|textgreater|textbar|textquoteleft"
    assert re.fullmatch(rf"([^\\]|\\({ours}|Delta)(?![a-z])|\\[&%#${{}}_])*", text), text
    assert not re.search(r"(?<!\\)[&%#]", text)


def test_code_in_notes_is_typewriter():
    assert text_of("minus that of `none` with") == r"minus that of \texttt{none} with"
    assert text_of("a `b") == r"a {\textquoteleft}b"


def test_a_row_beginning_with_a_bracket_or_star_is_no_argument_of_the_line_before():
    text = latex([table([row(name, "vae", TWO, TWO, TWO) for name in ("[3pt]", "*")])])
    assert "\n{}[3pt] & vae" in text and "\n{}* & vae" in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_the_document_compiles_with_the_kernel_and_booktabs_alone(tmp_path):
    names = zip((HOSTILE, "[3pt]", "*", "é"), ROWS, strict=True)
    rows = [Row(name, name, r.cells, r.seeds, r.expected, rank=HOSTILE[:3]) for name, r in names]
    notes = (HOSTILE, "[x]", f"`{HOSTILE.replace('`', '')}`")
    text = latex([table(), table(rows, title=HOSTILE, notes=notes, label="[x]")])
    assert re.findall(r"\\usepackage.*", text) == [r"\usepackage{booktabs}"]
    (tmp_path / "t.tex").write_text(text, encoding="utf-8")
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "t.tex"]
    options = {"cwd": tmp_path, "capture_output": True, "text": True, "errors": "replace"}
    done = subprocess.run(command, **options, timeout=100)
    assert done.returncode == 0, done.stdout[-2000:]
    log = (tmp_path / "t.log").read_text(errors="replace")
    assert "(2 pages" in done.stdout and "Missing character" not in log
