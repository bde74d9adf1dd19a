"""Entities of plain text, found by a library that the user has: spaCy or GLiNER.

Neither resolves coreference: mentions with the same words and type are one entity, whatever their
case.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from benchmark.data.text import Mention, Pieces
from benchmark.errors import UserError

Span = tuple[int, int, str]  # first character, one past the last, type
Finder = Callable[[str], Sequence[Span]]

# the types of DocRED, as spaCy's models and a prompt of GLiNER call them
SPACY = {"PERSON": "PER", "NORP": "MISC", "FAC": "LOC", "GPE": "LOC", "DATE": "TIME"}
SPACY |= dict.fromkeys(("CARDINAL", "ORDINAL", "QUANTITY", "PERCENT", "MONEY"), "NUM")
GLINER = {"person": "PER", "organization": "ORG", "location": "LOC", "date or time": "TIME"}
GLINER |= {"number": "NUM", "work, event or other name": "MISC"}


def marker(ner: str) -> Callable[[str], Pieces]:
    """A function that finds the mentions of a text, by "spacy:MODEL" or "gliner:MODEL".

    Raises UserError when it is neither, or the library or its model is not installed.
    """
    library, _, model = ner.partition(":")
    if library not in LIBRARIES or not model:
        raise UserError(f"--ner {ner}: expected spacy:MODEL or gliner:MODEL")
    try:
        find = LIBRARIES[library](model)
    except ImportError as error:
        raise UserError(
            f"--ner {ner}: {library} is not installed: `pip install {library}`, or mark the "
            f"entities by hand ({error})"
        ) from error
    except (OSError, ValueError) as error:  # no such model, or not one of entities
        reason = " ".join(str(error).split())
        raise UserError(f"--ner {ner}: the model cannot be loaded: {reason:.300}") from error
    return lambda text: pieces(text, find(text))


def pieces(text: str, spans: Sequence[Span]) -> Iterator[str | Mention]:
    """The text with these spans as mentions; of two that overlap, the longer one."""
    chosen: list[Span] = []
    for start, end, kind in sorted(spans, key=lambda span: (span[0] - span[1], span[0])):
        if all(end <= other[0] or other[1] <= start for other in chosen):
            chosen.append((start, end, kind))
    numbers: dict[tuple[str, str], int] = {}
    at = 0
    for start, end, kind in sorted(chosen):
        name = " ".join(text[start:end].split())
        if re.search(r"\w", name):
            number = numbers.setdefault((name.casefold(), kind), len(numbers) + 1)
            yield text[at:start]
            yield Mention(name, number, kind)
            at = end
    yield text[at:]


def _spacy(model: str) -> Finder:
    import spacy

    find = spacy.load(model)
    return lambda text: [
        (entity.start_char, entity.end_char, SPACY.get(entity.label_, entity.label_))
        for entity in find(text).ents
    ]


def _gliner(model: str) -> Finder:
    from gliner import GLiNER

    found = GLiNER.from_pretrained(model)
    return lambda text: [
        (entity["start"], entity["end"], GLINER[entity["label"]])
        for entity in found.predict_entities(text, list(GLINER))
    ]


LIBRARIES: dict[str, Callable[[str], Finder]] = {"spacy": _spacy, "gliner": _gliner}
