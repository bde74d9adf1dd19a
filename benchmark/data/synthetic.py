"""Made-up documents: the corpus of the demo and the tests, and a known truth to debug against.

A document is drawn in three steps. Entities with typed, invented names; facts between them,
relations by a Zipf-Mandelbrot law; sentences that state each fact by one of its relation's phrases,
mixed with sentences that state none. Types alone do not tell the relation (several share a pair of
types, most pairs have none), and neither does the document as a bag of words (phrases also stand
without their pair). A document is a function of (seed, split, index, options) only: a smaller
corpus is the beginning of a larger one.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.data import synthetic_words
from benchmark.data.corpora import cached, relation_frequencies
from benchmark.data.synthetic_words import (
    ANAPHORA,
    BODIES,
    ENDINGS,
    GIVEN,
    NEUTRAL,
    OPENERS,
    PLACES,
    PLAIN,
    QUALITIES,
    RELATIONS,
    SYLLABLES,
    TYPES,
    UNNAMED,
    VAGUE,
    WHEN,
    Relation,
)
from benchmark.errors import ConfigError
from benchmark.registry import DATASETS
from benchmark.seeds import derive

if TYPE_CHECKING:
    from benchmark.data.documents import Corpus


@DATASETS.register("synthetic")
def synthetic(
    *,
    train: int = 240,
    dev: int = 60,
    test: int = 100,
    seed: int = 0,
    zipf: float = 1.2,
    cue_noise: float = 0.04,
    cross_sentence: float = 0.1,
    multi_label: float = 0.1,
    distractors: float = 0.25,
    joined: float = 0.1,
    aliases: float = 0.5,
) -> Corpus:
    """Made-up documents with a long tail and multi-label pairs; no download.

    Args:
        train, dev, test: documents of each split.
        seed: of the documents; has nothing to do with the seeds of the runs.
        zipf: exponent of the relations' frequencies, (rank + 3)^-zipf; 0 makes all alike, more
            makes the tail rarer.
        cue_noise: share of facts stated by a phrase that fits every relation of the same pair of
            types. Puts a ceiling on F1, a lower one on that of rare relations.
        cross_sentence: share of facts whose head is named one sentence before ("it", "the company",
            "the same holds for X").
        multi_label: share of facts whose pair gets a second relation.
        distractors: sentences without a fact, per fact: two entities and no relation, or a
            relation's phrase without its pair.
        joined: share of statements that share a sentence with another one, so that phrases must be
            bound to the nearest mentions.
        aliases: share of mentions, after an entity's first, by its short name.
    """
    from benchmark.data.documents import Corpus

    difficulty = Difficulty(
        zipf, cue_noise, cross_sentence, multi_label, distractors, joined, aliases
    )
    for option, value in (("train", train), ("dev", dev), ("test", test), ("seed", seed)):
        least = 0 if option == "seed" else 1
        if type(value) is not int or value < least:
            raise ConfigError(
                f"dataset 'synthetic': {option}: expected an integer from {least}, got {value!r}"
            )
    splits = {
        name: _split(name, count, seed, difficulty)
        for name, count in (("train", train), ("dev", dev), ("test", test))
    }
    counts = relation_frequencies(splits["train"])
    names = tuple(relation.name for relation in RELATIONS)
    return Corpus(
        name="synthetic",
        **splits,
        relations=names,
        relation_names={name: name.replace("_", " ") for name in names},
        frequent=frozenset(sorted(counts, key=lambda name: (-counts[name], name))[:10]),
        notes=("made-up documents: scores say nothing about real text",),
    )


@dataclass(frozen=True)
class Difficulty:
    """The options of `synthetic` that shape a document. Raises ConfigError when one is out of
    range.
    """

    zipf: float
    cue_noise: float
    cross_sentence: float
    multi_label: float
    distractors: float
    joined: float
    aliases: float

    def __post_init__(self):
        for option in fields(self):
            value = getattr(self, option.name)
            most = 5 if option.name in ("zipf", "distractors") else 1
            if type(value) not in (int, float) or not 0 <= value <= most:
                raise ConfigError(
                    f"dataset 'synthetic': {option.name}: expected a number from 0 to {most}, "
                    f"got {value!r}"
                )


def documents(
    split: str, count: int, seed: int, difficulty: Difficulty
) -> Iterator[dict[str, Any]]:
    """The first `count` canonical rows of a split."""
    for index in range(count):
        rng = random.Random(derive(seed, f"synthetic {split}", index))
        yield _Writer(rng, difficulty).document(f"Synthetic {split} {index}")


def _split(name: str, count: int, seed: int, difficulty: Difficulty) -> Any:
    # the cache must not outlive the text of these files
    source = [Path(file).read_bytes() for file in (__file__, synthetic_words.__file__)]
    digest = hashlib.sha256(b"".join(source)).hexdigest()
    key = f"synthetic {digest} {name} {count} {seed} {asdict(difficulty)}"
    return cached(lambda: documents(name, count, seed, difficulty), key=key)


@dataclass
class _Entity:
    type: str
    names: tuple[str, str]  # full and short
    mentions: list[dict[str, Any]] = field(default_factory=list)


class _Writer:
    """Draws one document. A clause is a list of words and entity numbers; a block is a list of
    clauses that must stay in order.
    """

    def __init__(self, rng: random.Random, difficulty: Difficulty):
        self.rng, self.difficulty = rng, difficulty
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
        first, second = (
            {mention["sentence"] for mention in self.entities[entity].mentions}
            for entity in (head, tail)
        )
        apart = {s for a in first for b in second if abs(a - b) == 1 for s in (a, b)}
        return sorted(first & second or apart)

    def _draw_entities(self) -> list[_Entity]:
        """6 to 9 entities: two persons, one of each other type, the rest by their shares; no two
        share a name.
        """
        count = self.rng.randint(6, 9)
        types = ["PER", *TYPES, *self.rng.choices(list(TYPES), list(TYPES.values()), k=count - 5)]
        self.rng.shuffle(types)
        stems = [f"{first}{second}".capitalize() for first in SYLLABLES for second in ENDINGS]
        return [
            _Entity(type, self._names(type, stem))
            for type, stem in zip(types, self.rng.sample(stems, count), strict=True)
        ]

    def _names(self, type: str, stem: str) -> tuple[str, str]:
        if type == "PER":
            return f"{self.rng.choice(GIVEN)} {stem}", stem
        if type == "ORG":
            return f"{stem} {self.rng.choice(BODIES)}", stem
        if type == "LOC":
            return f"{self.rng.choice(PLACES)} {stem}", stem
        return f"The {self.rng.choice(QUALITIES)} {stem}", f"The {stem}"

    def _draw_statements(self) -> list[list[list]]:
        """Draws about as many facts as there are entities, and states each."""
        blocks: list[list[list]] = []
        target = len(self.entities) + self.rng.randint(-1, 1)
        weights = [(rank + 3) ** -self.difficulty.zipf for rank in range(1, len(RELATIONS) + 1)]
        # relations that find no free pair are passed over
        for relation in self.rng.choices(RELATIONS, weights, k=4 * target):
            pairs = self._free_pairs(relation)
            if pairs and sum(map(len, self.facts.values())) < target:
                blocks.append(self._state(relation, *self.rng.choice(pairs)))
        return blocks

    def _free_pairs(self, relation: Relation) -> list[tuple[int, int]]:
        """Ordered pairs of the relation's types of which nothing is said yet, in neither order."""
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
        rng, difficulty = self.rng, self.difficulty
        self._add(relation, head, tail)
        phrase = rng.choice(relation.active)
        if rng.random() < difficulty.cue_noise:
            phrase = VAGUE[relation.head, relation.tail]
        elif rng.random() < difficulty.multi_label and (second := self._second(relation)):
            self._add(second, head, tail)
            phrase = f"{phrase} and {rng.choice(second.active)}"
        elif relation.passive and rng.random() < 1 / 3:
            return [[tail, *rng.choice(relation.passive).split(), head]]

        if rng.random() >= difficulty.cross_sentence:
            return [[head, *phrase.split(), tail]]
        if rng.random() < 2 / 3:
            return [
                self._fill(rng.choice(PLAIN), a=head),
                [*rng.choice(ANAPHORA[relation.head]).split(), *phrase.split(), tail],
            ]
        others = [other for other, to in self._free_pairs(relation) if to == tail]
        if not others or relation.symmetric:
            return [[head, *phrase.split(), tail]]
        other = rng.choice(others)
        self.facts[other, tail] = list(self.facts[head, tail])
        return [[head, *phrase.split(), tail], ["the", "same", "holds", "for", other]]

    def _second(self, relation: Relation) -> Relation | None:
        """Another relation between the same types, all alike likely."""
        types = (relation.head, relation.tail)
        others = [
            other
            for other in RELATIONS
            if (other.head, other.tail) == types and other != relation and not other.symmetric
        ]
        return self.rng.choice(others) if others and not relation.symmetric else None

    def _draw_distractors(self, statements: list[list[list]]) -> list[list[list]]:
        rng = self.rng
        named = {item for block in statements for clause in block for item in clause}
        blocks = [
            [self._fill(rng.choice(PLAIN), a=entity)]
            for entity in range(len(self.entities))
            if entity not in named
        ]
        expected = self.difficulty.distractors * len(statements)
        for _ in range(int(expected) + (rng.random() < expected % 1)):
            first, second = rng.sample(range(len(self.entities)), 2)
            if rng.random() < 0.5:
                blocks.append([self._fill(rng.choice(NEUTRAL), a=first, b=second)])
            else:
                kind = self.entities[first].type
                relation = rng.choice([other for other in RELATIONS if other.head == kind])
                phrase, unnamed = rng.choice(relation.active), rng.choice(UNNAMED[relation.tail])
                blocks.append([[first, *phrase.split(), *unnamed.split()]])
        return blocks

    def _fill(self, template: str, **entities: int) -> list:
        """A template's words, with entity numbers for {a} and {b}, and a time for {when}."""
        clause: list = []
        for word in template.split():
            if word == "{when}":
                clause += self.rng.choice(WHEN).split()
            else:
                clause.append(entities[word[1:-1]] if word.startswith("{") else word)
        return clause

    def _join(self, blocks: list[list[list]]) -> list[list[list]]:
        """The blocks in random order, some one-sentence ones joined to the next."""
        self.rng.shuffle(blocks)
        joined: list[list[list]] = []
        for block in blocks:
            open_end = (
                joined and len(joined[-1]) == len(block) == 1 and "while" not in joined[-1][0]
            )
            if open_end and self.rng.random() < self.difficulty.joined:
                joined[-1][0] += [",", "while", *block[0]]
            else:
                joined.append(block)
        return joined

    def _write(self, clause: list) -> None:
        """Turns a clause into a sentence and notes where it mentions whom. The first mention of an
        entity is its full name.
        """
        rng = self.rng
        words = rng.choice(OPENERS).split() if rng.random() < 0.15 else []
        for item in clause:
            if isinstance(item, str):
                words.append(item)
                continue
            entity = self.entities[item]
            name = entity.names[bool(entity.mentions) and rng.random() < self.difficulty.aliases]
            start = len(words)
            words += name.split()
            entity.mentions.append(
                {"name": name, "sentence": len(self.sentences), "start": start, "end": len(words)}
            )
        if rng.random() < 0.15:
            words += rng.choice(WHEN).split()
        if words[0].islower():
            words[0] = words[0].capitalize()
        self.sentences.append([*words, "."])
