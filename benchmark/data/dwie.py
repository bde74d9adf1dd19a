"""DWIE (Zaporojets et al. 2021): 802 articles of Deutsche Welle, 65 relations.

From the Hugging Face hub, or from files in the DocRED-format conversion that the field uses
(LogiRE). Both make every document one "sentence", of up to 1,651 words and 88 entities; the option
`sentences: split` cuts it.

How the hub's rows become documents:

- Entities are the concepts with at least one mention, in the order of their ids. A relation counts
  when both its concepts are such. The conversion has the same facts.
- A word is a run of letters and digits, or a single other character that is no space. Words are
  also cut where a mention begins or ends ("2003" in "2003/2004"). So a mention is always made of
  whole words, and its name is the text between its offsets.
- The type of an entity is the first of `TYPES` among the tags of its concept.
- Documents tagged "test" are test, without `NO_FACT`; `DEV` lists the dev documents; the others
  are train.
"""

from __future__ import annotations

import dataclasses
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from benchmark.data.cached import cached
from benchmark.data.corpora import SPLITS, corpus_of_splits, with_source
from benchmark.data.docred import docred_format, rows_of
from benchmark.data.frequencies import relation_frequencies
from benchmark.data.text import WORD
from benchmark.errors import ConfigError, DataError
from benchmark.hub import dataset_folder
from benchmark.options import checked
from benchmark.registry import DATASETS
from benchmark.store.files import sha256

if TYPE_CHECKING:
    from benchmark.data.documents import Corpus

TRAIN_DOCUMENTS = 602  # of the field's conversion, besides 98 to select on and 99 to test on
LAYOUT = 1  # raise when the rows made of a file, or the cut, change: part of the cache key
LICENCE = "Annotations: GPL-3.0. The articles belong to Deutsche Welle."
INSTEAD = (
    "Give a folder that holds Task_1/*.parquet with the option hub, or local files in DocRED "
    "format with the options train, dev and test"
)
TYPES = ("location", "organization", "person", "event", "misc", "ethnicity", "time", "role")
TYPES += ("money", "other")
NO_FACT = "DW_39718698"
COLUMNS = ["id", "content", "tags", "mentions", "concepts", "relations"]


@DATASETS.register("dwie")
def dwie(
    *,
    hub: str = "DFKI-SLT/DWIE",
    train: str | None = None,
    dev: str | None = None,
    test: str | None = None,
    relations: str | Sequence[str] | None = None,
    dev_documents: int = 0,
    split_seed: int = 0,
    frequent: Sequence[str] | None = None,
    sentences: str = "as_given",
) -> Corpus:
    """DWIE, from the hub or from local files in DocRED format.

    Args:
        hub: a dataset on the hub, or a folder, that holds Task_1/*.parquet. Used when none of
            `train`, `dev` and `test` is given.
        train, dev, test, dev_documents, split_seed, frequent: as for `docred-format`.
        relations: of local files, e.g. the conversion's rel2id.json. None: the relations that
            occur. The hub's copy always has the conversion's 65, in its order.
        sentences: "as_given": a document is one sentence; "split": it is cut after . ! and ?, for
            systems that read sentences. Captions say so.
    """
    checked("sentences", sentences, Literal["as_given", "split"])
    if train is dev is test is None:
        if dev_documents or relations:
            raise ConfigError(
                "dataset 'dwie': dev_documents and relations are only for local files, together "
                "with train and test; leave them out for the hub's copy"
            )
        source, corpus = "the hub's layout", _from_hub(hub, frequent)
    elif train is None or test is None:
        raise ConfigError("dataset 'dwie': local files need both train and test")
    else:
        corpus = docred_format(
            train=train,
            dev=dev,
            test=test,
            dev_documents=dev_documents,
            split_seed=split_seed,
            relations=relations,
            frequent=frequent,
            shown_as="dwie",
        )
        source = Path(train).name
    if sentences == "split":
        corpus = _with_sentences(corpus)
    return with_source(corpus, source, full=TRAIN_DOCUMENTS, less=dev_documents, licence=LICENCE)


def _with_sentences(corpus: Corpus) -> Corpus:
    splits = {
        split: cached(
            partial(map, split_sentences, documents), key=f"cut {LAYOUT} {documents._fingerprint}"
        )
        for split, documents in corpus.splits.items()
    }
    note = "documents, one sentence each in DWIE, are cut into sentences after . ! and ?"
    return dataclasses.replace(corpus, **splits, notes=(*corpus.notes, note))


def split_sentences(row: dict[str, Any]) -> dict[str, Any]:
    """A canonical row whose sentences are cut after each . ! and ? that is outside mentions, and
    after words with a line break. Which of the new sentences support a fact is not known.
    """
    inside = {
        (mention["sentence"], word)
        for entity in row["entities"]
        for mention in entity["mentions"]
        for word in range(mention["start"], mention["end"])
    }
    sentences: list[list[str]] = []
    place: dict[tuple[int, int], tuple[int, int]] = {}  # a word's sentence and number, as they were
    for number, words in enumerate(row["sentences"]):
        sentences.append([])
        for word, text in enumerate(words):
            place[number, word] = len(sentences) - 1, len(sentences[-1])
            sentences[-1].append(text)
            ends = text in (".", "!", "?") or "\n" in text
            if ends and (number, word) not in inside and word + 1 < len(words):
                sentences.append([])
    entities = []
    for entity in row["entities"]:
        mentions = []
        for mention in entity["mentions"]:
            sentence, start = place[mention["sentence"], mention["start"]]
            end = start + mention["end"] - mention["start"]
            mentions.append({**mention, "sentence": sentence, "start": start, "end": end})
        entities.append({**entity, "mentions": mentions})
    facts = [{**fact, "evidence": []} for fact in row["facts"]]
    return {**row, "sentences": sentences, "entities": entities, "facts": facts}


def _from_hub(hub: str, frequent: Sequence[str] | None) -> Corpus:
    folder = dataset_folder(hub, ["*Task_1/*.parquet"], INSTEAD)
    files = sorted(folder.glob("Task_1/*.parquet")) or sorted(folder.glob("*.parquet"))
    if not files:
        raise DataError(f"{hub}: holds no Task_1/*.parquet. {INSTEAD}")
    content = " ".join(map(sha256, files))
    splits = {
        split: cached(partial(read_rows, files, split), key=f"dwie {LAYOUT} {split} {content}")
        for split in SPLITS
    }
    occurring = set().union(*map(relation_frequencies, splits.values()))
    inventory = (*RELATIONS, *sorted(occurring - set(RELATIONS)))
    return corpus_of_splits("dwie", splits, inventory=inventory, frequent=frequent)


def read_rows(files: Sequence[Path], split: str) -> Iterator[dict[str, Any]]:
    """Canonical rows of one split of the hub's table. Raises DataError at the first fault."""
    articles = (article for file in files for article in _table(file))
    wanted = (_as_docred(*place) for place in articles if _split_of(*place) == split)
    return rows_of(wanted, f"{files[0].parent}, {split} split")


def _table(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(where it stands, article) of each row."""
    import pyarrow
    import pyarrow.parquet

    try:
        articles = pyarrow.parquet.ParquetFile(file).read(columns=COLUMNS).to_pylist()
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(f"{file}: cannot be read as a parquet file: {error}") from error
    for number, article in enumerate(articles):
        if missing := set(COLUMNS) - set(article):
            raise DataError(f"{file}: no column {', '.join(sorted(missing))}")
        yield f"{file}: document {number} {article['id']!r}", article


def _split_of(where: str, article: dict[str, Any]) -> str | None:
    tags = set(re.findall(r"\w+", str(article["tags"])))  # on the hub the text "['all', 'train']"
    if len(tags & {"train", "test"}) != 1:
        raise DataError(f"{where}, tags: expected one of 'train' and 'test', got {sorted(tags)}")
    if "test" in tags:
        return None if article["id"] == NO_FACT else "test"
    return "dev" if article["id"] in DEV else "train"


def _as_docred(where: str, article: dict[str, Any]) -> dict[str, Any]:
    """An article in DocRED's format. Raises DataError if it is none."""
    try:
        content, mentions = article["content"], article["mentions"]
        words = tokens(content, {at for m in mentions for at in (m["begin"], m["end"])})
        starts = [start for start, _ in words]
        tags = {concept["concept"]: concept["tags"] for concept in article["concepts"]}
        entities: dict[int, list[dict[str, Any]]] = {}
        for mention in sorted(mentions, key=lambda mention: mention["concept"]):
            begin, end, concept = mention["begin"], mention["end"], mention["concept"]
            if not 0 <= begin < end <= len(content):
                raise ValueError(f"a mention from {begin} to {end} of {len(content)} characters")
            kind = next((kind for kind in TYPES if f"type::{kind}" in tags[concept]), TYPES[-1])
            entities.setdefault(concept, []).append(
                {
                    "name": content[begin:end],
                    "sent_id": 0,
                    "pos": [bisect_left(starts, begin), bisect_left(starts, end)],
                    "type": f"type::{kind}",
                }
            )
        number_of = {concept: number for number, concept in enumerate(entities)}
        facts = [
            {"h": number_of[fact["s"]], "t": number_of[fact["o"]], "r": fact["p"], "evidence": [0]}
            for fact in article["relations"]
            if fact["s"] in number_of and fact["o"] in number_of
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{where}: not a row of DWIE's Task_1: {type(error).__name__}: {error}"
        ) from error
    return {
        "title": article["id"],
        "sents": [[content[start:end] for start, end in words]],
        "vertexSet": list(entities.values()),
        "labels": facts,
    }


def tokens(content: str, cuts: set[int]) -> list[tuple[int, int]]:
    """(first character, one past the last) of each word; no word crosses a cut."""
    edges = sorted({0, len(content), *cuts})
    return [
        match.span()
        for start, end in pairwise(edges)
        for match in WORD.finditer(content, start, end)
    ]


# The 98 documents of the field's split on which models are selected.
_DEV = """
    656952 898307 1095032 1477989 1534424 1583453 1614078 1847303 2036263 2371435 2727559
    3535872 3637268 3674845 3980038 4327835 4489306 4596868 5211834 5213636 5279276 5311411
    5873659 6196605 6309600 6522299 6593447 6617756 14773081 15433650 15585984 15881422 16017138
    16018558 16151449 16175463 16209973 16277528 16355238 16380200 16412398 16435183 16699120
    16720057 16720088 16961776 16988090 17148498 17527744 17548675 17666690 17786779 17801137
    17880619 18195588 18220142 18250848 18306107 18377343 18400041 18407585 18571849 18580733
    18631050 18804644 18900378 18918700 19002777 19061770 19119015 19130715 19156615 19182058
    19193488 19281851 19291020 19307391 19323412 19429511 19438601 19510523 19527398 19568716
    36450557 37121960 37558586 38113580 38625745 38936992 39489130 41053363 41130994 42248169
    43099298 43650764 44101876 44261669 44286357
"""
DEV = frozenset(f"DW_{number}" for number in _DEV.split())

# The inventory in the order of the conversion's rel2id.json (class 1, 2, ...).
_RELATIONS = """
    citizen_of in0 in0-x gpe0 member_of agent_of citizen_of-x head_of_gov institution_of part_of
    based_in0 based_in0-x head_of minister_of minister_of-x based_in2 product_of head_of_gov-x
    agent_of-x head_of_state head_of_state-x agency_of agency_of-x ministry_of in2 player_of
    event_in0 mayor_of award_received parent_of spouse_of child_of appears_in vs won_vs
    spokesperson_of in1 based_in1 based_in1-x gpe1 created_by law_of coach_of event_in2
    signed_by based_in2-x present_in0 event_in directed_by character_in plays_in is_meeting
    sanctions sibling advisor_of brand_of event_in0-x artifact_of gpe2 played_by artifact_of-x
    founder_of royalty_of event_in1 publisher
"""
RELATIONS = tuple(_RELATIONS.split())
