"""Entities that a library finds in plain text."""

import sys
from types import SimpleNamespace

import pytest

from benchmark.data.ner import marker, parts, pieces
from benchmark.errors import UserError
from benchmark.interop.predict import own_documents

TEXT = "Marie Curie was born in Warsaw. In warsaw | [Poland] curie won.\n---\nNothing here.\n"


LONGEST = 12  # words that this GLiNER reads


def spans(text):
    found = []
    for name, kind in (("Marie Curie", "PERSON"), ("Curie", "PERSON"), ("Warsaw", "GPE")):
        start = text.find(name)
        if start >= 0:
            found.append((start, start + len(name), kind))
    if "warsaw" in text:
        found.append((text.find("warsaw"), text.find("warsaw") + 6, "GPE"))
    return found


@pytest.fixture
def libraries(monkeypatch):
    """Modules that stand in for spaCy and GLiNER."""
    entity = lambda start, end, kind: SimpleNamespace(start_char=start, end_char=end, label_=kind)

    def load(model):
        if model != "known":
            raise OSError("[E050] Can't find model")
        return lambda text: SimpleNamespace(ents=[entity(*span) for span in spans(text)])

    names = {"PERSON": "person", "GPE": "location"}
    found = SimpleNamespace(
        predict_entities=lambda text, labels: [
            {"start": start, "end": end, "label": names[kind]}
            for start, end, kind in spans(" ".join(text.split(" ")[:LONGEST]))
        ],
        config=SimpleNamespace(max_len=LONGEST),
    )
    gliner = SimpleNamespace(GLiNER=SimpleNamespace(from_pretrained=lambda model: found))
    spacy = SimpleNamespace(load=load, Language=type("Language", (), {}))  # `datasets` looks for it
    monkeypatch.setitem(sys.modules, "spacy", spacy)
    monkeypatch.setitem(sys.modules, "gliner", gliner)


@pytest.mark.parametrize("ner", ["spacy:known", "gliner:known"])
def test_a_plain_text_becomes_documents(libraries, tmp_path, ner):
    file = tmp_path / "plain.txt"
    file.write_text(TEXT)
    first, second = own_documents(file, ner)
    names = [[m["name"] for m in entity["mentions"]] for entity in first["entities"]]
    assert names == [["Marie Curie"], ["Warsaw", "warsaw"]]
    assert [entity["type"] for entity in first["entities"]] == ["PER", "LOC"]
    words = " ".join(word for sentence in first["sentences"] for word in sentence)
    assert words == "Marie Curie was born in Warsaw . In warsaw | [ Poland ] curie won ."
    assert second["entities"] == [] and second["title"] == "plain 2"


def test_gliner_reads_the_whole_of_a_long_text(libraries):
    """It reads the first `max_len` words of what it is given, with no more than a warning."""
    text = "One word . " * 10 + "Marie Curie left."
    found = [piece for piece in marker("gliner:known")(text) if not isinstance(piece, str)]
    assert found == [("Marie Curie", 1, "PER")]


def test_a_text_is_cut_after_a_sentence_where_one_ends():
    text = " A b. C d e f g h? I"
    assert [*parts(text, 4)] == [(1, "A b."), (6, "C d e f"), (14, "g h? I")]
    assert [*parts("", 4)] == [] and [*parts(text, 99)] == [(1, text[1:])]


def test_what_a_library_says_of_a_text_is_told(libraries, monkeypatch):
    def refuse(text):
        raise ValueError("[E088] Text of length 1000001\nexceeds maximum")

    monkeypatch.setattr(sys.modules["spacy"], "load", lambda model: refuse)
    with pytest.raises(UserError, match="--ner spacy:known: .E088. Text of length 1000001 exceeds"):
        marker("spacy:known")("a long text")


def test_of_two_that_overlap_the_longer_is_taken():
    found = [(0, 8, "A"), (0, 13, "B"), (4, 13, "C")]
    assert [*pieces("New York City", found)] == ["", ("New York City", 1, "B"), ""]


@pytest.mark.parametrize(
    ("ner", "told"),
    [
        ("flair:ner", "expected spacy:MODEL or gliner:MODEL"),
        ("spacy", "expected spacy:MODEL"),
        ("spacy:unknown", "the model cannot be loaded: .*E050"),
    ],
)
def test_a_wrong_name_is_told(libraries, ner, told):
    with pytest.raises(UserError, match=told):
        marker(ner)


def test_a_library_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "spacy", None)
    with pytest.raises(UserError, match="spacy is not installed: `pip install spacy`"):
        marker("spacy:en_core_web_sm")


def test_json_has_its_entities(tmp_path):
    with pytest.raises(UserError, match="mine.json: --ner is for plain text"):
        own_documents(tmp_path / "mine.json", "spacy:known")


def test_with_spacy_itself(tmp_path):
    spacy = pytest.importorskip("spacy", reason="spaCy is not installed (extra `ner`)")
    model = spacy.blank("en")
    model.add_pipe("entity_ruler").add_patterns([{"label": "GPE", "pattern": "Warsaw"}])
    model.to_disk(tmp_path / "model")
    found = marker(f"spacy:{tmp_path / 'model'}")("To Warsaw!")
    assert [*found] == ["To ", ("Warsaw", 1, "LOC"), "!"]
