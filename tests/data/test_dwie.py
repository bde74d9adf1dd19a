"""DWIE: the hub's table against the field's DocRED-format conversion, and its faults.

The documents are no part of the project: DOCRE_DATA names a folder that holds
dwie_hub/Task_1/*.parquet and dwie/{train_389,dev,test,rel2id}.json. Without it the comparison is
skipped.
"""

import errno
import os
import re
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from data.test_docred import files_of, write

from benchmark.data.dwie import DEV, NO_FACT, RELATIONS, dwie, tokens
from benchmark.errors import ConfigError, DataError, UserError

DATA = Path(os.environ.get("DOCRE_DATA", "no-such-folder"))


def row(title="DW_1", split="train", **changes):
    """Concept 3 is named twice, concept 1 once, concept 2 never."""
    mention = lambda begin, end, concept: {"begin": begin, "end": end, "concept": concept}
    return {
        "id": title,
        "content": "Velm's summit of 2003/2004: Velm won.",
        "tags": f"['all', '{split}']",
        "mentions": [mention(0, 4, 3), mention(17, 21, 1), mention(28, 32, 3)],
        "concepts": [
            {"concept": 1, "tags": ["type::time", "type::value"]},
            {"concept": 2, "tags": ["type::person"]},
            {"concept": 3, "tags": ["type::entity", "type::gpe", "type::location"]},
        ],
        "relations": [
            {"s": 3, "p": "vs", "o": 1},
            {"s": 3, "p": "in0", "o": 2},
            {"s": 3, "p": "vs", "o": 1},
        ],
        **changes,
    }


def table(folder: Path, rows=(), without=None) -> str:
    """A folder of the hub's layout: `rows`, and what is needed of each split."""
    others = [row("DW_2"), row(next(iter(DEV))), row("DW_3", "test")]
    path = folder / "Task_1/train-00000-of-00001.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    made = pyarrow.Table.from_pylist([*rows, *others])
    pyarrow.parquet.write_table(made.drop_columns(without) if without else made, path)
    return str(folder)


def test_a_row_of_the_hub_becomes_a_document(tmp_path):
    loaded = dwie(hub=table(tmp_path, [row(), row(NO_FACT, "test", relations=[])]))
    assert list(loaded.train["title"]) == ["DW_1", "DW_2"] and len(loaded.dev) == 1
    assert list(loaded.test["title"]) == ["DW_3"]  # without the one that has no fact
    found = loaded.train[0]
    words = "Velm ' s summit of 2003 / 2004 : Velm won ."
    assert found["sentences"] == [words.split()]
    first, second = found["entities"]  # concepts 1 and 3; 2 has no mention
    assert (first["type"], second["type"]) == ("type::time", "type::location")
    assert [(m["name"], m["start"], m["end"]) for m in second["mentions"]] == [
        ("Velm", 0, 1),
        ("Velm", 9, 10),
    ]
    assert found["facts"] == [{"head": 1, "tail": 0, "relation": "vs", "evidence": [0]}]
    assert loaded.relations == RELATIONS and "not the 602" in loaded.notes[0]


def test_sentences_are_cut_outside_mentions_where_asked(tmp_path):
    content = "Velm's Dr. Ri won. Did Velm? Yes!"
    mention = lambda text, concept, nth=0: {
        "begin": (begin := [m.start() for m in re.finditer(re.escape(text), content)][nth]),
        "end": begin + len(text),
        "concept": concept,
    }
    mentions = [mention("Velm", 3), mention("Dr. Ri", 1), mention("Velm", 3, 1)]
    hub = table(tmp_path, [row(content=content, mentions=mentions)])
    whole, cut = (dwie(hub=hub, sentences=how) for how in ("as_given", "split"))
    found = cut.train[0]
    assert [" ".join(words) for words in found["sentences"]] == [
        "Velm ' s Dr . Ri won .",
        "Did Velm ?",
        "Yes !",
    ]
    for entity, before in zip(found["entities"], whole.train[0]["entities"], strict=True):
        assert entity["type"] == before["type"]
        for place in entity["mentions"]:
            words = found["sentences"][place["sentence"]][place["start"] : place["end"]]
            assert "".join(words) == place["name"].replace(" ", "")
    assert {fact["relation"] for fact in found["facts"]} == {"vs"}
    assert found["facts"][0]["evidence"] == [] and whole.train[0]["facts"][0]["evidence"] == [0]
    assert any("cut into sentences" in note for note in cut.notes)
    assert not any("cut into sentences" in note for note in whole.notes)
    assert cut.train.features == whole.train.features
    assert cut.digest != whole.digest and cut.relations == whole.relations
    with pytest.raises(ConfigError, match="sentences"):
        dwie(hub=hub, sentences="cut")


def test_sentences_that_cannot_be_kept_are_a_readable_error(tmp_path, monkeypatch):
    def full(row):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    hub = table(tmp_path, [row(content="Velm's summit of 2003/2004: Velm lost.")])
    monkeypatch.setattr("benchmark.data.dwie.split_sentences", full)
    with pytest.raises(UserError, match="parsed documents cannot be cached there: .*No space"):
        dwie(hub=hub, sentences="split")


def test_a_word_never_crosses_the_edge_of_a_mention():
    assert tokens("ab1 c-d", {1}) == [(0, 1), (1, 3), (4, 5), (5, 6), (6, 7)]


def test_a_second_load_reads_no_row(tmp_path, monkeypatch):
    first = dwie(hub=table(tmp_path / "hub"))
    monkeypatch.setattr("benchmark.data.dwie._table", lambda file: pytest.fail("read again"))
    assert dwie(hub=str(tmp_path / "hub")).digest == first.digest


def mentioned(begin, end, concept=3):
    return {"mentions": [{"begin": begin, "end": end, "concept": concept}]}


FAULTS = [
    (mentioned(0, 99), "document 0 'DW_1': .*from 0 to 99 of 37 characters"),
    (mentioned(4, 4), "document 0 'DW_1': .*from 4 to 4"),
    (mentioned(6, 7), r"'DW_1', vertexSet\[0\]\[0\].pos: \[3, 3\) lies outside"),  # a space
    (mentioned(0, 4, concept=9), "document 0 'DW_1': .*KeyError: 9"),
    ({"id": "DW_2"}, "document 1 'DW_2', title: document 0 of this file has the same title"),
    ({"content": " ", "mentions": []}, "document 0 'DW_1', sents: the document is empty"),
    ({"tags": "['all']"}, "document 0 'DW_1', tags: expected one of 'train' and 'test', got"),
]


@pytest.mark.parametrize(("changes", "message"), FAULTS)
def test_a_fault_names_document_and_field(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        dwie(hub=table(tmp_path, [row(**changes)]))


def test_files_that_are_no_such_table(tmp_path):
    with pytest.raises(DataError, match="holds no Task_1/.*parquet. Give a folder"):
        dwie(hub=str(tmp_path))
    with pytest.raises(DataError, match="00001.parquet: no column mentions"):
        dwie(hub=table(tmp_path, without=["mentions"]))
    (file,) = tmp_path.rglob("*.parquet")
    file.write_bytes(file.read_bytes()[:99])
    with pytest.raises(DataError, match="00001.parquet: cannot be read as a parquet file"):
        dwie(hub=str(tmp_path))


@pytest.mark.parametrize("options", [{"dev_documents": 3}, {"relations": ["vs"]}])
def test_options_of_local_files_are_refused_with_the_hub(tmp_path, options):
    with pytest.raises(ConfigError, match="only for local files, together with train and test"):
        dwie(hub=str(tmp_path), **options)


def test_local_files_keep_the_inventory_and_count_repeated_facts_once(tmp_path):
    inventory = write(tmp_path, "rel2id.json", {"Na": 0, "in0": 1, "vs": 2})
    loaded = dwie(**files_of(tmp_path, ["in0", "in0"]), relations=inventory)
    assert loaded.relations == ("in0", "vs") and len(loaded.test[0]["facts"]) == 1
    assert "not the 602" in loaded.notes[0]


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the documents of DWIE: set DOCRE_DATA")
def test_the_hubs_table_gives_the_facts_of_the_fields_conversion():
    """The names differ for 32 entities, whose text the conversion cut short."""
    files = {"train": "train_389", "dev": "dev", "test": "test"}
    ours = dwie(hub=str(DATA / "dwie_hub"))
    paths = {split: str(DATA / f"dwie/{name}.json") for split, name in files.items()}
    theirs = dwie(**paths, relations=str(DATA / "dwie/rel2id.json"))
    assert ours.relations == theirs.relations and ours.frequent == theirs.frequent
    renamed = 0
    for split in files:
        converted = {made["title"]: made for made in getattr(theirs, split)}
        assert set(getattr(ours, split)["title"]) == set(converted)
        for found in getattr(ours, split):
            other = converted[found["title"]]
            facts = [
                {(fact["head"], fact["tail"], fact["relation"]) for fact in document["facts"]}
                for document in (found, other)
            ]
            assert facts[0] == facts[1]
            for entity, expected in zip(found["entities"], other["entities"], strict=True):
                names = [sorted(m["name"] for m in e["mentions"]) for e in (entity, expected)]
                renamed += names[0] != names[1]
                for mention in entity["mentions"]:
                    words = found["sentences"][0][mention["start"] : mention["end"]]
                    assert "".join(words) == "".join(mention["name"].split())
    assert renamed == 32


@pytest.mark.parametrize("given", ["train", "dev", "test"])
def test_local_files_are_given_by_train_and_test(given):
    with pytest.raises(ConfigError, match="local files need both train and test"):
        dwie(**{given: "a.json"})
