"""Foreign texts in a terminal, in Markdown and in HTML: letters stay, what acts is gone or
escaped.
"""

import io

import pytest
from rich.console import Console

from benchmark.reports.render.html import html_document
from benchmark.reports.render.latex import latex
from benchmark.reports.render.text import csv_text, markdown, terminal
from benchmark.reports.tables import Cell, Column, Row, Table
from benchmark.texts import escape, markdown_escaped, plain

HOSTILE = (
    "</td><script>x</script>|a_b\\\n\x1b[31m\x00\u202eRTL\u2066\ud800"
    "[click](javascript:x)`<i>|`[/red]"
)
COLUMN = Column("test.f1", "F1", "test", ("test", "f1"))


def table():
    row = Row(HOSTILE, HOSTILE, {COLUMN.key: Cell({0: 50.0}, mark="*")}, (0,), (0,))
    return Table(HOSTILE, (HOSTILE,), "Backbone", "Augmenter", (COLUMN,), (row,))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\n b\t\r\nc", "a b c"),
        ("\x1b[31mred\x07\x9b", "[31mred"),
        ("\u202eabc\u202c \u2066x\u2069 \u200e\u200f\u061c", "abc x "),
        ("Škoda 東京 עברית عربى", "Škoda 東京 עברית عربى"),
        ("می\u200cخواهم", "می\u200cخواهم"),  # joins letters, turns nothing
        ("\ud800", "\ufffd"),
        ("a\u2028b\x85c", "a b c"),
    ],
)
def test_plain(text, expected):
    assert plain(text) == expected


def test_escaped_for_html_and_for_markdown():
    shown = "&lt;b title=&quot;x&quot; id=&#x27;y&#x27;&gt;&amp;"
    assert escape("<b title=\"x\" id='y'>&\x1b") == shown
    shown = "a\\|b \\<i> \\[x](y) \\\\ `c\\|d<e` ### f"
    assert markdown_escaped("a|b <i> [x](y) \\ `c|d<e`\n### f") == shown


@pytest.mark.parametrize(
    "rendered",
    [lambda t: markdown([t]), lambda t: html_document([t], t.title), lambda t: latex([t])],
)
def test_every_face_of_a_hostile_table_is_a_file_without_what_acts(rendered, tmp_path):
    text = rendered(table())
    (tmp_path / "file").write_text(text, encoding="utf-8")
    assert not any(character in text for character in "\x00\x1b\u202e\u2066\ud800")
    assert "<script>" not in text.replace("\\<script>", "")


def test_csv_is_a_file_without_what_acts(tmp_path):
    text = csv_text([table()])
    (tmp_path / "file").write_text(text, encoding="utf-8")
    assert not any(character in text for character in "\x00\x1b\u202e\u2066\ud800")


def test_markdown_keeps_its_lines_and_cells():
    title, blank, head, rule, row, *_ = markdown([table()]).splitlines()
    assert title.startswith("### ") and blank == ""
    cells = lambda line: line.replace("\\\\", "").replace("\\|", "").count("|")
    assert cells(head) == cells(rule) == cells(row) == 5


def test_the_terminal_gets_no_orders():
    out = io.StringIO()
    terminal([table()], Console(file=out, width=300))
    assert not any(character in out.getvalue() for character in "\x1b\x00\u202e\u2066")
    assert "[/red]" in out.getvalue() and "<script>" in out.getvalue()
