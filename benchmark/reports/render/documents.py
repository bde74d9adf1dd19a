"""Documents with their entities coloured, and the facts found in them: one page without scripts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from benchmark.reports.render.html import whole_page
from benchmark.texts import escape

HUES = 12  # entities further apart in number share a colour
STYLE = """
:root { color-scheme: light dark; }
body { margin: 0 auto; padding: 1rem; max-width: 75rem; font: 1rem/1.7 system-ui, sans-serif; }
article { display: grid; grid-template-columns: 3fr 2fr; gap: 0 2rem; margin-bottom: 3rem; }
h2 { grid-column: 1 / -1; font-size: 1.1rem; }
mark { border-radius: 0.3em; padding: 0 0.25em; color: #111; }
mark sub { font-size: 0.65em; }
table { border-collapse: collapse; font-size: 0.9rem; align-self: start; }
th, td { text-align: left; padding: 0.2rem 0.5rem; border-bottom: 1px solid #8888; }
td:last-child, th:last-child { text-align: right; font-variant-numeric: tabular-nums; }
@media (max-width: 45rem) { article { grid-template-columns: 1fr; } }
""" + "".join(f".e{n} {{ background: hsl({360 * n // HUES} 80% 80%); }}\n" for n in range(HUES))


def documents_page(rows: Iterable[Mapping[str, Any]], facts: Iterable[Mapping[str, Any]]) -> str:
    """HTML of documents (canonical schema) beside the facts that `predict` found in them."""
    facts = list(facts)
    articles = "\n".join(
        _article(row, [fact for fact in facts if fact["title"] == row["title"]]) for row in rows
    )
    return whole_page(f"<main>\n{articles}\n</main>", "Relations", STYLE)


def _article(row: Mapping[str, Any], facts: list[Mapping[str, Any]]) -> str:
    head = "<tr><th>Head</th><th>Relation</th><th>Tail</th><th>Score</th></tr>"
    lines = "".join(
        f"<tr><td>{_marked(fact['h_idx'], fact['head'])}</td><td>{escape(fact['relation'])}</td>"
        f"<td>{_marked(fact['t_idx'], fact['tail'])}</td><td>{fact['score']:.2f}</td></tr>"
        for fact in facts
    )
    found = f"<table>{head}{lines}</table>" if facts else "<p>No relation was found.</p>"
    return f"<article><h2>{escape(row['title'])}</h2><div>{_text(row)}</div>{found}</article>"


def _marked(entity: int, text: str) -> str:
    return f'<mark class="e{entity % HUES}">{escape(text)}<sub>{entity + 1}</sub></mark>'


def _text(row: Mapping[str, Any]) -> str:
    """A paragraph for each sentence; of mentions that overlap the first is marked."""
    paragraphs = []
    for number, words in enumerate(row["sentences"]):
        mentions = sorted(
            (mention["start"], mention["end"], n)
            for n, entity in enumerate(row["entities"])
            for mention in entity["mentions"]
            if mention["sentence"] == number
        )
        parts, done = [], 0
        for start, end, n in mentions:
            if start >= done:
                parts += [*map(escape, words[done:start]), _marked(n, " ".join(words[start:end]))]
                done = end
        paragraphs.append(f"<p>{' '.join([*parts, *map(escape, words[done:])])}</p>")
    return "".join(paragraphs)
