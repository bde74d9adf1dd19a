"""From an empty cache over HTTP: a first run, a kill and a resume, two workers, a hub that is down.

`HF_ENDPOINT` points the libraries to a hub on loopback; each command has a process of its own.
"""

import itertools
import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch
from data.test_dwie import row, table
from hub.server import COMMIT, Hub, forks_for
from safetensors.torch import load_file, save_file
from samples import document
from tiny_runs import numbers

from backbones.encoders.tiny import Tiny
from benchmark.data.docred import as_docred
from benchmark.hub import missing_files
from benchmark.store.runs import RunDirectory

NAMES = ["Ada", "Rome", "Velm", "Ost", "Cal"]
EXPERIMENT = """
name: hub
dataset: {name: re-docred, hub: org/documents}
encoder: org/encoder
backbones: [atlop: {emb: 16, block: 4}]
augmenters: [none, gaussian]
seeds: [0]
train: {epochs: 3, threads: 1}
augment: {warmup_epochs: 1}
"""
NONE = ("--augmenters", "none")


def documents(split, count):
    """Three names in a sentence; which relation holds is told by the verb."""
    for number in range(count):
        one, two, three = (NAMES[(number + k) % len(NAMES)] for k in range(3))
        verb, relation = [("rules", "P17"), ("borders", "P131")][number % 2]
        text, facts = f"{one} {verb} {two} and {three} .", [(0, 1, relation), (0, 2, relation)]
        entities = [[(0, 2 * k, 2 * k + 1)] for k in range(3)]
        yield as_docred(document(f"{split} {number}", [text], entities, facts))


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    encoder, dataset = folder / "models/org/encoder", folder / "datasets/org/documents"
    dataset.mkdir(parents=True)
    for split, count in (("train", 8), ("dev", 4), ("test", 4)):
        (dataset / f"{split}_revised.json").write_text(json.dumps([*documents(split, count)]))
    table(folder / "datasets/org/dwie", [row(f"DW_1{number}") for number in range(6)])
    torch.manual_seed(0)
    made = Tiny([NAMES, ["rules", "borders", "and", "."]], vocabulary=100, width=16, heads=2)
    made.save(encoder)
    made.model.save_pretrained(encoder)
    return Hub(folder)


@pytest.fixture(scope="module")
def forks(hub, tmp_path_factory):
    with forks_for(hub, tmp_path_factory.mktemp("home")) as forks:
        yield forks


@pytest.fixture
def home(forks):
    """The libraries' cache, empty at first."""
    home = Path(forks.environment["HF_HOME"])
    shutil.rmtree(home, ignore_errors=True)
    return home


@pytest.fixture
def start(forks, home, tmp_path):
    """Starts `run`."""
    (tmp_path / "hub.yaml").write_text(EXPERIMENT)
    outputs = (tmp_path / f"output {number}" for number in itertools.count())

    def start(*arguments, results="results"):
        words = ["run", str(tmp_path / "hub.yaml"), "--results", str(tmp_path / results)]
        return forks.start([*words, *arguments], next(outputs))

    return start


@pytest.fixture
def run(start):
    """Does `run` and returns what it wrote, on one line."""

    def run(*arguments, results="results", code=0):
        found, output = start(*arguments, results=results).wait()
        assert found == code and "Traceback" not in output, output
        return " ".join(output.split())

    return run


def run_of(tmp_path, augmenter, results="results"):
    return RunDirectory.of(tmp_path / results, "hub", "atlop", augmenter, 0)


def assert_same_numbers(tmp_path, results, *augmenters):
    """As in the folder `results`."""
    for augmenter in augmenters:
        one, other = (run_of(tmp_path, augmenter, folder) for folder in ("results", results))
        assert numbers(one) == numbers(other)


def test_first_run_from_an_empty_cache_second_start_and_a_hub_that_went_down(hub, run, tmp_path):
    hub.requests.clear()
    with hub.running():
        run()
        first = list(hub.downloads)
        assert len(set(first)) == len(first), "a file was downloaded twice"
        facts = run_of(tmp_path, "none").read().facts
        assert facts["encoder_revision"] == COMMIT and facts["encoder_digest"]
        assert "2 done before" in run() and hub.downloads == first
    assert "2 done" in run(results="again")  # nobody listens at that address any more
    assert_same_numbers(tmp_path, "again", "none", "gaussian")


def test_what_the_hub_does_not_give_is_named_with_the_way_out(hub, run, tmp_path):
    output = run(code=2)  # nobody listens
    assert all(
        text in output for text in ("org/documents", "internet connection", "Give local files")
    )
    with hub.running():
        output = run("--set", "encoder.name=org/other", code=2)
    assert "encoder 'org/other'" in output and "--set encoder.name=FOLDER" in output
    assert not (tmp_path / "results").exists()


def test_dwie_from_an_empty_cache_and_again_without_the_hub(hub, run, tmp_path):
    dataset = ["--set", "dataset={name: dwie, hub: org/dwie}", *NONE]
    with hub.running():
        assert "1 done" in run(*dataset)
    assert "1 done" in run(*dataset, results="again")
    assert_same_numbers(tmp_path, "again", "none")


@pytest.mark.parametrize(
    "there, missing",
    [
        (["tokenizer.json", "model.safetensors"], "config.json"),
        (["config.json", "tokenizer.json"], "weights"),
        (["config.json", "model.safetensors"], "tokenizer"),
        (["config.json", "model.safetensors", "spm.model"], None),
        (["config.json", "pytorch_model.bin", "vocab.txt"], None),
    ],
)
def test_what_an_encoders_folder_lacks_is_named(tmp_path, there, missing):
    for name in there:
        (tmp_path / name).touch()
    assert (missing_files(tmp_path) or "none").startswith(missing or "none")


@pytest.mark.long
def test_the_hub_has_another_model_now(hub, run, tmp_path):
    """Stored runs are neither repeated nor mixed with runs of the new model."""
    more = [*NONE, "--seeds"]
    with hub.running():
        run(*more, "0")
        newer = tmp_path / "newer"
        shutil.copytree(hub.folder(None), newer)
        (newer / "models/org/encoder/README.md").write_text("another commit, the same model")
        hub.commits["1" * 40] = newer
        assert "1 done now, 1 done before" in run(*more, "0,1")

        weights = newer / "models/org/encoder/model.safetensors"
        save_file({k: v + 1 for k, v in load_file(weights).items()}, weights, {"format": "pt"})
        hub.commits["2" * 40] = newer
        output = run(*more, "0,2", code=2)
        assert f"the hub's model changed: encoder.revision={COMMIT} is the stored one" in output
        pinned = ["--set", f"encoder.revision={COMMIT}"]
        assert "1 done now, 1 done before" in run(*more, "0,2", *pinned)
    for commit in list(hub.commits)[1:]:
        del hub.commits[commit]


@pytest.mark.long
def test_a_download_that_was_interrupted_is_not_taken_for_an_encoder(hub, run, home, tmp_path):
    with hub.running():
        run(*NONE)
    (vocabulary,) = home.rglob("snapshots/*/tokenizer.json")
    vocabulary.unlink()
    output = run(results="again", code=2)
    assert "encoder 'org/encoder'" in output and "tokenizer" in output
    assert not (tmp_path / "again").exists()
    with hub.running():
        run(*NONE, results="again")
    assert_same_numbers(tmp_path, "again", "none")


@pytest.mark.long
def test_a_run_killed_in_its_first_hour_goes_on_and_nothing_is_lost(
    hub, start, run, home, tmp_path
):
    with hub.running():
        run(results="whole")
        shutil.rmtree(home)
        process = start()
        state = run_of(tmp_path, "none").path / "checkpoint.safetensors"
        while not state.is_file():
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        run()
    assert_same_numbers(tmp_path, "whole", "none", "gaussian")


@pytest.mark.long
def test_two_workers_from_an_empty_cache(hub, run, tmp_path):
    hub.requests.clear()
    with hub.running():
        run("--jobs", "2", "--seeds", "0,1")
        assert len(set(hub.downloads)) == len(hub.downloads)
        assert "4 done before" in run("--jobs", "2", "--seeds", "0,1")
    facts = [run_of(tmp_path, name).read().facts for name in ("none", "gaussian")]
    assert facts[0]["encoder_digest"] == facts[1]["encoder_digest"] is not None
