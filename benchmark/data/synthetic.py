"""Made-up documents: the corpus of the demo and the tests, and a known truth to debug against.

A document is drawn in three steps: entities with typed, invented names; facts between them,
relations by a Zipf-Mandelbrot law; sentences that state each fact by one of its relation's phrases,
mixed with sentences that state none. Types alone do not tell the relation (several share a pair of
types, most pairs have none), and neither does the document as a bag of words (phrases also stand
without their pair). A document is a function of (seed, split, index) only: a smaller corpus is the
beginning of a larger one.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.data import synthetic_words as lexicon
from benchmark.data.cached import cached
from benchmark.data.corpora import corpus_of_splits
from benchmark.data.synthetic_words import RELATIONS, Relation
from benchmark.options import Count, Whole, checked
from benchmark.registry import DATASETS
from benchmark.seeds import derive
from benchmark.store.files import sha256

if TYPE_CHECKING:
    from benchmark.data.documents import Corpus

ZIPF = 1.2  # the relation of rank k is drawn with weight (k + 3)^-ZIPF
# Share of facts stated by a phrase that fits every relation of the same pair of types. It puts a
# ceiling on F1, and a lower one on the F1 of rare relations.
CUE_NOISE = 0.04
# Share of facts whose head is named one sentence before ("it", "the same holds for X").
CROSS_SENTENCE = 0.1
MULTI_LABEL = 0.1  # share of facts whose pair gets a second relation
# Sentences without a fact, per fact: two entities and no relation, or a relation's phrase without
# its pair.
DISTRACTORS = 0.25
# Share of statements that share a sentence with another one, so that phrases must be bound to the
# nearest mentions.
JOINED = 0.1
ALIASES = 0.5  # share of mentions, after an entity's first, by its short name


@DATASETS.register("synthetic")
def synthetic(*, train: int = 240, dev: int = 60, test: int = 100, seed: int = 0) -> Corpus:
    """Made-up documents with a long tail and multi-label pairs; no download.

    Args:
        train, dev, test: documents of each split.
        seed: of the documents; has nothing to do with the seeds of the runs.
    """
    checked("seed", seed, Count)
    # the cache must not outlive the text of these files
    source = " ".join(sha256(Path(file)) for file in (__file__, lexicon.__file__))
    splits = {}
    for split, count in (("train", train), ("dev", dev), ("test", test)):
        rows = partial(documents, split, checked(split, count, Whole), seed)
        splits[split] = cached(rows, key=f"synthetic {source} {split} {count} {seed}")
    return corpus_of_splits(
        "synthetic",
        splits,
        inventory=[relation.name for relation in RELATIONS],
        relation_names={r.name: r.name.replace("_", " ") for r in RELATIONS},
        notes=["made-up documents: scores say nothing about real text"],
    )


def documents(split: str, count: int, seed: int) -> Iterator[dict[str, Any]]:
    """The first `count` canonical rows of a split."""
    for index in range(count):
        rng = random.Random(derive(seed, f"synthetic {split}", index))
        yield _Writer(rng).document(f"Synthetic {split} {index}")


@dataclass
class _Entity:
    type: str
    names: tuple[str, str]  # full and short
    mentions: list[dict[str, Any]] = field(default_factory=list)


class _Writer:
    """Draws one document. A clause is a list of words and entity numbers; a block is a list of
    clauses that must stay in order.
    """

    def __init__(self, rng: random.Random):
        self.rng = rng
        self.facts: dict[tuple[int, int], list[str]] = {}
        self.sentences: list[list[str]] = []

    def document(self, title: str) -> dict[str, Any]:
        self.entities = self._draw_entities()
        blocks = self._draw_statements()
        blocks += self._draw_distractors(blocks)
        for block in self._join(blocks):
            for clause in block:
                self._write(clause)
        facts = sorted((*pair, name) for pair, names in self.facts.items() for name in names)
        return {
            "title": title,
            "sentences": self.sentences,
            "entities": [{"type": e.type, "mentions": e.mentions} for e in self.entities],
            "facts": [
                {"head": h, "tail": t, "relation": name, "evidence": self._evidence(h, t)}
                for h, t, name in facts
            ],
        }

    def _evidence(self, head: int, tail: int) -> list[int]:
        """The sentences that name both entities, else neighbours that name one each."""
        named = lambda entity: {m["sentence"] for m in self.entities[entity].mentions}
        first, second = named(head), named(tail)
        apart = {s for a in first for b in second if abs(a - b) == 1 for s in (a, b)}
        return sorted(first & second or apart)

    def _draw_entities(self) -> list[_Entity]:
        """6 to 9 entities: two persons, one of each other type, the rest by their shares; no two
        share a name.
        """
        count = self.rng.randint(6, 9)
        kinds, shares = list(lexicon.TYPES), list(lexicon.TYPES.values())
        types = ["PER", *kinds, *self.rng.choices(kinds, shares, k=count - 5)]
        self.rng.shuffle(types)
        stems = self.rng.sample(lexicon.STEMS, count)
        return [
            _Entity(type, self._names(type, stem)) for type, stem in zip(types, stems, strict=True)
        ]

    def _names(self, type: str, stem: str) -> tuple[str, str]:
        """The full name and the short one."""
        if type == "MISC":
            return f"The {self.rng.choice(lexicon.QUALITIES)} {stem}", f"The {stem}"
        if type == "ORG":
            return f"{stem} {self.rng.choice(lexicon.BODIES)}", stem
        return f"{self.rng.choice(lexicon.GIVEN if type == 'PER' else lexicon.PLACES)} {stem}", stem

    def _draw_statements(self) -> list[list[list]]:
        """Draws about as many facts as there are entities, and states each."""
        blocks: list[list[list]] = []
        target = len(self.entities) + self.rng.randint(-1, 1)
        weights = [(rank + 3) ** -ZIPF for rank in range(1, len(RELATIONS) + 1)]
        # relations that find no free pair are passed over
        for relation in self.rng.choices(RELATIONS, weights, k=4 * target):
            pairs = self._free_pairs(relation)
            if pairs and sum(map(len, self.facts.values())) < target:
                blocks.append(self._state(relation, *self.rng.choice(pairs)))
        return blocks

    def _free_pairs(self, relation: Relation) -> list[tuple[int, int]]:
        """Ordered pairs of the relation's types without a fact so far, in either order."""
        return [
            (head, tail)
            for head, first in enumerate(self.entities)
            for tail, second in enumerate(self.entities)
            if head != tail and (first.type, second.type) == (relation.head, relation.tail)
            if (head, tail) not in self.facts and (tail, head) not in self.facts
        ]

    def _add(self, relation: Relation, head: int, tail: int) -> None:
        self.facts.setdefault((head, tail), []).append(relation.name)
        if relation.symmetric:
            self.facts.setdefault((tail, head), []).append(relation.name)

    def _state(self, relation: Relation, head: int, tail: int) -> list[list]:
        """Adds the fact and returns the block that states it."""
        rng = self.rng
        self._add(relation, head, tail)
        phrase = rng.choice(relation.active)
        if rng.random() < CUE_NOISE:
            phrase = lexicon.VAGUE[relation.head, relation.tail]
        elif rng.random() < MULTI_LABEL and (second := self._second(relation)):
            self._add(second, head, tail)
            phrase = f"{phrase} and {rng.choice(second.active)}"
        elif relation.passive and rng.random() < 1 / 3:
            return [[tail, *rng.choice(relation.passive).split(), head]]

        if rng.random() >= CROSS_SENTENCE:
            return [[head, *phrase.split(), tail]]
        if rng.random() < 2 / 3:
            return [
                self._fill(rng.choice(lexicon.PLAIN), a=head),
                [*rng.choice(lexicon.ANAPHORA[relation.head]).split(), *phrase.split(), tail],
            ]
        others = [other for other, to in self._free_pairs(relation) if to == tail]
        if not others or relation.symmetric:
            return [[head, *phrase.split(), tail]]
        other = rng.choice(others)
        self.facts[other, tail] = list(self.facts[head, tail])
        return [[head, *phrase.split(), tail], ["the", "same", "holds", "for", other]]

    def _second(self, relation: Relation) -> Relation | None:
        """Another relation between the same types, all equally likely; no symmetric one."""
        if relation.symmetric:
            return None
        types = (relation.head, relation.tail)
        others = [r for r in RELATIONS if (r.head, r.tail) == types and r != relation]
        others = [r for r in others if not r.symmetric]
        return self.rng.choice(others) if others else None

    def _draw_distractors(self, statements: list[list[list]]) -> list[list[list]]:
        rng = self.rng
        named = {item for block in statements for clause in block for item in clause}
        blocks = [
            [self._fill(rng.choice(lexicon.PLAIN), a=entity)]
            for entity in range(len(self.entities))
            if entity not in named
        ]
        expected = DISTRACTORS * len(statements)
        for _ in range(int(expected) + (rng.random() < expected % 1)):
            first, second = rng.sample(range(len(self.entities)), 2)
            if rng.random() < 0.5:
                blocks.append([self._fill(rng.choice(lexicon.NEUTRAL), a=first, b=second)])
            else:
                kind = self.entities[first].type
                relation = rng.choice([other for other in RELATIONS if other.head == kind])
                phrase = rng.choice(relation.active)
                unnamed = rng.choice(lexicon.UNNAMED[relation.tail])
                blocks.append([[first, *phrase.split(), *unnamed.split()]])
        return blocks

    def _fill(self, template: str, **entities: int) -> list:
        """A template's words, with entity numbers for {a} and {b}, and a time for {when}."""
        clause: list = []
        for word in template.split():
            if word == "{when}":
                clause += self.rng.choice(lexicon.WHEN).split()
            else:
                clause.append(entities[word[1:-1]] if word.startswith("{") else word)
        return clause

    def _join(self, blocks: list[list[list]]) -> list[list[list]]:
        """The blocks in random order, some one-sentence ones joined to the next."""
        self.rng.shuffle(blocks)
        joined: list[list[list]] = []
        for block in blocks:
            may_join = joined and len(joined[-1]) == len(block) == 1
            may_join = may_join and "while" not in joined[-1][0]
            if may_join and self.rng.random() < JOINED:
                joined[-1][0] += [",", "while", *block[0]]
            else:
                joined.append(block)
        return joined

    def _write(self, clause: list) -> None:
        """Turns a clause into a sentence and notes where it mentions whom. The first mention of an
        entity is its full name.
        """
        rng = self.rng
        words = rng.choice(lexicon.OPENERS).split() if rng.random() < 0.15 else []
        for item in clause:
            if isinstance(item, str):
                words.append(item)
                continue
            entity = self.entities[item]
            name = entity.names[bool(entity.mentions) and rng.random() < ALIASES]
            start = len(words)
            words += name.split()
            entity.mentions.append(
                {"name": name, "sentence": len(self.sentences), "start": start, "end": len(words)}
            )
        if rng.random() < 0.15:
            words += rng.choice(lexicon.WHEN).split()
        if words[0].islower():
            words[0] = words[0].capitalize()
        self.sentences.append([*words, "."])
