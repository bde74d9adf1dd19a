"""The training documents again, with some of their entities replaced by others of the same type."""

import copy
from collections import Counter, defaultdict
from typing import Annotated

import torch
from pydantic import Field

from augmenters.base import Augmenter, Document
from benchmark.options import OptionModel
from benchmark.registry import AUGMENTERS

Name = tuple[str, ...]  # the words of a mention


@AUGMENTERS.register("entity_replacement")
class EntityReplacement(Augmenter):
    """A second version of each document, with some entities replaced by others of the same type.

    Entity replacement as in Zeng et al. (2020, counterfactual generation for NER), for whole
    documents: the facts stay, so what is left to learn from is the text between the names. The
    longest name of an entity becomes the longest name of the other one, and so on. Entities whose
    mentions overlap those of others keep their names.
    """

    class Options(OptionModel):
        share: Annotated[float, Field(gt=0, le=1)] = 0.2  # of the entities that are replaced

    rewrites = True

    def _documents(self, documents, *, rng):
        names: defaultdict[str, list[list[Name]]] = defaultdict(list)
        for document in documents:
            for entity in document["entities"]:
                names[entity["type"]].append(_names(document, entity))
        return [self._rewritten(document, names, rng) for document in documents]

    def _rewritten(
        self, document: Document, names: dict[str, list[list[Name]]], rng: torch.Generator
    ) -> Document:
        document = copy.deepcopy(document)
        entities = document["entities"]
        draws = torch.rand(len(entities), 2, generator=rng).tolist()
        owners = Counter(place for entity in entities for place in _places(entity))
        for entity, (chance, which) in zip(entities, draws, strict=True):
            overlaps = any(owners[place] > 1 for place in _places(entity))
            if overlaps or chance >= self.options.share:
                continue
            own, known = _names(document, entity), names[entity["type"]]
            others = known[int(which * len(known))]
            for mention in entity["mentions"]:
                rank = own.index(_words(document, mention))
                _rename(document, mention, others[min(rank, len(others) - 1)])
        return document


def _places(entity: Document) -> list[tuple[int, int]]:
    """(sentence, word) of every word of an entity's mentions."""
    return [
        (mention["sentence"], word)
        for mention in entity["mentions"]
        for word in range(mention["start"], mention["end"])
    ]


def _words(document: Document, mention: Document) -> Name:
    return tuple(document["sentences"][mention["sentence"]][mention["start"] : mention["end"]])


def _names(document: Document, entity: Document) -> list[Name]:
    """The distinct names of an entity, the longest first."""
    found = {_words(document, mention) for mention in entity["mentions"]}
    return sorted(found, key=lambda words: (-len(" ".join(words)), words))


def _rename(document: Document, mention: Document, words: Name) -> None:
    """Replace the words of a mention that overlaps no other, and shift later mentions."""
    start, end = mention["start"], mention["end"]
    document["sentences"][mention["sentence"]][start:end] = words
    for entity in document["entities"]:
        for other in entity["mentions"]:
            if other["sentence"] == mention["sentence"] and other["start"] > start:
                other["start"] += len(words) - (end - start)
                other["end"] += len(words) - (end - start)
    mention |= {"end": start + len(words), "name": " ".join(words)}
