"""Training documents that an augmenter adds to those of the corpus: checked like a file of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

from datasets import Dataset

from benchmark.data.corpora import cached
from benchmark.data.docred import LAYOUT, PLACE
from benchmark.data.documents import Corpus
from benchmark.data.validate import examined_documents
from benchmark.errors import DataError


def further_documents(rows: Sequence[dict[str, Any]], corpus: Corpus, where: str) -> Dataset:
    """Canonical rows as a memory-mapped split of `corpus`.

    Args:
        where: what messages name, such as the augmenter.

    Raises:
        DataError: the first fault of a document, or a relation that the corpus does not know.
    """
    require_faultless(rows, where, corpus.relations)
    sha = hashlib.sha256(f"{LAYOUT} further".encode())
    for row in rows:
        sha.update(json.dumps(row, sort_keys=True).encode())
    return cached(lambda: iter(rows), key=sha.hexdigest())


def require_faultless(
    rows: Iterable[dict[str, Any]], where: str, relations: Sequence[str] | None = None
) -> None:
    """Raises DataError at the first fault of canonical rows, by the rules of `data validate`."""
    documents = (_as_docred(row, where) for row in rows)
    for _, _, found in examined_documents(documents, where, relations=relations):
        for fault in found:
            if fault.severity == "error":
                raise DataError(str(fault))


def _as_docred(row: dict[str, Any], where: str) -> dict[str, Any]:
    """A canonical row in DocRED's format."""
    try:
        return {
            "title": row["title"],
            "sents": row["sentences"],
            "vertexSet": [
                [_mention(mention, entity["type"]) for mention in entity["mentions"]]
                for entity in row["entities"]
            ],
            "labels": [
                {
                    "h": fact["head"],
                    "t": fact["tail"],
                    "r": fact["relation"],
                    "evidence": fact.get("evidence") or [],
                }
                for fact in row["facts"]
            ],
        }
    except (KeyError, TypeError) as error:
        raise DataError(
            f"{where}: expected documents as benchmark/data/documents.py describes them; "
            f"{type(error).__name__}: {error}"
        ) from error


def _mention(mention: dict[str, Any], kind: str) -> dict[str, Any]:
    name, sentence, start, end = (mention[key] for key in PLACE)
    return {"name": name, "sent_id": sentence, "pos": [start, end], "type": kind}
