"""The training documents again, with some of their entities replaced by others of the same type."""

from __future__ import annotations

import copy
from collections import Counter, defaultdict

import torch

from augmenters.base import Augmenter, Document
from benchmark.options import number
from benchmark.registry import AUGMENTERS

Name = tuple[str, ...]  # the words of a mention


@AUGMENTERS.register("entity_replacement")
class EntityReplacement(Augmenter):
    """A second version of each document, in which other entities of the same type take part.

    Entity replacement as in Zeng et al. (2020, counterfactual generation for NER), for whole
    documents: the facts stay, so what is left to learn from is the text between the names. The
    longest name of an entity becomes the longest name of the other one, and so on. Entities whose
    mentions overlap those of others keep their names.

    Args:
        share: of the entities that are replaced.
    """

    rewrites = True

    def __init__(self, *, share: float = 0.2):
        self.share = number("share", share, above=0, below=1.0001)

    def _documents(self, documents: list[Document], *, rng: torch.Generator) -> list[Document]:
        names: defaultdict[str, list[list[Name]]] = defaultdict(list)
        for document in documents:
            for entity in document["entities"]:
                names[entity["type"]].append(_names(document, entity))
        return [self._rewritten(document, names, rng) for document in documents]

    def _rewritten(
        self, document: Document, names: dict[str, list[list[Name]]], rng: torch.Generator
    ) -> Document:
        draws = torch.rand(len(document["entities"]), 2, generator=rng).tolist()
        apart = _apart(document)
        new: dict[tuple[int, int], Name] = {}  # (entity, mention) -> its words
        for e, (entity, (chance, which)) in enumerate(
            zip(document["entities"], draws, strict=True)
        ):
            if e in apart and chance < self.share:
                known = names[entity["type"]]
                others = known[int(which * len(known))]
                own = _names(document, entity)
                for m, mention in enumerate(entity["mentions"]):
                    rank = own.index(_words(document, mention))
                    new[e, m] = others[min(rank, len(others) - 1)]
        return _with_names(document, new)


def _words(document: Document, mention: Document) -> Name:
    return tuple(document["sentences"][mention["sentence"]][mention["start"] : mention["end"]])


def _names(document: Document, entity: Document) -> list[Name]:
    """The distinct names of an entity, the longest first."""
    found = {_words(document, mention) for mention in entity["mentions"]}
    return sorted(found, key=lambda words: (-len(" ".join(words)), words))


def _apart(document: Document) -> set[int]:
    """The entities none of whose words belongs to another mention."""
    owners = Counter(
        (mention["sentence"], word)
        for entity in document["entities"]
        for mention in entity["mentions"]
        for word in range(mention["start"], mention["end"])
    )
    return {
        e
        for e, entity in enumerate(document["entities"])
        if all(
            owners[mention["sentence"], word] == 1
            for mention in entity["mentions"]
            for word in range(mention["start"], mention["end"])
        )
    }


def _with_names(document: Document, new: dict[tuple[int, int], Name]) -> Document:
    """The document with other words for some mentions; later mentions of a sentence move along."""
    document = copy.deepcopy(document)
    replaced: defaultdict[int, list[tuple[int, int, Name]]] = defaultdict(list)
    for (e, m), words in new.items():
        mention = document["entities"][e]["mentions"][m]
        replaced[mention["sentence"]].append((mention["start"], mention["end"], words))
        mention["name"] = " ".join(words)
    for s, spans in replaced.items():
        sentence, moved, at = [], {}, 0  # moved: word of the old sentence -> word of the new one
        old = document["sentences"][s]
        for start, end, words in [*sorted(spans), (len(old), len(old) + 1, ())]:
            for word in range(at, start):
                moved[word] = len(sentence)
                sentence.append(old[word])
            moved[start] = len(sentence)
            sentence += words
            at = end
        document["sentences"][s] = sentence
        for e, entity in enumerate(document["entities"]):
            for m, mention in enumerate(entity["mentions"]):
                if mention["sentence"] != s:
                    continue
                length = mention["end"] - mention["start"]
                if (e, m) in new:
                    length = len(new[e, m])
                mention["start"] = moved[mention["start"]]
                mention["end"] = mention["start"] + length
    return document
