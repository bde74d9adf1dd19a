"""How often relations and types occur in a split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # `datasets` takes a second to import
    from datasets import Dataset

MOST_FREQUENT = 10  # relations of Freq F1 where none are named


def relation_frequencies(documents: Dataset, *, undirected: bool = False) -> Counter[str]:
    """Number of facts of each relation. undirected: one that is stated in both directions counts
    once.
    """
    if not undirected:
        return tally(documents, "facts", "relation")
    stated = (
        {(*sorted((fact["head"], fact["tail"])), fact["relation"]) for fact in facts}
        for facts in documents["facts"]
    )
    return Counter(relation for facts in stated for *_, relation in facts)


def tally(documents: Dataset, column: str, key: str) -> Counter[str]:
    """How often each value of `key` occurs among the entries of a list column."""
    counts: Counter[str] = Counter()
    for batch in documents.select_columns(column).with_format("arrow").iter(1000):
        values = batch[column].combine_chunks().flatten().field(key)
        counts.update({v["values"]: v["counts"] for v in values.value_counts().to_pylist()})
    return counts


def by_frequency(counts: Mapping[str, int]) -> list[str]:
    """The names that are counted, most frequent first, ties by name."""
    return sorted(counts, key=lambda name: (-counts[name], name))
