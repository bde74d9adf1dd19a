"""figures: from folders of finished runs to files."""

import sys

import numpy as np
import pytest
from command_line import invoke
from stored_runs import relations, run, write

from benchmark.store.runs import RunDirectory

NAMES = {"P1": "first", "P2": "second"}


def figures(*arguments):
    return invoke("figures", *arguments)


def pairs(count):
    return {
        "rows": np.random.default_rng(count).normal(size=(count, 3)).tolist(),
        "labels": [[i % 2] for i in range(count)],
    }


@pytest.fixture
def results(tmp_path):
    of_relations = relations(P1=0.5, P2=0.25)
    write(run(tmp_path, "none", 0, 0.5, of_relations=of_relations), relation_names=NAMES)
    sampled = {"sample.json": {"real": pairs(8), "generated": pairs(9)}}
    write(
        run(tmp_path, "vae", 0, 0.5, of_relations=of_relations), relation_names=NAMES, files=sampled
    )
    return tmp_path / "demo"


def test_an_experiment_becomes_figures_in_its_folder(results):
    done = figures(results)
    assert done.exit_code == 0, done.output
    assert {file.name for file in (results / "figures").iterdir()} == {
        f"{name}.{ending}"
        for name in ("relation_frequency", "atlop-vae-seed-0")
        for ending in ("png", "svg")
    }
    assert "P1 first (4 / 5)" in (results / "figures" / "atlop-vae-seed-0.svg").read_text()


def test_chosen_relations_and_another_folder(results, tmp_path):
    run = results / "atlop" / "vae" / "seed-0"
    done = figures(run, "--relations", "P2", "--out", tmp_path / "a" / "b")
    assert done.exit_code == 0, done.output
    text = (tmp_path / "a" / "b" / "atlop-vae-seed-0.svg").read_text()
    assert "P2 second (4 / 4)" in text and "P1 first" not in text


def test_mistakes(results, tmp_path):
    (tmp_path / "file").touch()
    for arguments, message in (
        ([tmp_path / "nowhere"], "no such folder"),
        ([results / "atlop" / "none", "--relations", "P1"], "no run there has a sample.json"),
        ([results, "--relations", "P7"], "'P7' has no pair in the sample"),
        ([results, "--relations", ",".join("abcdefghijk")], "at most 10, since more colours"),
        ([results, "--relations", ","], "--relations ',': an empty list"),
        ([results, "--out", tmp_path / "file"], "this folder cannot be made"),
    ):
        done = figures(*arguments)
        assert (done.exit_code, done.stdout) == (2, "") and message in done.stderr, done.output


def test_runs_with_nothing_to_draw_say_what_is_missing(tmp_path):
    write(run(tmp_path, "none", 0, 0.5))
    done = figures(tmp_path / "demo")
    assert done.exit_code == 2 and "written" not in done.output, done.output
    told = "nothing to draw. No run there has the scores of each relation"
    assert told in done.stderr and "or a sample.json" in done.stderr
    assert not (tmp_path / "demo" / "figures").exists()


def test_a_sample_without_a_pair_is_a_sample(results):
    directory = RunDirectory(results / "atlop" / "vae" / "seed-0")
    empty = {"rows": [], "labels": []}
    directory.write_json("sample.json", {"real": empty, "generated": empty})
    directory.finish()
    assert "0 pairs of these relations, too few" in figures(results).stderr


def test_an_edited_sample_is_named(results):
    directory = RunDirectory(results / "atlop" / "vae" / "seed-0")
    (directory.path / "sample.json").write_text('{"real": {}}')
    done = figures(results)
    assert done.exit_code == 2 and "sample.json: changed after the run was done" in done.stderr
    directory.finish()
    assert "sample.json: not a sample of real and generated pairs" in figures(results).stderr


def test_a_missing_package_is_named(results, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = figures(results)
    assert done.exit_code == 2 and "pip install matplotlib scikit-learn" in done.stderr
