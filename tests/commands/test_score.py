"""score: the official scorer's numbers from files, on any relations; undefined is null, and
mistakes are named.
"""

import json
from pathlib import Path

import pytest
from command_line import invoke

DATA = Path(__file__).parents[1] / "parity" / "data"
MADE_UP = json.loads((DATA / "metrics_made_up.json").read_text())
KEYS = ["precision", "recall", "f1", "ign_f1", "freq_f1", "ltail_f1", "intra_f1", "inter_f1"]


@pytest.fixture
def files(tmp_path):
    """gold, train and predictions that the official scorer has scored."""
    return stored(tmp_path, **{name: MADE_UP[name] for name in ("gold", "train", "predictions")})


def stored(folder, **contents):
    for name, content in contents.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def score(folder, *options):
    gold = folder / "gold.json"
    return invoke("score", folder / "predictions.json", "--gold", gold, *options)


def scores(folder, *options):
    result = score(folder, *options, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def as_facts(documents):
    """The official `.fact` form: all pairs of mention names of every fact."""
    return [
        [head["name"], tail["name"], fact["r"]]
        for document in documents
        for fact in document["labels"]
        for head in document["vertexSet"][fact["h"]]
        for tail in document["vertexSet"][fact["t"]]
    ]


def test_the_official_numbers(files):
    found = scores(files, "--train", files / "train.json", "--frequent", "re-docred")
    assert list(found) == KEYS
    for key in KEYS:
        assert found[key] == pytest.approx(MADE_UP["expected"][key], rel=0, abs=1e-12), key


def test_training_facts_stand_for_training_documents(files):
    (files / "train.fact").write_text(json.dumps(as_facts(MADE_UP["train"])))
    found = scores(files, "--train-facts", files / "train.fact", "--frequent", "re-docred")
    assert found == scores(files, "--train", files / "train.json", "--frequent", "re-docred")
    told = "train.fact lists a fact once per pair of names, so its ten most frequent"
    facts = "--train-facts", files / "train.fact"
    assert told in score(files, *facts).stderr
    assert not score(files, *facts, "--frequent", "re-docred").stderr


def test_without_training_facts_what_needs_them_is_null(files):
    found = scores(files)
    assert [key for key in KEYS if found[key] is None] == ["ign_f1", "freq_f1", "ltail_f1"]
    assert found["f1"] == pytest.approx(MADE_UP["expected"]["f1"], abs=1e-12)
    shown = score(files).stdout
    assert "undefined" in shown and "Ign F1 needs --train or --train-facts" in shown


def test_frequent_relations_from_a_name_a_file_a_list_or_the_training_facts(files):
    from benchmark.data.redocred import FREQUENT

    train = ("--train", files / "train.json")
    named = scores(files, *train, "--frequent", "re-docred")
    assert scores(files, *train, "--frequent", ",".join(FREQUENT)) == named
    (files / "frequent.json").write_text(json.dumps(list(FREQUENT)))
    assert scores(files, *train, "--frequent", files / "frequent.json") == named
    (files / "a, b.json").write_text(json.dumps(list(FREQUENT)))  # a file, not two relations
    assert scores(files, *train, "--frequent", files / "a, b.json") == named
    without = [*train, "--frequent", "none-of-these,nor-those"]
    assert scores(files, *without)["freq_f1"] is None
    assert scores(files, *without)["ltail_f1"] == pytest.approx(named["f1"])


def document(title, entities, labels, sentences=1):
    """One mention of two words for each entity, entity e in sentence e % sentences."""
    return {
        "title": title,
        "sents": [["w"] * 2 * len(entities) for _ in range(sentences)],
        "vertexSet": [
            [{"name": name, "pos": [2 * e, 2 * e + 1], "sent_id": e % sentences, "type": "type::x"}]
            for e, name in enumerate(entities)
        ],
        "labels": [{"h": h, "t": t, "r": r, "evidence": []} for h, t, r in labels],
    }


def predicted(*facts):
    return [{"title": title, "h_idx": h, "t_idx": t, "r": r} for title, h, t, r in facts]


@pytest.fixture
def dwie(tmp_path):
    """One sentence a document, relations of another inventory. Twelve relations in training, of
    which r0 ... r9 are frequent: r0 has 13 facts, r1 12, ..., r11 two.
    """
    names = [f"e{i}" for i in range(20)]
    train = [
        document(f"train {r}", names, [(i, i + 1, f"r{r}") for i in range(13 - r)])
        for r in range(12)
    ]
    gold = [document("A", ["a", "b", "c"], [(0, 1, "r0"), (1, 2, "r11"), (0, 1, "r0")])]
    found = predicted(
        ("A", 0, 1, "r0"), ("A", 0, 1, "r0"), ("A", 2, 1, "r11"), ("A", 0, 2, "of no inventory")
    )
    return stored(tmp_path, train=train, gold=gold, predictions=found)


def test_another_inventory_counted_by_hand(dwie):
    found = scores(dwie, "--train", dwie / "train.json")
    # gold as a set: (0,1,r0), (1,2,r11). Predicted as a set: three, of which (0,1,r0) is right.
    assert found["precision"] == pytest.approx(1 / 3) and found["recall"] == pytest.approx(1 / 2)
    assert found["f1"] == pytest.approx(2 / 5)
    assert found["freq_f1"] == pytest.approx(1.0) and found["ltail_f1"] == 0.0
    assert found["intra_f1"] == found["f1"] and found["inter_f1"] is None
    assert scores(dwie, "--train", dwie / "train.json", "--undirected")["recall"] == 1.0
    shown = score(dwie, "--train", dwie / "train.json").stdout
    assert "Frequent relations: r0, r1, r2, r3, r4, r5, r6, r7, r8, r9." in shown


def test_a_fact_in_both_directions_is_one_of_an_undirected_corpus(dwie):
    gold = [document("A", ["a", "b", "c"], [(0, 1, "r0"), (1, 0, "r0"), (1, 2, "r11")])]
    stored(dwie, gold=gold)
    assert "1 documents with 3 gold facts." in score(dwie).stdout
    assert "1 documents with 2 gold facts." in score(dwie, "--undirected").stdout


def test_no_prediction_has_no_precision(dwie):
    (dwie / "predictions.json").write_text("[]")
    found = scores(dwie)
    assert (found["precision"], found["recall"], found["f1"]) == (None, 0.0, 0.0)


FACTS = ("--train-facts", "facts.json")


@pytest.mark.parametrize(
    ("file", "content", "options", "message"),
    [
        ("predictions", predicted(("B", 0, 1, "r0")), (), "0: none of the 1 documents has the"),
        ("predictions", predicted(("A", 0, 3, "r0")), (), "prediction 0: document 'A': t_idx is 3"),
        ("predictions", [{"title": "A"}], (), "prediction 0: expected an object with title, h_idx"),
        ("predictions", {"A": 1}, (), "expected a list of"),
        ("facts", [["a", "b"]], FACTS, "entry 0: expected [head mention name"),
        ("facts", {}, FACTS, "expected a list of [head mention name"),
        ("facts", [], (*FACTS, "--train", "train.json"), "use one of them"),
        ("frequent", {}, ("--frequent", "frequent.json"), "expected a list of relations"),
        ("frequent", [], ("--frequent", "re-dokred"), "neither a known list (biored, re-docred) n"),
        ("long", [], ("--frequent", "x" * 300), "neither a known list (biored, re-docred) n"),
        ("other", [], ("--train", "nowhere.json"), "nowhere.json: no such file"),
    ],
)
def test_mistakes_are_named(dwie, file, content, options, message):
    (dwie / f"{file}.json").write_text(json.dumps(content))
    result = score(
        dwie, *(dwie / option if option.endswith(".json") else option for option in options)
    )
    assert result.exit_code == 2 and message in result.stderr, result.output
    assert "Traceback" not in result.output
