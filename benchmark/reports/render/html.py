"""Tables as HTML, and whole pages that need no network, from the templates in `assets/`.

The marks carry the structure (caption, scopes, row groups); a style sheet decides how it looks.
Texts may come from anywhere: the templates escape every value that is not marked `safe`. There is
no inline style: a page may forbid it.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from benchmark.reports.tables import Table, headings, shown
from benchmark.texts import escape, plain

ASSETS = Path(__file__).with_name("assets")


def html(tables: Iterable[Table]) -> str:
    """The tables as `<figure class="results">`: a box that scrolls, with the notes as caption."""
    return rendered("tables.html", tables=tables)


def html_document(tables: Iterable[Table], title: str, summary: Iterable[str] = ()) -> str:
    """The tables as a page of their own, after the paragraphs of `summary`."""
    said = "\n".join(f"<p>{sentence(paragraph)}</p>" for paragraph in summary)
    return whole_page(f"<main>\n{said}\n{html(tables)}\n</main>", title, "tables.css")


def whole_page(body: str, title: str, style: str, script: str = "") -> str:
    """A page that needs no network. Its policy allows this style sheet and script, by digest.

    style, script: names of files in `assets/`.
    """
    style, script = ((ASSETS / name).read_text("utf-8") if name else "" for name in (style, script))
    allowed = f"style-src {_digest(style)}; "
    allowed += f"script-src {_digest(script)}; " if script else ""
    policy = f"default-src 'none'; {allowed}img-src data:; base-uri 'none'; form-action 'none'"
    return rendered("whole.html", body=body, title=title, style=style, script=script, policy=policy)


def rendered(template: str, **values: Any) -> str:
    return _environment().get_template(template).render(values)


def sentence(text: str) -> str:
    """A sentence of a caption: escaped, with `code` between backticks as such."""
    from markupsafe import Markup

    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text)))


@cache
def _environment():
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(ASSETS),
        autoescape=True,
        finalize=lambda value: plain(value) if type(value) is str else value,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["sentence"] = sentence
    environment.globals |= {"headings": headings, "shown": shown}
    return environment


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
