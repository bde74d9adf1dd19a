"""compare: runs, sets of runs and prediction files; what is paired, what is said, what is
refused.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import invoke
from stored_runs import counted, counts, run, scored, write

from benchmark.statistics.tests import paired_t
from benchmark.store.runs import RunDirectory

DATA = Path(__file__).parents[1] / "parity" / "data"
MADE_UP = json.loads((DATA / "metrics_made_up.json").read_text())
GOLD = ("--gold", "gold.json")
TRAIN = (*GOLD, "--train", "train.json")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def files(here):
    contents = {"a": MADE_UP["predictions"], "b": MADE_UP["predictions"][::2]}
    for name, content in (contents | MADE_UP).items():
        (here / f"{name}.json").write_text(json.dumps(content))
    return here


def compare(*arguments):
    return invoke("compare", *arguments)


def as_json(*arguments):
    result = compare(*arguments, "--json", "--resamples", "999")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_sets_of_runs_are_paired_by_seed(here):
    scored(here, "none", (0.50, 0.51, 0.52, 0.53, 0.54), spread=20)
    scored(here, "vae", (0.58, 0.60, 0.61, 0.64, 0.63), spread=30)
    counted(here, "vae", 9, 0.1)  # has no partner
    found = as_json("demo/atlop/vae", "demo/atlop/none", "--test", "t")
    assert found["seeds"] == [0, 1, 2, 3, 4] and found["documents"] == 10
    f1 = found["lines"][0]
    assert f1["a"] == pytest.approx([58, 60, 61, 64, 63])
    differences = np.subtract(f1["a"], f1["b"])
    assert f1["across_seeds"]["p"] == pytest.approx(paired_t(differences).p)
    assert f1["interval"]["low"] < differences.mean() < f1["interval"]["high"]
    assert [result["p"] <= 0.01 for result in f1["across_documents"]] == [True] * 5
    assert any("seed 9: left out" in warning for warning in found["warnings"]), found["warnings"]
    shown = " ".join(compare("demo/atlop/vae", "demo/atlop/none").stdout.split())
    assert "p speaks of new seeds on these documents, the interval of new seeds and new" in shown
    assert "significant at 0.05" in found["sentence"] and "F1 of vae is" in found["sentence"]


@pytest.mark.parametrize(("test", "name"), [("wilcoxon", "Wilcoxon"), ("sign", "sign")])
def test_the_test_across_seeds_can_be_chosen_and_says_when_seeds_are_too_few(here, test, name):
    scored(here, "none", (0.50, 0.51, 0.52), spread=20)
    scored(here, "vae", (0.58, 0.60, 0.61), spread=30)
    found = as_json("demo/atlop/vae", "demo/atlop/none", "--test", test)
    assert found["lines"][0]["across_seeds"]["p"] == 0.25 and f"{name}" in found["sentence"]
    assert any(f"smallest possible p of the {name} test is 0.25" in w for w in found["warnings"])


def test_a_single_run_is_no_claim_about_a_method(here):
    a, b = counted(here, "vae", 0, 0.5, spread=30), counted(here, "none", 0, 0.5, spread=-30)
    found = as_json(a.path, b.path)
    assert found == as_json(a.path, b.path)  # the same numbers each time
    assert found["lines"][0]["across_seeds"] is None
    assert {line["interval"]["name"] for line in found["lines"]} == {"bootstrap over documents"}
    assert "no difference of these two models is shown" in found["sentence"]
    assert any("One seed on each side" in warning for warning in found["warnings"])
    result = compare(a.path, b.path)
    assert "p, seeds" not in result.stdout and "same counts" not in result.stderr
    assert "p, docs" in result.stdout and "LTail F1" in result.stdout


def test_a_one_sided_p_is_said_to_be_one(here):
    """A lies far below B, which a test for A above B cannot show."""
    scored(here, "none", (0.58, 0.60, 0.61), spread=20)
    scored(here, "vae", (0.50, 0.51, 0.52), spread=30)
    sides = ("demo/atlop/vae", "demo/atlop/none")
    below = as_json(*sides, "--alternative", "greater")["sentence"]
    assert "below none" in below and ": no such difference is shown (p = " in below
    assert "across seeds, one-sided, for A above B)" in below
    shown = " ".join(compare(*sides, "--alternative", "less").stdout.split())
    assert "across seeds, one-sided, for A below B)" in shown
    assert "- p: one-sided, for A below B." in shown
    assert "sided" not in compare(*sides).stdout
    one = as_json(*(f"{side}/seed-0" for side in sides), "--alternative", "greater")["sentence"]
    assert "no such difference of these two models is shown (p = 1 across documents, one-" in one


def test_scores_with_another_test_than_f1_are_told(here):
    """`auto` takes the t-test for F1 and the permutation test for LTail F1, whose smallest p with
    five seeds is 2 / 2^5.
    """
    for name, points in (("none", [0] * 5), ("vae", (2, 2.1, 1.9, 2.05, 1.95))):
        for seed, point in enumerate(points):
            tail = 0.5 + (name == "vae") * (0.01, 0.01, 0.01, 0.01, 0.1)[seed]
            counted(here, name, seed, 0.5 + point / 100, tail, spread=20)
    found = as_json("demo/atlop/vae", "demo/atlop/none")
    taken = {line["measure"]: line["across_seeds"]["name"] for line in found["lines"]}
    assert "t-test" in taken["f1"] and "permutation" in taken["ltail_f1"]
    told = "LTail F1: With 5 seeds the smallest possible p of the permutation test is 0.0625"
    assert [warning.startswith(told) for warning in found["warnings"]].count(True) == 1
    assert any(w.startswith("F1: With 5 seeds whose differences") for w in found["warnings"])
    shown = " ".join(compare("demo/atlop/vae", "demo/atlop/none").stdout.split())
    assert "p, seeds: paired t-test." in shown
    assert "p, seeds, of LTail F1: exact sign-flip permutation test. Shapiro-Wilk rej" in shown


def test_where_interval_and_eps_min_say_more_than_p_the_reader_is_told_which_to_believe(here):
    scored(here, "none", (0.50, 0.51), spread=20)
    scored(here, "vae", (0.58, 0.60), spread=30)
    found = as_json("demo/atlop/vae", "demo/atlop/none")
    assert "no difference is shown (p = 0.5" in found["sentence"]
    assert "although the interval excludes 0; a report marks" in found["sentence"]
    (told,) = [warning for warning in found["warnings"] if "eps_min" in warning]
    assert told.startswith("F1, Ign F1, Freq F1, LTail F1: ") and "Believe p" in told
    found = as_json("demo/atlop/vae", "demo/atlop/none", "--alternative", "less")
    assert not any("Believe p" in warning for warning in found["warnings"])


@pytest.mark.parametrize("f1", [0.123, 1.0])
def test_no_number_is_cut_at_80_columns(here, f1):
    scored(here, "none", (0.1, 0.2), spread=20)
    scored(here, "vae", (f1, f1 - 0.02), spread=30 if f1 < 1 else 0)
    shown = invoke("compare", "demo/atlop/vae", "demo/atlop/none", columns=80).stdout
    assert "…" not in shown and f"{100 * f1 - 1:.2f}±1.41" in shown and "15.00±7.07" in shown
    assert "a report on the same runs draws other" in " ".join(shown.split())


def test_identical_systems_do_not_differ(here):
    for augmenter in ("none", "copies"):
        scored(here, augmenter, (0.5, 0.51, 0.52), spread=30)
    found = as_json("demo/atlop/copies", "demo/atlop/none")
    assert found["lines"][0]["across_seeds"]["p"] == 1.0 and "level with none" in found["sentence"]
    told = compare("demo/atlop/copies", "demo/atlop/none").stderr
    assert "A and B have the same counts in every document" in told


def test_without_frequent_relations_their_scores_are_said_to_be_undefined(here):
    sides = ("demo/atlop/vae", "demo/atlop/none")
    for side in sides:
        directory = RunDirectory(counted(here, Path(side).name, 0, 0.5).path)
        content = directory.read_json("counts_test.json")
        content["groups"] = {k: content["groups"][k] for k in ("all", "intra", "inter")}
        directory.write_json("counts_test.json", content)
        directory.finish()
    lines = {line["measure"]: line for line in as_json(*sides)["lines"]}
    assert {name for name, line in lines.items() if line["undefined"]} == {"freq_f1", "ltail_f1"}
    assert "no frequent relations are defined" in compare(*sides).stdout


def test_prediction_files_have_the_official_scores(files):
    lines = as_json("a.json", "b.json", *TRAIN, "--frequent", "re-docred")["lines"]
    for line in lines:
        assert line["a"] == [pytest.approx(100 * MADE_UP["expected"][line["measure"]])]
    assert lines[0]["interval"]["estimate"] == pytest.approx(lines[0]["a"][0] - lines[0]["b"][0])
    facts = [["x", "y", "P17"]]
    (files / "facts.json").write_text(json.dumps(facts))
    (files / "frequent.json").write_text('["P17"]')
    options = (*GOLD, "--train-facts", "facts.json", "--frequent", "frequent.json")
    by_facts = as_json("a.json", "b.json", *options)["lines"]
    assert [line["measure"] for line in by_facts] == [line["measure"] for line in lines]
    assert by_facts[0]["a"] == lines[0]["a"] and by_facts[2]["a"] != lines[2]["a"]
    without_train = as_json("a.json", "b.json", *GOLD)["lines"]
    assert [line["measure"] for line in without_train] == ["f1", "freq_f1", "ltail_f1"]


def test_a_run_against_a_prediction_file(files):
    write(run(files, "none", 0, 0.5), files={"predictions_test.json": MADE_UP["predictions"]})
    found = as_json("demo/atlop/none", "b.json", *TRAIN)
    assert found["lines"][0]["a"] == [pytest.approx(100 * MADE_UP["expected"]["f1"])]


def test_two_single_runs_are_compared_whatever_their_seeds(here):
    counted(here, "none", 3, 0.5)
    counted(here, "vae", 8, 0.6, spread=10)
    result = compare("demo/atlop/vae", "demo/atlop/none", "--json")
    assert "A has seed 8, B has seed 3: only their documents are paired" in result.stderr
    found = json.loads(result.stdout)
    assert found["seeds"] == [0] and found["lines"][0]["across_seeds"] is None
    assert found["lines"][0]["interval"]["low"] is not None
    counted(here, "gaussian", 8, 0.6)
    assert as_json("demo/atlop/vae", "demo/atlop/gaussian")["seeds"] == [8]


NONE = "demo/atlop/none"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a.json", "b.json"), "a prediction file needs --gold"),
        ((NONE, NONE, "--undirected"), "go with --gold"),
        (("demo", NONE), "runs of 2 cells (demo/atlop/none, demo/atlop/vae); give the folder of"),
        (("apart", NONE), "A and B share no seed"),
        (("twice", NONE), "twice: holds seed 0 in several folders; give one of them"),
        ((NONE, "b.json", *GOLD), "can be compared with one run; "),
        ((NONE, "nowhere"), "no such folder"),
        (("empty", NONE), "holds no finished run"),
        (("demo/atlop/vae", "other"), "documents are in only one of A and B, such as"),
    ],
)
def test_mistakes_are_named(files, arguments, message):
    stored = {"predictions_test.json": [], "counts_test.json": counts(0.5).to_json()}
    for seed in (0, 1):
        write(run(files, "none", seed, 0.5), files=stored)
    counted(files, "vae", 0, 0.5)
    counted(files / "other", "none", 0, 0.5, documents=3)
    for seed in (5, 6):
        counted(files / "apart", "none", seed, 0.5)
    for place in ("here", "there"):
        counted(files / "twice" / place, "none", 0, 0.5)
    (files / "empty").mkdir()
    result = compare(*arguments)
    assert result.exit_code == 2 and message in result.stderr.replace("\n", " "), result.output
    assert "Traceback" not in result.output
