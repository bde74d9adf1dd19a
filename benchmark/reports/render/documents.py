"""Documents with their entities coloured, and the facts found in them: one page without scripts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from benchmark.reports.render.html import rendered, whole_page


def documents_page(rows: Iterable[Mapping[str, Any]], facts: Iterable[Mapping[str, Any]]) -> str:
    """HTML of documents (canonical schema) beside the facts that `predict` found in them."""
    facts = list(facts)
    articles = [
        (row["title"], _sentences(row), [fact for fact in facts if fact["title"] == row["title"]])
        for row in rows
    ]
    body = rendered("documents.html", articles=articles)
    return whole_page(body, "Relations", "documents.css")


def _sentences(row: Mapping[str, Any]) -> list[list[tuple[str, int | None]]]:
    """The parts of each sentence: (words, entity or None). If mentions overlap, the first is
    marked.
    """
    sentences = []
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
                parts += [(word, None) for word in words[done:start]]
                parts.append((" ".join(words[start:end]), n))
                done = end
        sentences.append([*parts, *((word, None) for word in words[done:])])
    return sentences
