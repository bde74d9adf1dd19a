"""compare: runs, sets of runs and prediction files; what is paired, what is said, what is
refused.
"""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmark.commands.app import app
from benchmark.scoring.counts import Counts
from benchmark.statistics.tests import paired_t
from benchmark.store.runs import RunDirectory

MADE_UP = json.loads(
    (Path(__file__).parents[1] / "parity" / "data" / "metrics_made_up.json").read_text()
)


def counts(right, documents=200, *, seed=0, frequent=True):
    """Ten gold facts a document, eight predicted, of which `right` of eight are right on
    average.
    """
    rng = np.random.default_rng(seed)
    tp = rng.binomial(8, right, documents)
    table = np.stack(
        [tp, np.full(documents, 8), np.full(documents, 10), np.zeros(documents, int)], axis=1
    )
    groups = dict.fromkeys(("all", "intra"), table) | {"inter": 0 * table}
    groups |= {"frequent": table, "tail": table} if frequent else {}
    titles = tuple(f"d{i}" for i in range(documents))
    return Counts(titles, groups, {}, ("r",), np.zeros((1, 3), int), np.zeros(1, int))


def store(results, augmenter, seed, of, predictions=()):
    """A finished run with these counts."""
    directory = RunDirectory.of(results, "toy", "atlop", augmenter, seed)
    directory.start(
        {
            "backbone": {"name": "atlop"},
            "augmenter": {"name": augmenter},
            "seed": seed,
            "dataset": {"name": "toy"},
        }
    )
    directory.write_json("metrics.json", {})
    for split in ("dev", "test"):
        directory.write_json(f"counts_{split}.json", of.to_json())
        directory.write_json(f"predictions_{split}.json", list(predictions))
    directory.finish()
    return directory.path


def invoke(*arguments):
    return CliRunner().invoke(app, ["compare", *map(str, arguments)], env={"COLUMNS": "160"})


def as_json(*arguments):
    result = invoke(*arguments, "--json", "--resamples", "999")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_sets_of_runs_are_paired_by_seed(tmp_path):
    for seed in range(5):
        store(tmp_path, "none", seed, counts(0.5, seed=seed))
        store(tmp_path, "vae", seed, counts(0.8, seed=seed))
    store(tmp_path, "vae", 9, counts(0.1))  # has no partner
    found = as_json(tmp_path / "toy/atlop/vae", tmp_path / "toy/atlop/none", "--test", "t")
    assert found["seeds"] == [0, 1, 2, 3, 4] and found["documents"] == 200
    f1 = found["lines"][0]
    # by hand: 2 tp / (pred + gold), in percent
    by_hand = [200 * counts(0.8, seed=s).groups["all"].sum(0)[0] / (200 * 18) for s in range(5)]
    assert f1["a"] == pytest.approx(by_hand)
    differences = np.subtract(f1["a"], f1["b"])
    assert f1["across_seeds"]["p"] == pytest.approx(paired_t(differences).p)
    assert f1["interval"]["low"] < differences.mean() < f1["interval"]["high"]
    assert len(f1["across_documents"]) == 5 and all(
        result["p"] <= 0.01 for result in f1["across_documents"]
    )
    assert any("seed 9: left out" in warning for warning in found["warnings"]), found["warnings"]
    assert "significant at 0.05" in found["sentence"] and "F1 of vae is" in found["sentence"]


def test_a_single_run_is_no_claim_about_a_method(tmp_path):
    a, b = (
        store(tmp_path, "vae", 0, counts(0.5, seed=1)),
        store(tmp_path, "none", 0, counts(0.5, seed=2)),
    )
    found = as_json(a, b)
    assert found == as_json(a, b)  # the same numbers each time
    assert found["lines"][0]["across_seeds"] is None
    assert {line["interval"]["name"] for line in found["lines"]} == {"bootstrap over documents"}
    assert "no difference of these two models is shown" in found["sentence"]
    assert any("One seed on each side" in warning for warning in found["warnings"])
    shown = invoke(a, b).stdout
    assert "p, seeds" not in shown and "p, docs" in shown and "LTail F1" in shown


def test_identical_systems_do_not_differ(tmp_path):
    for augmenter in ("none", "copies"):
        for seed in range(3):
            store(tmp_path, augmenter, seed, counts(0.5, seed=seed))
    found = as_json(tmp_path / "toy/atlop/copies", tmp_path / "toy/atlop/none")
    assert found["lines"][0]["across_seeds"]["p"] == 1.0 and "level with none" in found["sentence"]
    several = invoke(tmp_path / "toy/atlop/copies", tmp_path / "toy/atlop/none")
    one = tmp_path / "toy/atlop/none/seed-0"
    other = tmp_path / "toy/atlop/none/seed-1"
    for result in (several, invoke(one, one)):
        assert "A and B have the same counts in every document" in result.stderr
    assert "same counts" not in invoke(one, other).stderr


def test_without_frequent_relations_their_scores_are_said_to_be_undefined(tmp_path):
    a, b = (store(tmp_path, name, 0, counts(0.5, frequent=False)) for name in ("vae", "none"))
    lines = {line["measure"]: line for line in as_json(a, b)["lines"]}
    assert (
        lines["freq_f1"]["undefined"]
        and lines["ltail_f1"]["undefined"]
        and not lines["f1"]["undefined"]
    )
    assert "no frequent relations are defined" in invoke(a, b).stdout


@pytest.fixture
def files(tmp_path):
    (tmp_path / "gold.json").write_text(json.dumps(MADE_UP["gold"]))
    (tmp_path / "train.json").write_text(json.dumps(MADE_UP["train"]))
    (tmp_path / "a.json").write_text(json.dumps(MADE_UP["predictions"]))
    (tmp_path / "b.json").write_text(json.dumps(MADE_UP["predictions"][::2]))
    return tmp_path


def test_prediction_files_have_the_official_scores(files):
    options = (
        "--gold",
        files / "gold.json",
        "--train",
        files / "train.json",
        "--frequent",
        "re-docred",
    )
    found = as_json(files / "a.json", files / "b.json", *options)
    for line in found["lines"]:
        assert line["a"] == [pytest.approx(100 * MADE_UP["expected"][line["measure"]])]
    assert math.isclose(
        found["lines"][0]["interval"]["estimate"],
        found["lines"][0]["a"][0] - found["lines"][0]["b"][0],
    )


def test_without_training_facts_ign_f1_is_left_out(files):
    found = as_json(files / "a.json", files / "b.json", "--gold", files / "gold.json")
    assert [line["measure"] for line in found["lines"]] == ["f1", "freq_f1", "ltail_f1"]


def test_a_run_against_a_prediction_file(files):
    run = store(files, "none", 0, counts(0.5), MADE_UP["predictions"])
    found = as_json(
        run, files / "b.json", "--gold", files / "gold.json", "--train", files / "train.json"
    )
    assert found["lines"][0]["a"] == [pytest.approx(100 * MADE_UP["expected"]["f1"])]


def test_two_single_runs_are_compared_whatever_their_seeds(files):
    store(files, "none", 3, counts(0.5))
    one = store(files, "vae", 8, counts(0.6))
    result = invoke(one, files / "toy" / "atlop" / "none", "--json")
    assert (
        result.exit_code == 0
        and "A is of seed 8, B of seed 3: only their documents are paired" in result.stderr
    )
    found = json.loads(result.stdout)
    assert found["seeds"] == [0] and found["lines"][0]["across_seeds"] is None
    assert found["lines"][0]["interval"]["low"] is not None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a.json", "b.json"), "a prediction file needs --gold"),
        (("toy/atlop/none", "toy/atlop/none", "--undirected"), "go with --gold"),
        (
            ("toy", "toy/atlop/none"),
            "holds runs of 2 cells (toy/atlop/none, toy/atlop/vae); give the folder of one",
        ),
        (("apart", "toy/atlop/none"), "A and B share no seed"),
        (("toy/atlop/none", "b.json", "--gold", "gold.json"), "can be compared with one run; "),
        (("toy/atlop/none", "nowhere"), "no such folder"),
        (("empty", "toy/atlop/none"), "holds no finished run"),
        (("toy/atlop/vae", "other"), "documents are in only one of A and B, such as"),
        (
            (
                "toy/atlop/none",
                "b.json",
                "--gold",
                "gold.json",
                "--train",
                "gold.json",
                "--train-facts",
                "a.json",
            ),
            "give one of them",
        ),
    ],
)
def test_mistakes_are_named(files, arguments, message):
    for seed in (0, 1):
        store(files, "none", seed, counts(0.5))
    store(files, "vae", 0, counts(0.5))
    (files / "empty").mkdir()
    other = counts(0.5, documents=3)
    store(files / "other", "none", 0, other)
    for seed in (5, 6):
        store(files / "apart", "none", seed, counts(0.5))
    paths = [argument if argument.startswith("--") else files / argument for argument in arguments]
    result = invoke(*paths)
    assert result.exit_code == 2 and message in result.stderr.replace("\n", " "), result.output
    assert "Traceback" not in result.output
