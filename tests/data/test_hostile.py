"""Documents made to break a reader: an error that names file, document and field, or a correct
result, in bounded time.
"""

import gzip
import json
import time

import pytest
from data.test_validate import document, mention
from datasets import Dataset
from nested import places, replaced
from samples import corpus
from typer.testing import CliRunner

from backbones.encoders.tiny import Tiny
from benchmark.commands.app import app
from benchmark.data import features
from benchmark.data.docred import load_split, read_documents
from benchmark.data.documents import FEATURES
from benchmark.data.features import featurise
from benchmark.data.jsonstream import read_json
from benchmark.data.text import read_marked
from benchmark.data.validate import faults
from benchmark.errors import DataError

LONG = "x" * 10_000_000


def invoke(command, path):
    began = time.process_time()
    result = CliRunner().invoke(app, ["data", command, str(path)], env={"COLUMNS": "120"})
    assert isinstance(result.exception, (SystemExit, type(None))), repr(result.exception)
    assert time.process_time() - began < 10
    return result


def written(tmp_path, content):
    path = tmp_path / "hostile.json"
    if isinstance(content, str):
        content = content.encode("utf-8", "surrogatepass")
    path.write_bytes(content)
    return path


def many_entities(count):
    words = [f"w{i}" for i in range(count)]
    vertices = [[mention(word, (i, i + 1))] for i, word in enumerate(words)]
    return {"sents": [words], "vertexSet": vertices, "labels": []}


SOUND = json.dumps([document()])

NO_FILES = {
    "nothing": (b"", "hostile.json: is empty; expected a list of documents"),
    "no documents": (b"[]", "holds no document"),
    "one object": (b' {"title": "A"}', """hostile.json: begins with '{"title": "A"}'; expected"""),
    "JSON Lines": (b"{}\n{}", "JSON Lines are not read"),
    "UTF-16": (SOUND.encode("utf-16"), "cannot be read as UTF-8 text"),
    "UTF-16 without a mark": (SOUND.encode("utf-16-le"), "not valid JSON"),
    "Latin-1": ('[{"title": "Zürich"}]'.encode("latin-1"), "cannot be read as UTF-8 text"),
    "an error in line 2": (SOUND[:-1] + ",\n {]", "line 2 column 3"),
    "100,000 brackets": ("[" * 100_000, "maximum recursion depth"),
    "6,000 digits": (SOUND.replace('"h": 0', '"h": ' + "9" * 6000), "digits"),
    "a key twice": (SOUND.replace('"h": 0', '"h": 0, "h": 1'), "the key 'h' twice: line 1"),
    "cut in a text": ('[{"title": "cut o', "Unterminated string"),
    "not closed": (SOUND[:-1], "expected , or ] here; is the file cut off?"),
    "a comma too many": (SOUND[:-1] + ",]", "expected , or ]"),
    "more than a list": (SOUND + " x", "expected the end of the file"),
}


@pytest.mark.parametrize("name", NO_FILES)
def test_a_file_that_is_no_list_of_documents(tmp_path, name):
    content, message = NO_FILES[name]
    path = written(tmp_path, content)
    validated, counted = invoke("validate", path), invoke("stats", path)
    assert (validated.exit_code, counted.exit_code) == (1, 2)
    assert str(path) in counted.stderr and message in counted.stderr and message in validated.stdout


def test_a_fault_among_long_texts_is_named_in_a_line(tmp_path):
    labels = [{"h": int("9" * 3000), "t": 9, "r": "P1"}]
    path = written(tmp_path, json.dumps([document(title=LONG, labels=labels)]))
    result = invoke("validate", path)
    assert result.exit_code == 1 and len(result.stdout) < 3000
    assert "labels[0].h: entity 9999" in result.stdout
    assert "labels[0].t: entity 9 does not exist" in result.stdout


ODD = {
    "a word of 10 MB": {"sents": [["Velm", "borders", "New", "Cal", LONG]]},
    "a relation of 10 MB": {"labels": [{"h": 0, "t": 1, "r": LONG}]},
    "control characters": {
        "title": "\x1b[31mred\x07\x00",
        "sents": [["\x00", "\x1b]0;x\x07", "New", "Cal", "\x7f"]],
    },
    "right to left": {"title": "\u202eabc", "labels": [{"h": 0, "t": 1, "r": "\u202e\u2066P1"}]},
    "markup": {
        "vertexSet": [[mention(type="[/red]")], [mention("New Cal", (2, 4), type="[bold")]],
        "labels": [{"h": 0, "t": 1, "r": "[/b]"}],
    },
}


@pytest.mark.parametrize("name", ODD)
def test_odd_texts_are_texts(tmp_path, name):
    path = written(tmp_path, json.dumps([document(**ODD[name])]))
    for command in ("validate", "stats"):
        result = invoke(command, path)
        assert result.exit_code == 0, result.output
        assert not any(character in result.output for character in "\x1b\x07\x00\u202e\u2066")
    assert name != "markup" or ("[/red] 1" in result.stdout and "[bold 1" in result.stdout)
    ((row,), stored) = list(read_documents(path)), load_split(path)
    assert row["sentences"] == ODD[name].get("sents", document()["sents"]) and stored[0] == row


def test_ten_thousand_entities_are_counted_and_told_of(tmp_path):
    path = written(tmp_path, json.dumps([document(**many_entities(10_000))]))
    assert "99,990,000" in invoke("stats", path).stdout
    told = "10,000 entities make 99,990,000 pairs: a model takes at most 500"
    assert told in invoke("validate", path).stdout


@pytest.fixture(scope="module")
def tokenizer():
    return Tiny([["Velm", "borders"]], vocabulary=60, width=8, layers=1, heads=2).tokenizer


def rows_of(documents, tmp_path):
    rows = list(read_documents(written(tmp_path, json.dumps(documents))))
    made = corpus(rows, relations=("P47",))
    return made.train, made


@pytest.mark.parametrize(
    ("limit", "what"),
    [
        ("MOST_ENTITIES", "entities"),
        ("MOST_TOKENS", "tokens"),
        ("MOST_ATTENTION", "mentions times tokens"),
        ("MOST_CONTEXT", "entities squared times tokens"),
    ],
)
def test_a_document_beyond_any_memory_is_refused_by_name(
    tmp_path, tokenizer, monkeypatch, limit, what
):
    monkeypatch.setattr(features, limit, 8)
    rows, made = rows_of([document(title=limit, **many_entities(9))], tmp_path)
    message = rf"tests: document '{limit}': [0-9,]+ {what}, but at most 8 are possible: split"
    with pytest.raises(DataError, match=message):
        featurise(rows, made, tokenizer, training=False)


def test_words_of_nothing_still_have_a_place(tmp_path, tokenizer):
    rows, made = rows_of([document(sents=[["\x00", "", "\u200e", "\ufeff", "."]])], tmp_path)
    row = featurise(rows, made, tokenizer, training=True, mention="first_piece")[0]
    assert len(row["mention_position"]) == 2 and max(row["mention_position"]) < row[
        "length"
    ] == len(row["tokens"])


VALUES = (None, True, -1, 1.5, 10**30, float("nan"), float("-inf"), "", "x", "\ud800")
VALUES += ([], [[]], [None], {}, {"a": 1})


def test_every_value_at_every_place_is_a_fault_or_loads(tmp_path):
    """What validates without an error is what loads, and its rows fit the schema."""
    loaded, cases = [], 0
    for path in places(document()):
        for value in VALUES:
            file = written(tmp_path, json.dumps([replaced(document(), path, value)]))
            errors = [fault for fault in faults(file) if fault.severity == "error"]
            cases += 1
            try:
                (row,) = read_documents(file, labelled=False)
            except DataError as error:
                assert errors and str(error) == str(errors[0])
            else:
                assert not errors, (path, value)
                loaded.append(row)
    Dataset.from_list(loaded, features=FEATURES)
    assert cases > 400 and 20 < len(loaded) < 150  # most are faults


@pytest.mark.parametrize("content", ["[" * 100_000, '{"a": 1, "a": 2}', ""])
def test_small_files_are_read_as_carefully(tmp_path, content):
    with pytest.raises(DataError, match="hostile.json: not valid JSON"):
        read_json(written(tmp_path, content))


def test_a_packed_file(tmp_path):
    (tmp_path / "train.json.gz").write_bytes(gzip.compress(SOUND.encode()))
    with pytest.raises(DataError, match="cannot be read as UTF-8 text: .*; unpack it first"):
        list(read_documents(tmp_path / "train.json.gz"))


def test_a_marked_text_must_be_one(tmp_path):
    with pytest.raises(DataError, match="cannot be read as UTF-8 text"):
        read_marked(written(tmp_path, b"\xff\xfe\x00"))
    with pytest.raises(DataError, match="no such file"):
        read_marked(tmp_path / "nowhere.txt")


@pytest.mark.parametrize("path", ["~nobody-here/x.json", "a\0b", "x" * 5000, "", "absent.json"])
def test_paths_that_are_none(path):
    with pytest.raises(DataError):
        load_split(path)


@pytest.mark.parametrize("part", [0, 0.95])
@pytest.mark.parametrize("pattern", ["generator-train*", "dataset_info.json", "cache-*"])
def test_a_torn_cache_is_made_anew(tmp_path, tokenizer, pattern, part):
    path = written(tmp_path, SOUND)
    made = corpus(list(read_documents(path)), relations=("P47",))

    def rows():
        documents = load_split(path)
        return documents.to_list(), featurise(documents, made, tokenizer, training=True).to_list()

    before = rows()
    (file,) = (tmp_path / "cache").rglob(pattern)
    file.write_bytes(file.read_bytes()[: int(part * file.stat().st_size)])
    assert rows() == before
