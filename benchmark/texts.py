"""Foreign text (a title, a relation's name, a description) made fit to be shown: in a terminal, in
Markdown, in HTML.

Letters of any script stay. Characters that act instead of being seen are removed: control
characters, which terminals obey, and marks that turn the direction of the text around them. LaTeX
has its own rules (`reports/render/latex.py`).
"""

from __future__ import annotations

import html
import re

_BLANKS = re.compile(r"\s+")
_ACTING = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_HALVES = re.compile("[\ud800-\udfff]")  # of surrogate pairs: no file can hold them
_MARKDOWN = re.compile(r"([\\|<\[])")
_CODE = re.compile(r"(`[^`]+`)")


def plain(text: str) -> str:
    """The text on one line, with nothing in it that acts."""
    return _HALVES.sub("\ufffd", _ACTING.sub("", _BLANKS.sub(" ", text)))


def escape(text: str) -> str:
    """`plain`, for HTML: in an element or in an attribute with quotes."""
    return html.escape(plain(text))


def markdown_escaped(text: str) -> str:
    """`plain`, for a line or a cell of Markdown: no tag, no link, no cell of its own. What stands
    between backticks stays code.
    """
    parts = _CODE.split(plain(text))
    parts[::2] = [_MARKDOWN.sub(r"\\\1", part) for part in parts[::2]]
    parts[1::2] = [code.replace("|", "\\|") for code in parts[1::2]]
    return "".join(parts)
