import json
from pathlib import Path

import datasets
import pytest

from benchmark.data import docred
from benchmark.data.biored import biored
from benchmark.data.corpora import split_off
from benchmark.data.docred import as_docred, docred_format, load_split, read_documents, rows_of
from benchmark.data.redocred import FREQUENT, RELATIONS, redocred
from benchmark.errors import DataError, UserError


def document(title="Ada", relations=("P17",), **changes):
    """Two sentences, three entities; entity 0 is named twice; one fact 0 -> 1 for each relation."""
    return {
        "title": title,
        "sents": [["Ada", "Brent", "left", "Velm", "."], ["Brent", "met", "Cal", "."]],
        "vertexSet": [
            [
                {"name": "Brent", "pos": [0, 1], "sent_id": 1, "type": "short"},
                {"name": "Ada Brent", "pos": [0, 2], "sent_id": 0, "type": "long", "index": 0},
            ],
            [{"name": "Velm", "pos": [3, 4], "sent_id": 0, "type": "LOC"}],
            [{"name": "Cal", "pos": [2, 3], "sent_id": 1, "type": "PER"}],
        ],
        "labels": [{"h": 0, "t": 1, "r": relation, "evidence": [0]} for relation in relations],
        **changes,
    }


def write(folder: Path, name: str, documents, encoding="utf-8") -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(documents), encoding)
    return str(path)


def files_of(folder: Path, relations=("P17",)) -> dict[str, str]:
    """A file of one document for each split."""
    splits = ("train", "dev", "test")
    return {s: write(folder, f"{s}.json", [document(s, relations)]) for s in splits}


def test_a_document_becomes_a_canonical_row(tmp_path):
    path = write(tmp_path, "a.json", [document(relations=["P17", "P6", "P17"], entity_ids=["Q1"])])
    (row,) = read_documents(path)
    assert row["title"] == "Ada"
    assert row["sentences"][1] == ["Brent", "met", "Cal", "."]
    assert row["entities"][0]["type"] == "long"  # of the longest name
    named = {"name": "Ada Brent", "sentence": 0, "start": 0, "end": 2}
    assert row["entities"][0]["mentions"][1] == named
    # gold is a set, in the file's order
    assert [fact["relation"] for fact in row["facts"]] == ["P17", "P6"]
    (again,) = rows_of([as_docred(row)], "again")
    assert [m["name"] for m in again["entities"][0]["mentions"]] == ["Brent", "Ada Brent"]
    assert {**again, "entities": row["entities"]} == row


def test_few_entities_no_fact_and_relations_with_oneself_are_no_errors(tmp_path):
    none = document("none", vertexSet=[], labels=[])
    one = document(
        "one", vertexSet=document()["vertexSet"][:1], labels=[{"h": 0, "t": 0, "r": "P17"}]
    )
    rows = list(read_documents(write(tmp_path, "a.json", [none, one])))
    assert [len(row["entities"]) for row in rows] == [0, 1]
    assert rows[1]["facts"] == [{"head": 0, "tail": 0, "relation": "P17", "evidence": []}]


def test_documents_without_labels_are_for_prediction_only(tmp_path):
    unlabelled = document()
    del unlabelled["labels"]
    path = write(tmp_path, "a.json", [unlabelled])
    assert next(read_documents(path, labelled=False))["facts"] == []
    with pytest.raises(DataError, match="labels: missing"):
        list(read_documents(path))


def test_the_evidence_of_a_fact_is_that_of_all_its_statements(tmp_path):
    facts = [
        {"h": 0, "t": 1, "r": "r", "evidence": [1, 0]},
        {"h": 0, "t": 1, "r": "r", "evidence": [0]},
        {"h": 1, "t": 0, "r": "r", "evidence": [0, 7, "x"]},
        {"h": 1, "t": 0, "r": "s"},
    ]
    (row,) = read_documents(write(tmp_path, "a.json", [document(labels=facts)]))
    assert [fact["evidence"] for fact in row["facts"]] == [[0, 1], [0], []]


def test_a_path_may_have_the_separators_of_windows(tmp_path, monkeypatch):
    write(tmp_path, "folder/a.json", [document()])
    monkeypatch.chdir(tmp_path)
    assert next(read_documents("folder\\a.json"))["title"] == "Ada"


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    path = write(tmp_path, "a.json", [document()], encoding="utf-8-sig")
    assert next(read_documents(path))["title"] == "Ada"


def test_a_second_load_parses_nothing_wherever_the_file_lies(tmp_path, monkeypatch):
    first = load_split(write(tmp_path, "a.json", [document(), document("Bo")]))
    monkeypatch.setattr(docred, "read_documents", lambda *a, **k: pytest.fail("parsed again"))
    second = load_split(write(tmp_path, "elsewhere/b.json", [document(), document("Bo")]))
    assert second.to_list() == first.to_list() and second._fingerprint == first._fingerprint
    assert second.cache_files  # memory-mapped


def test_a_file_that_changes_while_it_is_read_is_not_cached_as_the_earlier_one(
    tmp_path, monkeypatch
):
    path = write(tmp_path, "a.json", [document("before")])
    read = docred.read_documents

    def changed(*given):
        write(tmp_path, "a.json", [document("after")])
        return read(*given)

    with monkeypatch.context() as patch, pytest.raises(DataError, match="changed while it was re"):
        patch.setattr(docred, "read_documents", changed)
        load_split(path)
    for title in ("before", "after"):
        assert list(load_split(write(tmp_path, "a.json", [document(title)]))["title"]) == [title]


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    blocked = tmp_path / "blocked"
    blocked.write_text("a file, where a folder should be")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", blocked)
    with pytest.raises(Exception, match="blocked.*cannot be cached.*HF_DATASETS_CACHE"):
        load_split(write(tmp_path, "a.json", [document()]))


def test_a_split_off_dev_is_fixed_by_its_seed_and_keeps_file_order(tmp_path):
    documents = load_split(write(tmp_path, "a.json", [document(f"{i:02}") for i in range(20)]))
    rest, part = split_off(documents, 5, seed=3)
    assert len(part) == 5 and sorted([*rest["title"], *part["title"]]) == list(documents["title"])
    assert all(list(some["title"]) == sorted(some["title"]) for some in (rest, part))
    again, other = split_off(documents, 5, seed=3)[1], split_off(documents, 5, seed=4)[1]
    assert list(again["title"]) == list(part["title"]) != list(other["title"])


def corpus(folder, **options):
    """Of four training documents, with P17 and P6 in each and P27 in the first."""
    train = [document(f"t{i}", ["P17", "P6"] if i else ["P17", "P6", "P27"]) for i in range(4)]
    files = {
        "train": write(folder, "train.json", train),
        "test": write(folder, "test.json", [document("x", ["P131"])]),
    }
    return docred_format(**{**files, "dev": write(folder, "dev.json", [document("d")]), **options})


def test_without_an_inventory_the_relations_are_those_of_all_splits(tmp_path):
    assert corpus(tmp_path).relations == ("P131", "P17", "P27", "P6")
    assert corpus(tmp_path).frequent == {"P17", "P6", "P27"}
    assert corpus(tmp_path, frequent=["P27"]).frequent == {"P27"}
    assert not any("LTail" in note for note in corpus(tmp_path).notes)
    every = corpus(tmp_path, frequent=["P131", "P17", "P27", "P6"]).notes
    assert "all 4 relations are frequent, so LTail F1 is undefined: name the" in every[0]
    assert corpus(tmp_path, frequent=[]).frequent is None


def test_the_ten_most_frequent_are_counted_as_the_corpus_counts_facts(tmp_path):
    relations = [f"r{i:02}" for i in range(11)]
    facts = [{"h": 0, "t": 1, "r": relation} for relation in relations]
    both = document(labels=[*facts, {"h": 1, "t": 0, "r": "r10"}])
    train = write(tmp_path, "both.json", [both])
    assert corpus(tmp_path, train=train).frequent == {"r10", *relations[:9]}
    undirected = corpus(tmp_path, train=train, undirected=True)  # each has one fact: ties by name
    assert undirected.frequent == set(relations[:10])


def test_an_inventory_orders_the_classes_and_names_unknown_relations(tmp_path):
    numbers = {"P6": 2, "Na": 0, "P17": 1, "P27": 3, "P131": 4, "P9": 5}
    path = write(tmp_path, "rel2id.json", numbers)
    names = write(tmp_path, "names.json", {"P6": "head of government", "P777": "unused"})
    loaded = corpus(tmp_path, relations=path, relation_names=names)
    assert loaded.relations == ("P17", "P6", "P27", "P131", "P9")
    assert loaded.relation_index["P6"] == 2
    assert loaded.relation_names == {"P6": "head of government"}
    message = r"test.json: document 0 'x', labels\[0\].r: unknown relation: 'P131'.*Did you mean"
    with pytest.raises(DataError, match=message):
        corpus(tmp_path, relations=["P17", "P6", "P27", "P13"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dev": None}, r"give either dev \(a file\) or dev_documents"),
        ({"dev_documents": 2}, r"give either dev \(a file\) or dev_documents"),
        ({"dev": None, "dev_documents": 4}, "holds only 4 documents"),
        ({"dev": None, "dev_documents": -1}, "greater than or equal to 0"),
        ({"train": None}, "'None': cannot be read as a file"),
        ({"frequent": ["P18"]}, "frequent: unknown relation: 'P18'.*Did you mean"),
        ({"frequent": "P17"}, "frequent: expected a list of texts, got 'P17'"),
        ({"notes": 3}, "notes: expected a list of texts, got 3"),
        ({"notes": [1, 2]}, "notes: expected a list of texts, got .1, 2."),
        ({"shown_as": 5}, "dataset 5: its name in tables must be a text"),
        ({"relations": {17: 1}}, "names that YAML reads as 17 or false need quotes"),
        ({"undirected": "yes"}, "'undirected': expected a valid boolean"),
    ],
)
def test_wrong_options_are_named(tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        corpus(tmp_path, **options)


def test_documents_in_two_splits_are_noted(tmp_path):
    other, apart = [["Ada", "Brent", "of", "Velm"], ["Brent", "met", "Cal", "."]], {}
    for split in ("dev", "test"):
        made = document(split, ["P131"], sents=[*other, [split]])
        apart[split] = write(tmp_path, f"apart_{split}.json", [made])
    assert corpus(tmp_path, **apart).notes == ()
    shared = write(tmp_path, "shared.json", [document("t1", sents=other), document("new")])
    shown = "1 of 2 test documents have the title of a training document"
    assert corpus(tmp_path, **apart | {"test": shared}).notes[-1] == shown
    notes = corpus(tmp_path, **apart | {"test": str(tmp_path / "train.json")}).notes
    assert notes[-1].startswith("4 of 4 test documents are training documents, word for word")
    assert not any("have the title" in note for note in notes)


def test_a_training_document_is_noted_under_another_title(tmp_path):
    """`new` has the words of the training documents."""
    shared = write(tmp_path, "shared.json", [document("new")])
    assert any(note.startswith("1 of 1 test") for note in corpus(tmp_path, test=shared).notes)


def test_redocred_from_files_says_that_it_is_partial(tmp_path):
    train = write(tmp_path, "some.json", [document(f"t{i}") for i in range(6)])
    loaded = redocred(
        train=train, test=write(tmp_path, "test.json", [document("x")]), dev_documents=2
    )
    assert (len(loaded.train), len(loaded.dev), len(loaded.test)) == (4, 2, 1)
    assert "4 documents (some.json, less 2 to select on), not the 3,053" in loaded.notes[0]
    assert len(loaded.relations) == 96 and loaded.relations[0] == "P17"
    assert loaded.relation_names["P17"] == "country"
    assert loaded.frequent == set(FREQUENT) < set(RELATIONS)


def test_redocred_takes_a_folder_of_the_hubs_layout(tmp_path):
    for split in ("train", "dev", "test"):
        write(tmp_path, f"hub/data/{split}_revised.json", [document(split)])
    loaded = redocred(hub=str(tmp_path / "hub"))
    for split in ("train", "dev", "test"):
        assert list(getattr(loaded, split)["title"]) == [split]
    (tmp_path / "hub/data/test_revised.json").unlink()
    with pytest.raises(DataError, match="holds no test_revised.json. Give local files with"):
        redocred(hub=str(tmp_path / "hub"))


def test_redocred_offline_asks_for_local_files(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        DataError, match="tonytan48/Re-DocRED: cannot be loaded.*Give local .* train, dev, test"
    ):
        redocred()


def test_biored_is_undirected(tmp_path):
    relations = ["Association", "Bind", "Negative_Correlation", "Positive_Correlation"]
    loaded = biored(**files_of(tmp_path, relations))
    assert (loaded.name, loaded.undirected) == ("biored", True)
    assert loaded.frequent == set(relations) - {"Bind"} and loaded.relations == tuple(relations)


def test_training_documents_without_a_fact_are_refused(tmp_path):
    bare = write(tmp_path, "bare.json", [document(relations=())])
    with pytest.raises(DataError, match="no training document has a fact: there is nothing to le"):
        corpus(tmp_path, train=bare, relations=["P17", "P131"])
