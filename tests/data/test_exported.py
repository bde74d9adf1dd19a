"""A corpus as a `datasets` folder: what is written is what is read again."""

from dataclasses import replace

import datasets
import pytest
import yaml
from command_line import invoke
from data.test_docred import files_of, write

from benchmark.data.docred import docred_format
from benchmark.data.exported import card, export, exported, push
from benchmark.errors import DataError, UserError


@pytest.fixture
def corpus(tmp_path):
    files = files_of(tmp_path, ["P17", "P6"])
    names = write(tmp_path, "names.json", {"P17": "country"})
    options = {"relations": ["P6", "P17", "P9"], "relation_names": names, "frequent": ["P17"]}
    return docred_format(**files, **options, undirected=True, shown_as="mine", notes=["partial"])


@pytest.mark.parametrize("parquet", [False, True])
def test_an_exported_corpus_is_read_again(corpus, tmp_path, parquet):
    export(corpus, tmp_path / "out", parquet=parquet)
    again = exported(hub=str(tmp_path / "out"))
    assert again.digest == corpus.digest and again.name == "mine" and again.undirected
    assert (again.relations, again.relation_names) == (corpus.relations, corpus.relation_names)
    assert again.frequent == corpus.frequent and again.notes == corpus.notes
    assert again.train.to_list() == corpus.train.to_list()
    load = datasets.load_dataset if parquet else datasets.load_from_disk
    loaded = load(str(tmp_path / "out"))
    assert {split: list(rows["title"]) for split, rows in loaded.items()} == {
        split: [split] for split in ("train", "dev", "test")
    }
    card = (tmp_path / "out/README.md").read_text()
    assert "| facts | 2 | 2 | 2 |" in card and "- partial" in card
    assert "3 undirected relations; frequent ones (Freq F1): P17" in card
    assert "Not known to the suite" in card


def test_nothing_is_overwritten_and_nothing_half_written_stays(corpus, tmp_path, monkeypatch):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").touch()
    with pytest.raises(UserError, match="full: exists already; name a folder that is new"):
        export(corpus, tmp_path / "full")
    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr("benchmark.data.exported.card", lambda corpus: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export(corpus, tmp_path / "out")
    assert sorted(tmp_path.iterdir()) == before


def test_damage_is_named(corpus, tmp_path):
    with pytest.raises(DataError, match="corpus.json: .*data export"):
        exported(hub=str(tmp_path))
    export(corpus, tmp_path / "out", parquet=True)
    dev = tmp_path / "out/data/dev-00000-of-00001.parquet"

    def refused(message):
        with pytest.raises(DataError, match=message):
            exported(hub=str(tmp_path / "out"))

    corpus.dev.remove_columns("facts").to_parquet(dev)
    refused("split 'dev' cannot be read: .*facts")
    dev.write_bytes(b"torn")
    refused("split 'dev' cannot be read")
    dev.unlink()
    refused("split 'dev' cannot be read: .*The option hub names a folder")
    (tmp_path / "out/corpus.json").write_text('{"name": "mine"}')
    refused("corpus.json: (?s:.*)relations")


@pytest.mark.parametrize("parquet", [False, True])
def test_a_faulty_document_is_named(corpus, tmp_path, monkeypatch, parquet):
    monkeypatch.setattr("benchmark.data.exported.card", lambda corpus: "")
    rows = corpus.dev.to_list()
    rows[0]["facts"][0]["head"] = 77  # in a batch it would be a pair of another document
    faulty = datasets.Dataset.from_list(rows, features=corpus.dev.features)
    export(replace(corpus, dev=faulty), tmp_path / "out", parquet=parquet)
    with pytest.raises(DataError, match=r"out, split 'dev': .*labels\[0\].h: entity 77 does not"):
        exported(hub=str(tmp_path / "out"))


def test_reading_writes_nothing_beside_the_documents(corpus, tmp_path):
    export(corpus, tmp_path / "out")
    before = sorted((tmp_path / "out").rglob("*"))
    exported(hub=str(tmp_path / "out"))
    assert sorted((tmp_path / "out").rglob("*")) == before


@pytest.mark.parametrize("name", ["a: b", "#1", "[x]"])
def test_the_card_begins_with_yaml_whatever_the_name(corpus, name):
    _, header, _ = card(replace(corpus, name=name)).split("---\n", 2)
    assert yaml.safe_load(header)["pretty_name"] == name


def test_a_repository_that_cannot_be_written_is_named(corpus, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match="me/mine: cannot be uploaded: .*hf auth login"):
        push(corpus, "me/mine")


def test_what_the_hub_answers_is_told(monkeypatch):
    """The first line is the status alone."""

    def refuse(*_, **__):
        raise OSError("404 Client Error.\n\nRepository Not Found for url: http://hub/me/mine.")

    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    with pytest.raises(DataError, match="404 Client Error. Repository Not Found for url: http:"):
        exported(hub="me/mine")


def test_an_upload_is_one_commit_of_what_a_folder_holds(corpus, monkeypatch):
    sent = {}

    class Api:
        def create_repo(self, repo_id, **options):
            sent["private"] = options["private"]
            return f"https://hub/datasets/{repo_id}"

        def upload_folder(self, *, folder_path, **options):
            sent["again"] = exported(hub=folder_path).digest

    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    assert push(corpus, "me/mine", private=True) == "https://hub/datasets/me/mine"
    assert sent == {"private": True, "again": corpus.digest}


def test_the_command(tmp_path):
    small = ["--set", "dataset={name: synthetic, train: 20, dev: 10, test: 10}"]
    run = lambda *words: invoke("data", "export", *words)
    done = run("configs/demo.yaml", tmp_path / "out", *small)
    assert done.exit_code == 0, done.output
    assert "(synthetic; documents: train 20" in done.stdout.replace("\n", "")
    assert exported(hub=str(tmp_path / "out")).name == "synthetic"
    nothing = run("configs/demo.yaml", *small)
    assert nothing.exit_code == 2 and "name a FOLDER" in nothing.stderr
    private = run("configs/demo.yaml", tmp_path / "new", "--private", *small)
    assert private.exit_code == 2 and "--private goes with --push" in private.stderr
    assert not (tmp_path / "new").exists()
