"""Whole runs that take a second: five documents, an encoder of width 8."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from samples import corpus, document

from benchmark.config import AugmentConfig, Choice, EncoderConfig, RunConfig, TrainConfig
from benchmark.progress import Progress
from benchmark.store.own_facts import own_facts
from benchmark.store.runs import RunDirectory
from benchmark.training import stages
from benchmark.training.checkpoints import read_tensors
from benchmark.training.loop import Loop

SAVE_EVERY = 600.0  # seconds between checkpoints within an epoch
SIZE = {"vocabulary": 200, "width": 8, "layers": 1, "heads": 2, "positions": 64}

BACKBONES = dict(
    atlop={"emb": 8, "block": 4},
    kd_docre={"emb": 8, "block": 4, "layers": 1, "axial_rate": "head", "gamma": 1.0},
    baseline={"emb": 8, "block": 4, "layers": 1, "axial_rate": "head", "temperature": 1.0}
    | {"entropy": "vectorised", "base_temperature": 0.5},
)
AUGMENTERS = dict(
    none={},
    copies={},
    gaussian={"scale": 0.5},
    vae={"latent": 4, "epochs": 3, "warmup_epochs": 1, "batch_size": 4},
    vaediff={"latent": 4, "epochs": 3, "warmup_epochs": 1, "batch_size": 4}
    | {"width": 8, "depth": 1, "steps": 4, "draws": 2},
)
EXPERIMENT = """
name: tiny
dataset: {name: synthetic, train: 12, dev: 4, test: 4}
encoder: {name: tiny, options: {vocabulary: 200, width: 8, layers: 1, heads: 2, positions: 128}}
backbones:
  - atlop: {emb: 8, block: 4}
augmenters:
  - none
  - vae: {latent: 4, epochs: 2, warmup_epochs: 1, batch_size: 16}
seeds: [3]
train: {epochs: 2, batch_size: 4, lr_encoder: 1.0e-2, lr_head: 1.0e-2, threads: 1}
augment: {warmup_epochs: 1}
"""


def five_documents(seed=0):
    """Documents of two to four entities with a fact or two each; the seed draws their words."""
    rng = np.random.default_rng(seed)
    documents = []
    for number in range(5):
        n = 2 + number % 3
        words = [f"w{i}" for i in rng.integers(0, 9, 4 * n)]
        facts = [(0, 1, "r1"), (1, 0, "r2")] + ([(2, 0, "r3"), (2, 0, "r1")] if n > 2 else [])
        entities = [[(0, 4 * e, 4 * e + 1)] for e in range(n)]
        documents.append(document(f"d{number}", [" ".join(words)], entities, facts))
    return documents


@cache
def tiny_corpus(**options):
    rows = five_documents()
    return corpus(rows, five_documents(seed=1)[:2], rows[2:], **options)


def config(
    backbone="atlop", augmenter="none", *, seed=0, encoder=(), augment=None, options=(), **train
) -> RunConfig:
    """A run; the mappings change its defaults.

    options: of the backbone. Those of the encoder stand in `encoder["options"]`.
    """
    size = SIZE | dict(encoder).get("options", {})
    augmented = augmenter != "none" or augment is not None
    train = {"epochs": 3, "batch_size": 2, "lr_encoder": 1e-2, "lr_head": 1e-2} | train
    return RunConfig(
        dataset=Choice(name="synthetic"),
        encoder=EncoderConfig(**{"name": "tiny", **dict(encoder), "options": size}),
        backbone=Choice(name=backbone, options=BACKBONES[backbone] | dict(options)),
        augmenter=Choice(name=augmenter, options=AUGMENTERS[augmenter]),
        augment=AugmentConfig(**{"warmup_epochs": 1, **(augment or {})}) if augmented else None,
        train=TrainConfig(**{"threads": 1} | train),
        seed=seed,
    )


def head(augmenter="none", *, passes=2, **options) -> RunConfig:
    """A run of the cheap protocol."""
    run = config(augmenter=augmenter, augment={"stage3": "head", "passes": passes}, **options)
    return run.plain() if augmenter == "none" else run


def execute(
    folder: Path, run: RunConfig, *, branch_epoch=None, finish=True, corpus=None
) -> RunDirectory:
    """Run it where the grid would, beside its `none` run."""
    experiment = "tests_head" if run.on_head else "tests"
    of = lambda name, augmenter: RunDirectory.of(
        folder, name, run.backbone.name, augmenter, run.seed
    )
    directory = of(experiment, run.augmenter.name)
    stage1, base = of("tests", "none"), of(experiment, "none")
    directory.start(run.model_dump(mode="json"))
    corpus = corpus or tiny_corpus()
    stages.train_run(
        run,
        directory,
        corpus=corpus,
        facts={"corpus_digest": corpus.digest, **own_facts(run)},
        stage1=stage1.path if stage1.state() == "done" and run.augment else None,
        base=base.path if base.state() == "done" and run != run.plain() else None,
        branch_epoch=branch_epoch,
        save_every=SAVE_EVERY,
        progress=Progress.silent(),
    )
    if finish:
        directory.finish()
    return directory


def numbers(directory: RunDirectory) -> dict:
    """Everything of a run that must not change: no times."""
    timeless = lambda values: {k: v for k, v in values.items() if not k.endswith("seconds")}
    return {
        "metrics": timeless(directory.read_json("metrics.json")),
        "history": [timeless(epoch) for epoch in directory.read_history()],
        "predictions": directory.read_json("predictions_test.json"),
    }


def losses(directory: RunDirectory) -> list[float]:
    """By epoch."""
    return [epoch["loss"] for epoch in directory.read_history()]


def assert_same(one: RunDirectory, other: RunDirectory) -> None:
    """The same numbers, and the same weights bit for bit."""
    assert numbers(one) == numbers(other)
    found, expected = (read_tensors(run.path / "best.safetensors")[0] for run in (one, other))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


class Killed(BaseException):
    """What no handler catches."""


def die():
    raise Killed


def on_call(monkeypatch, owner: type, method: str, number: int, action=die) -> list:
    """`action()` comes before that call (from 1) of a method. Returns a list that grows by an item
    a call.
    """
    original, calls = getattr(owner, method), []

    def watched(*arguments, **options):
        calls.append(1)
        if len(calls) == number:
            action()
        return original(*arguments, **options)

    monkeypatch.setattr(owner, method, watched)
    return calls


def execute_and_kill(monkeypatch, folder: Path, run: RunConfig, *, epoch: int) -> Path:
    """The folder of a run that was killed at the beginning of that epoch (from 0)."""
    whole = Loop._epoch

    def die(loop, bar):
        if loop.state.epoch == epoch:
            raise Killed
        whole(loop, bar)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Loop, "_epoch", die)
        execute(folder, run)
    name = "tests_head" if run.on_head else "tests"
    return RunDirectory.of(folder, name, run.backbone.name, run.augmenter.name, run.seed).path
