"""Documents -> token ids, mention positions and facts as class numbers.

Done once per corpus and tokenizer; cached by `datasets`.

Entity markers follow ATLOP (prepro.py): every mention is wrapped in one literal "*" before its
first and one after its last wordpiece (mentions that start or end at the same word share it), every
word is tokenised on its own, and a mention's position is that of its opening marker.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import datasets
import pyarrow
from datasets import Dataset, Features, List, Value

from benchmark.data.documents import Corpus
from benchmark.data.validate import MOST_ENTITIES
from benchmark.errors import DataError
from benchmark.store.files import explained, says_torn

MARKER = "*"
LAYOUT = 3  # raise when this file's output changes: it is part of the cache key

FEATURES = Features(
    {
        "tokens": List(Value("int32")),  # without the tokenizer's special tokens
        "length": Value("int32"),  # of tokens
        "mention_position": List(Value("int32")),  # of the opening marker, into tokens
        "mention_entity": List(Value("int32")),
        "entities": Value("int32"),
        "fact_head": List(Value("int32")),
        "fact_tail": List(Value("int32")),
        "fact_class": List(Value("int32")),  # 1 .. R-1; class 0 is NA
        # what only batches with optional fields take (batches.OPTIONAL)
        "entity_type": List(Value("int32")),  # Corpus.type_ids
        "mention_sentence": List(Value("int32")),
        "mention_end": List(Value("int32")),  # one past the closing marker, into tokens
        "sentence_start": List(Value("int32")),  # first token of each sentence
        "evidence_head": List(Value("int32")),
        "evidence_tail": List(Value("int32")),
        "evidence_sentence": List(Value("int32")),
        "evidence_count": List(Value("int32")),  # facts of (head, tail) that cite the sentence
    }
)

MOST_TOKENS = 200_000  # of a document: a book
MOST_ATTENTION = 200_000_000  # mentions x tokens: an attention row for each mention, in each head
# entities^2 x tokens: each pair's weights over the tokens, of which a training step holds a dozen
MOST_CONTEXT = 100_000_000

log = logging.getLogger(__name__)


def featurise(
    documents: Dataset, corpus: Corpus, tokenizer: Any, *, training: bool, mention: str = "marker"
) -> Dataset:
    """Rows of `FEATURES`, in the order of `documents`, cached on disk.

    Args:
        documents: one split of `corpus`.
        tokenizer: an encoder's (backbones.encoders.base.Tokenizer).
        training: leave out facts that relate an entity to itself (no backbone scores the diagonal),
            with a warning, and state the facts of an undirected corpus in both directions.
        mention: the token that stands for a mention: its opening "marker", or its "first_piece",
            the one after that; "unmarked": its first piece, in a text without markers.

    Raises:
        DataError: a fact's relation is not in the corpus's inventory, or a document is larger than
        any memory.
    """
    parts = LAYOUT, documents._fingerprint, corpus.relations, corpus.undirected, corpus.type_ids
    key = hashlib.sha256("".join(map(str, (*parts, training, mention, tokenizer.key))).encode())
    pieces = cache(tokenizer)  # of a word
    marker = [] if mention == "unmarked" else tokenizer(MARKER)
    skipped = len(marker) if mention == "first_piece" else 0
    with explained(Path(datasets.config.HF_DATASETS_CACHE)):
        make = partial(
            documents.map,
            lambda document: _row(document, corpus, pieces, marker, skipped, training),
            features=FEATURES,
            remove_columns=documents.column_names,
            new_fingerprint=key.hexdigest()[:32],
            desc="tokenising",
        )
        try:
            return make()
        except (pyarrow.ArrowInvalid, OSError) as error:
            if not says_torn(error):
                raise
            return make(load_from_cache_file=False)


def _row(
    document: dict,
    corpus: Corpus,
    pieces: Callable[[str], list[int]],
    marker: list[int],
    skipped: int,
    training: bool,
) -> dict[str, Any]:
    """skipped: tokens between the beginning of a mention and the one that stands for it."""
    tokens, begin, end, sentence_start = _mark(document, pieces, marker)
    entities = document["entities"]
    mentions = [
        (e, m["sentence"], begin[m["sentence"], m["start"]], end[m["sentence"], m["end"] - 1])
        for e, entity in enumerate(entities)
        for m in entity["mentions"]
    ]
    for what, number, most in (
        ("entities", len(entities), MOST_ENTITIES),
        ("tokens", len(tokens), MOST_TOKENS),
        ("mentions times tokens", len(mentions) * len(tokens), MOST_ATTENTION),
        ("entities squared times tokens", len(entities) ** 2 * len(tokens), MOST_CONTEXT),
    ):
        if number > most:
            raise DataError(
                f"{corpus.name}: document {document['title']!r:.80}: {number:,} {what}, but at "
                f"most {most:,} are possible: split the document"
            )
    facts = _facts(document, corpus, training)
    cited = Counter((head, tail, s) for (head, tail, _), found in facts.items() for s in found)
    return {
        "tokens": tokens,
        "length": len(tokens),
        "mention_position": [b + skipped for _, _, b, _ in mentions],
        "mention_entity": [e for e, _, _, _ in mentions],
        "entities": len(entities),
        **_columns("fact", ("head", "tail", "class"), sorted(facts)),
        "entity_type": [corpus.type_ids.get(entity["type"], 0) for entity in entities],
        "mention_sentence": [s for _, s, _, _ in mentions],
        "mention_end": [e for _, _, _, e in mentions],
        "sentence_start": sentence_start,
        **_columns("evidence", ("head", "tail", "sentence"), sorted(cited)),
        "evidence_count": [cited[key] for key in sorted(cited)],
    }


def _columns(table: str, names: Sequence[str], rows: Sequence[Sequence[int]]) -> dict[str, list]:
    return {f"{table}_{name}": [row[c] for row in rows] for c, name in enumerate(names)}


def _mark(
    document: dict, pieces: Callable[[str], list[int]], marker: list[int]
) -> tuple[list[int], dict[tuple[int, int], int], dict[tuple[int, int], int], list[int]]:
    """Token ids with markers; where each (sentence, word) begins and ends, its markers included;
    where each sentence begins.
    """
    mentions = [mention for entity in document["entities"] for mention in entity["mentions"]]
    opening = {(mention["sentence"], mention["start"]) for mention in mentions}
    closing = {(mention["sentence"], mention["end"] - 1) for mention in mentions}
    tokens: list[int] = []
    begin, end, sentence_start = {}, {}, []
    for s, sentence in enumerate(document["sentences"]):
        sentence_start.append(len(tokens))
        for w, word in enumerate(sentence):
            begin[s, w] = len(tokens)
            if (s, w) in opening:
                tokens += marker
            tokens += pieces(word)
            if (s, w) in closing:
                tokens += marker
            end[s, w] = len(tokens)
    return tokens, begin, end, sentence_start


def _facts(document: dict, corpus: Corpus, training: bool) -> dict[tuple[int, int, int], list[int]]:
    """{(head, tail, class): evidence}, as training or evaluation wants them."""
    facts: dict[tuple[int, int, int], list[int]] = {}
    for fact in document["facts"]:
        head, tail, relation = fact["head"], fact["tail"], fact["relation"]
        if relation not in corpus.relation_index:
            raise DataError(
                f"{corpus.name}: document '{document['title']}': relation '{relation}' is not in "
                "the dataset's inventory"
            )
        number, evidence = corpus.relation_index[relation], fact["evidence"] or []
        if training and head == tail:
            text = "%s: '%s': %s relates entity %d to itself; left out of training"
            log.warning(text, corpus.name, document["title"], relation, head)
            continue
        facts.setdefault((head, tail, number), evidence)
    if training and corpus.undirected:  # a direction that is stated keeps its own evidence
        facts = {
            (tail, head, number): cited for (head, tail, number), cited in facts.items()
        } | facts
    return facts
