"""Entities of plain text, found by a library that the user has: spaCy or GLiNER.

Neither resolves coreference: mentions with the same words and type are one entity, whatever their
case.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from benchmark.data.text import WORD, Mention, Pieces
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
    except (OSError, ValueError) as error:  # no such model, or one without NER
        raise UserError(f"--ner {ner}: the model cannot be loaded: {_in_a_line(error)}") from error

    def marked(text: str) -> Pieces:
        try:
            return pieces(text, find(text))
        except ValueError as error:  # such as spaCy's limit of a million characters
            raise UserError(f"--ner {ner}: {_in_a_line(error)}") from error

    return marked


def _in_a_line(error: Exception) -> str:
    return f"{' '.join(str(error).split()):.300}"


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
    # it reads only the beginning of a longer text
    return lambda text: [
        (first + entity["start"], first + entity["end"], GLINER[entity["label"]])
        for first, part in parts(text, found.config.max_len)
        for entity in found.predict_entities(part, list(GLINER))
    ]


def parts(text: str, most: int) -> Iterator[tuple[int, str]]:
    """(first character, part) of a text cut into parts of at most so many words, after the last
    . ! or ? that fits.
    """
    words = list(WORD.finditer(text))
    begin = 0
    while begin < len(words):
        end = min(begin + most, len(words))
        if end < len(words):
            stops = (k for k in range(end, begin, -1) if words[k - 1][0] in ".!?")
            end = next(stops, end)
        first = words[begin].start()
        yield first, text[first : words[end - 1].end()]
        begin = end


LIBRARIES: dict[str, Callable[[str], Finder]] = {"spacy": _spacy, "gliner": _gliner}
