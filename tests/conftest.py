"""Shared by all tests: no network, and a toy grid whose runs take no time and no torch."""

import gc
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"  # before any Hugging Face library is imported
os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"

from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest
from command_line import invoke
from stored_runs import scores

import benchmark.training
from benchmark.registry import AUGMENTERS, BACKBONES, DATASETS, Entry

LEFTOVERS = ("checkpoint.safetensors", "branch.safetensors", "best.safetensors")

EXPERIMENT = """
name: toy
dataset: toy-data
encoder: tiny
backbones: [left, right]
augmenters: [none, noisy, learned]
seeds: [0, 1]
train: {epochs: 3}
augment: {warmup_epochs: 2}
"""


CHECKS = ("require_buildable", "require_fitting_documents", "require_known_rates")


class Noisy:
    needs_fitting = False


class Learned:
    needs_fitting = True


class Lab:
    """A toy grid of 2 backbones x 3 augmenters x 2 seeds.

    ran: the calls of `stages.train_run`, in order. raises: what the run "<backbone> <augmenter>
        <seed>" raises instead of finishing.
    """

    def __init__(self, folder: Path):
        self.results, self.config = folder / "results", folder / "toy.yaml"
        self.config.write_text(EXPERIMENT)
        self.ran: list[SimpleNamespace] = []
        self.raises: dict[str, BaseException] = {}
        self.loaded, self.digest, self.broken_data = 0, "d1", None
        self.f1 = 0.5

    def __call__(self, *arguments):
        """Run the command line; `CONFIG` stands for the experiment file.

        The first argument may hold several words.
        """
        words = [*arguments[0].split(), *arguments[1:]]
        arguments = [str(self.config) if word == "CONFIG" else str(word) for word in words]
        if arguments[0] in ("run", "status", "report", "demo"):
            arguments += ["--results", str(self.results)]
        return invoke(*arguments)

    def names(self) -> list[str]:
        return [call.name for call in self.ran]

    def folder(self, name: str) -> Path:
        backbone, augmenter, seed = name.split()
        return self.results / "toy" / backbone / augmenter / f"seed-{seed}"

    def load_corpus(self, *, path="data/train.json"):
        self.loaded += 1
        if self.broken_data:
            raise self.broken_data
        return SimpleNamespace(name="toy-data", digest=self.digest, notes=("toy",))

    def execute(self, run, directory, *, facts, stage1, base, branch_epoch, progress, **_):
        name = f"{run.backbone.name} {run.augmenter.name} {run.seed}"
        self.ran.append(
            SimpleNamespace(
                name=name, run=run, facts=facts, stage1=stage1, base=base, branch_epoch=branch_epoch
            )
        )
        with progress.task(name, total=2) as bar:
            bar.advance(loss=1.5)
            if name in self.raises:
                raise self.raises[name]
        for file in LEFTOVERS:
            (directory.path / file).touch()
        score, known = scores(self.f1), {"best_epoch": 1, "seconds": 90.0, "parameters": 10}
        directory.write_json("metrics.json", {"dev": score, "test": score} | known)

    def left(self, name: str) -> set[str]:
        """What of LEFTOVERS is there of a run."""
        return {file for file in LEFTOVERS if (self.folder(name) / file).exists()}


@pytest.fixture(autouse=True)
def accelerate_from_scratch():
    """Accelerate allows one precision a process, and the tests of a worker share one, in any
    order.
    """
    yield
    if state := sys.modules.get("accelerate.state"):
        state.AcceleratorState._reset_state(reset_partial_state=True)
        freeze_libraries()


@pytest.fixture(scope="module")
def one_thread():
    """Tensors this small gain nothing from threads, and lose much when two processes share the
    cores.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@cache
def freeze_libraries():
    """Every run ends in a full garbage collection, which takes 0.4 s for the libraries' objects
    alone.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture
def lab(tmp_path, monkeypatch):
    lab = Lab(tmp_path)
    for backbone in ("left", "right"):
        monkeypatch.setitem(
            BACKBONES.entries(), backbone, Entry(backbone, "tests", "A toy.", {"width": 8})
        )
    for name, target in {"none": Noisy, "noisy": Noisy, "learned": Learned, "spare": Noisy}.items():
        monkeypatch.setitem(AUGMENTERS.entries(), name, Entry(name, "tests", "A toy.", {}, target))
    monkeypatch.setitem(
        DATASETS.entries(),
        "toy-data",
        Entry("toy-data", "tests", "", {"path": "data/train.json"}, lab.load_corpus),
    )
    timing = SimpleNamespace(estimated_seconds=lambda run, corpus: 90.0)
    monkeypatch.setitem(sys.modules, "benchmark.training.timing", timing)
    fakes = {
        "stages": {"train_run": lab.execute},
        "tried_first": dict.fromkeys(CHECKS, lambda *_: None),
    }
    for name, functions in fakes.items():
        fake = SimpleNamespace(**functions)
        monkeypatch.setattr(benchmark.training, name, fake, raising=False)
        monkeypatch.setitem(sys.modules, f"benchmark.training.{name}", fake)
    return lab
