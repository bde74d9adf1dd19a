"""Training documents that an augmenter adds to those of the corpus: checked like a file of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

from datasets import Dataset

from benchmark.data.corpora import cached
from benchmark.data.docred import LAYOUT
from benchmark.data.documents import Corpus
from benchmark.data.validate import sound
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
    for _ in sound((_as_docred(row, where) for row in rows), where, relations):
        pass


def _as_docred(row: dict[str, Any], where: str) -> dict[str, Any]:
    """A canonical row in DocRED's format."""
    try:
        vertices = [
            [
                {
                    "name": mention["name"],
                    "sent_id": mention["sentence"],
                    "pos": [mention["start"], mention["end"]],
                    "type": entity["type"],
                }
                for mention in entity["mentions"]
            ]
            for entity in row["entities"]
        ]
        labels = [
            {"h": f["head"], "t": f["tail"], "r": f["relation"], "evidence": f.get("evidence")}
            for f in row["facts"]
        ]
        return {
            "title": row["title"],
            "sents": row["sentences"],
            "vertexSet": vertices,
            "labels": labels,
        }
    except (KeyError, TypeError) as error:
        raise DataError(
            f"{where}: expected documents as benchmark/data/documents.py describes them; "
            f"{type(error).__name__}: {error}"
        ) from error
