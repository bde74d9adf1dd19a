"""The life of a run, what is refused, and what sets two runs apart."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.errors import UserError
from benchmark.store import claims, files
from benchmark.store.runs import RunDirectory, find_runs

CONFIG = {
    "dataset": {"name": "synthetic", "options": {"documents": 40}},
    "encoder": {"name": "/old/place/mini"},
    "backbone": {"name": "atlop", "options": {}},
    "augmenter": {"name": "none", "options": {}},
    "train": {"epochs": 3},
    "seed": 0,
}


@pytest.fixture
def run(tmp_path):
    return RunDirectory.of(tmp_path, "demo", "atlop", "none", 0)


def finished(run, config=CONFIG, **facts):
    run.start(config, facts=facts)
    run.write_history([{"epoch": 1, "loss": 0.5}])
    run.write_json("metrics.json", {"test": {"f1": 0.5}})
    run.finish()
    return run


def contents(run):
    return {path.name: path.read_bytes() for path in run.path.iterdir()}


def test_a_run_from_start_to_done(run):
    assert (run.experiment.name, run.cell, run.seed) == ("demo", ("atlop", "none"), 0)
    assert run.state() == "missing" and not run.path.exists()
    run.start(CONFIG, facts={"threads": 2})
    assert run.state() == "running"
    assert run.read_json("config.json") == CONFIG | {"facts": {"threads": 2}}
    run.write_history([{"epoch": 1}, {"epoch": 2}])
    run.write_json("metrics.json", {"test": {"f1": 0.25}})
    run.finish()
    assert run.state() == "done" and run.is_sound()
    stored = run.read()
    assert (stored.config, stored.facts) == (CONFIG, {"threads": 2})
    assert stored.metrics == {"test": {"f1": 0.25}}
    named = stored.experiment, stored.dataset, stored.backbone, stored.augmenter, stored.seed
    assert named == ("demo", "synthetic", "atlop", "none", 0)
    assert run.read_history() == [{"epoch": 1}, {"epoch": 2}]
    assert sorted(contents(run)) == ["DONE", "config.json", "history.jsonl", "metrics.json"]


def test_a_failed_run_is_recorded_and_starts_over(run):
    run.start(CONFIG)
    run.write_history([{"epoch": 1}])
    run.fail(RuntimeError("out of memory\nsecond line"))
    assert run.state() == "failed"
    assert run.failure()["error"] == "RuntimeError: out of memory"
    assert "second line" in run.failure()["traceback"]
    assert run.start(CONFIG | {"seed": 7}) == "failed" and run.state() == "running"
    assert run.read_history() == [] and run.read_json("config.json")["seed"] == 7


def test_what_weights_gave_to_other_runs_goes_with_them(run):
    finished(run)
    given = [run.path / f"{name}_train.safetensors" for name in ("positive_pairs", "logits")]
    for file in given:
        file.touch()
    (run.path / "DONE").unlink()  # by hand, to train it anew
    run.start(CONFIG)
    assert not any(file.exists() for file in given)


def test_no_metrics_no_done(run):
    run.start(CONFIG)
    with pytest.raises(UserError, match="metrics.json"):
        run.finish()
    assert run.state() == "running"
    with pytest.raises(UserError, match="not a finished run .it is running"):
        run.read()


def test_a_run_that_is_declared_done_between_two_looks_is_done(run, monkeypatch):
    run.start(CONFIG)
    read = claims.Owner.read

    def meanwhile(path):
        run.write_json("DONE", {})
        path.unlink(missing_ok=True)
        return read(path)

    monkeypatch.setattr("benchmark.store.runs.Owner.read", meanwhile)
    assert run.state() == "done"


def test_a_done_run_is_never_overwritten(run):
    before = contents(finished(run))
    with pytest.raises(UserError, match="is done"):
        run.start(CONFIG | {"seed": 1})
    assert contents(run) == before


@pytest.mark.parametrize("folder", ["demo", "demo/atlop/none/seed-0"])
def test_a_file_in_the_way(run, tmp_path, folder):
    (tmp_path / folder).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / folder).write_text("mine")
    with pytest.raises(UserError, match="this folder cannot be made"):
        run.start(CONFIG)
    assert (tmp_path / folder).read_text() == "mine"


def test_a_full_disk_leaves_no_claim(run, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(files.os, "replace", full_disk)
        with pytest.raises(UserError, match="config.json: cannot be written"):
            run.start(CONFIG)
    assert not (run.path / "RUNNING").exists()
    run.start(CONFIG)
    monkeypatch.setattr(files.os, "replace", full_disk)
    run.fail(RuntimeError("disk"))
    assert run.state() == "killed"


def full_disk(*_):
    raise OSError(28, "No space left on device")


def files_named(path, teachers):
    return {"name": "none", "options": {"path": path, "teachers": teachers}}


@pytest.mark.parametrize(
    ("change", "facts", "lines"),
    [
        ({}, {"torch": "2.14", "corpus_digest": "aa"}, []),
        ({}, {"corpus_digest": "bb"}, ['corpus_digest: "aa" stored, "bb" asked for']),
        ({}, {"encoder_digest": None}, []),
        (
            {"train": {"epochs": 30, "clip": 1.0}},
            {},
            ["train.clip: nothing stored, 1.0 asked for", "train.epochs: 3 stored, 30 asked for"],
        ),
        ({"augment": None}, {}, ["augment: nothing stored, null asked for"]),
        # an encoder that was moved is the same one while its digest is
        ({"encoder": {"name": "encoders/mini"}}, {"encoder_digest": "ee"}, []),
        (
            {"encoder": {"name": "encoders/mini"}},
            {"encoder_digest": "ff"},
            ['encoder_digest: "ee" stored, "ff" asked for'],
        ),
        (
            {"encoder": {"name": "encoders/maxi"}},
            {},
            ['encoder.name: "/old/place/mini" stored, "encoders/maxi" asked for'],
        ),
        ({"encoder": {"name": "/old/place/mini/"}}, {}, []),  # as a shell completes it
        ({"augmenter": files_named("a/docs.json", ["b/seed-0", "~/c/seed-1/"])}, {}, []),
        (
            {"augmenter": files_named("old/docs.json", ["old/seed-1", "old/seed-0"])},
            {},
            [
                'augmenter.options.teachers: ["old/seed-0", "old/seed-1"] stored, '
                '["old/seed-1", "old/seed-0"] asked for'
            ],
        ),
    ],
)
def test_what_sets_runs_apart(run, change, facts, lines):
    stored = CONFIG
    if "augmenter" in change:
        stored = CONFIG | {"augmenter": files_named("old/docs.json", ["old/seed-0", "old/seed-1"])}
    finished(run, stored, torch="2.13", corpus_digest="aa", encoder_digest="ee")
    assert run.differences(CONFIG | change, facts) == lines


def test_find_runs_gives_the_done_ones(tmp_path):
    for seed in (1, 0):
        finished(RunDirectory.of(tmp_path, "demo", "atlop", "none", seed), CONFIG | {"seed": seed})
    RunDirectory.of(tmp_path, "demo", "atlop", "vae", 0).start(CONFIG)
    found = find_runs(tmp_path)
    assert [run.read().seed for run in found] == [0, 1]
    assert find_runs(found[0].path) == found[:1] and found[0].other_seeds() == found[1:]
    assert {run.cell for run in found[0].all_augmenters()} == {("atlop", "none"), ("atlop", "vae")}
    with pytest.raises(UserError, match="no such folder"):
        find_runs(tmp_path / "nothing")


def test_the_store_imports_nothing_heavy():
    code = """
import sys, benchmark.store.runs, benchmark.reports.tables, benchmark.reports.render.text, json
heavy = {'torch', 'numpy', 'pandas', 'scipy', 'datasets', 'pydantic', 'rich'}
print(json.dumps(sorted(heavy & set(sys.modules))))
"""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, check=True)
    assert json.loads(done.stdout) == []


def test_a_copy_can_be_copied(run, tmp_path):
    """A run that was published without its large files is published again."""
    run.start(CONFIG)
    run.write_json("metrics.json", {"test": {"f1": 0.5}})
    run.write_json("candidates_test.json", [])
    run.finish()
    cell = Path("demo", "atlop", "none", "seed-0")
    run.copy_results(tmp_path / "one" / cell, "candidates_*.json")
    once, twice = (RunDirectory(tmp_path / number / cell) for number in ("one", "two"))
    once.copy_results(twice.path, "candidates_*.json")
    assert contents(once) == contents(twice) and twice.is_sound()
    assert twice.read_json("DONE")["left_out"] == ["candidates_test.json"]
