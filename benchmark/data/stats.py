"""A split in numbers: its size, its sparsity, and how long its tail is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from benchmark.data.frequencies import MOST_FREQUENT, by_frequency
from benchmark.texts import plain

COUNTED = ("documents", "sentences", "words", "entities", "mentions", "facts", "pairs")
COUNTED += ("positive_pairs", "self_relations", "without_facts", "under_two_entities")


def statistics(
    rows: Iterable[Mapping[str, Any]], frequent: Collection[str] | None = None
) -> dict[str, Any]:
    """Numbers of one split. Shares are fractions; what has no denominator is None.

    Args:
        rows: canonical documents, read once.
        frequent: the relations that count as frequent. None: the ten most frequent, ties by name.

    Returns:
        COUNTED, where pairs are all ordered pairs of different entities; the maxima of documents;
        types ({name: entities}); intra_share and inter_share of facts (two mentions in
        one sentence, or not); na_share of pairs; labels_per_pair ({1: pairs with one relation, 2:
        ...}); relations ({name: facts}, most frequent first), frequent (those that occur),
        frequent_share and tail_share of facts.
    """
    n: Counter[str] = Counter()
    words_max, entities_max = 0, 0
    labels_per_pair: Counter[int] = Counter()
    relations: Counter[str] = Counter()
    types: Counter[str] = Counter()
    for row in rows:
        words, entities = sum(map(len, row["sentences"])), row["entities"]
        facts = {(fact["head"], fact["tail"], fact["relation"]) for fact in row["facts"]}
        sentences = [{mention["sentence"] for mention in e["mentions"]} for e in entities]
        labels = Counter((head, tail) for head, tail, _ in facts if head != tail)
        words_max, entities_max = max(words_max, words), max(entities_max, len(entities))
        n.update(
            documents=1,
            words=words,
            sentences=len(row["sentences"]),
            entities=len(entities),
            mentions=sum(len(entity["mentions"]) for entity in entities),
            pairs=len(entities) * (len(entities) - 1),
            positive_pairs=len(labels),
            facts=len(facts),
            intra=sum(not sentences[h].isdisjoint(sentences[t]) for h, t, _ in facts),
            self_relations=sum(head == tail for head, tail, _ in facts),
            without_facts=not facts,
            under_two_entities=len(entities) < 2,
        )
        types.update(entity["type"] for entity in entities)
        relations.update(relation for _, _, relation in facts)
        labels_per_pair.update(labels.values())

    ordered = by_frequency(relations)
    chosen = ordered[:MOST_FREQUENT] if frequent is None else frequent
    frequent = [relation for relation in ordered if relation in chosen]
    in_frequent = sum(relations[relation] for relation in frequent)
    return {
        **{key: n[key] for key in COUNTED},
        "words_max": words_max,
        "entities_max": entities_max,
        "na_share": _share(n["pairs"] - n["positive_pairs"], n["pairs"]),
        "labels_per_pair": dict(sorted(labels_per_pair.items())),
        "relations": {relation: relations[relation] for relation in ordered},
        "frequent": frequent,
        "frequent_share": _share(in_frequent, n["facts"]),
        "tail_share": _share(n["facts"] - in_frequent, n["facts"]),
        "intra_share": _share(n["intra"], n["facts"]),
        "inter_share": _share(n["facts"] - n["intra"], n["facts"]),
        "types": dict(types.most_common()),
    }


def table(numbers: Mapping[str, Any]) -> list[tuple[str, str]]:
    """`statistics` as (what, value) rows of text for the terminal."""
    both = lambda *keys: " / ".join(_percent(numbers[key]) for key in keys)
    listed = lambda texts: ", ".join(texts) or "-"
    types, labels = numbers["types"].items(), numbers["labels_per_pair"].items()
    frequent = [(name, numbers["relations"][name]) for name in numbers["frequent"]]
    rows = [
        ("documents", numbers["documents"]),
        ("  without a fact", numbers["without_facts"]),
        ("  with fewer than two entities", numbers["under_two_entities"]),
        ("words", _total(numbers, "words")),
        ("sentences", _total(numbers, "sentences")),
        ("entities", _total(numbers, "entities")),
        ("  by type", listed(f"{_shown(name) or '(blank)'} {n:,}" for name, n in types)),
        ("mentions", numbers["mentions"]),
        ("facts", _total(numbers, "facts")),
        ("  intra-sentence / inter-sentence", both("intra_share", "inter_share")),
        ("  of an entity with itself", numbers["self_relations"]),
        ("ordered entity pairs", numbers["pairs"]),
        ("  positive", numbers["positive_pairs"]),
        ("  without a relation (NA)", _percent(numbers["na_share"])),
        ("relations of a positive pair", listed(f"{k}: {n:,}" for k, n in labels)),
        ("relations", len(numbers["relations"])),
        ("  frequent / tail share of facts", both("frequent_share", "tail_share")),
        ("  frequent", listed(f"{_shown(name)} {n:,}" for name, n in frequent)),
    ]
    return [(what, value if isinstance(value, str) else f"{value:,}") for what, value in rows]


def _shown(name: str) -> str:
    return plain(name[:60])


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _total(numbers: Mapping[str, Any], key: str) -> str:
    total, documents = numbers[key], numbers["documents"]
    most = f", at most {numbers[f'{key}_max']:,}" if f"{key}_max" in numbers else ""
    return f"{total:,} ({total / documents:.1f} a document{most})" if documents else "0"
