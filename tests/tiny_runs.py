"""Whole runs that take a second: five documents, an encoder of width 8."""

from functools import cache
from pathlib import Path

import numpy as np
from samples import corpus, document

from benchmark.config import AugmentConfig, Choice, EncoderConfig, RunConfig, TrainConfig
from benchmark.progress import Progress
from benchmark.store.runs import RunDirectory
from benchmark.training import stages

SAVE_EVERY = 600.0  # seconds between checkpoints within an epoch

BACKBONES = dict(
    atlop={"emb": 8, "block": 4},
    kd_docre={"emb": 8, "block": 4, "layers": 1, "axial_rate": "head", "gamma": 1.0},
    baseline=dict(
        emb=8,
        block=4,
        layers=1,
        axial_rate="head",
        entropy="vectorised",
        temperature=1.0,
        base_temperature=0.5,
    ),
)
AUGMENTERS = dict(
    none={},
    copies={},
    gaussian={"scale": 0.5},
    vae={"latent": 4, "epochs": 3, "warmup_epochs": 1, "batch_size": 4},
    vaediff=dict(
        latent=4, width=8, depth=1, steps=4, epochs=3, warmup_epochs=1, batch_size=4, draws=2
    ),
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
        documents.append(
            document(
                f"d{number}", [" ".join(words)], [[(0, 4 * e, 4 * e + 1)] for e in range(n)], facts
            )
        )
    return documents


@cache
def tiny_corpus(**options):
    rows = five_documents()
    return corpus(rows, five_documents(seed=1)[:2], rows[2:], **options)


def config(
    backbone="atlop", augmenter="none", *, seed=0, encoder=None, augment=None, options=None, **train
) -> RunConfig:
    train = {
        "epochs": 3,
        "batch_size": 2,
        "lr_encoder": 1e-2,
        "lr_head": 1e-2,
        "threads": 1,
        **train,
    }
    size = {"vocabulary": 200, "width": 8, "layers": 1, "heads": 2, "positions": 64}
    return RunConfig(
        dataset=Choice(name="synthetic"),
        encoder=EncoderConfig(name="tiny", options=size, **(encoder or {})),
        backbone=Choice(name=backbone, options={**BACKBONES[backbone], **(options or {})}),
        augmenter=Choice(name=augmenter, options=AUGMENTERS[augmenter]),
        augment=None
        if augmenter == "none" and augment is None
        else AugmentConfig(**{"warmup_epochs": 1, **(augment or {})}),
        train=TrainConfig(**train),
        seed=seed,
    )


def execute(
    folder: Path, run: RunConfig, *, branch_epoch=None, finish=True, corpus=None
) -> RunDirectory:
    """Run it where the grid would, beside its `none` run."""
    experiment = "tests_head" if run.on_head else "tests"
    directory = RunDirectory.of(folder, experiment, run.backbone.name, run.augmenter.name, run.seed)
    stage1 = RunDirectory.of(folder, "tests", run.backbone.name, "none", run.seed)
    base = RunDirectory.of(folder, experiment, run.backbone.name, "none", run.seed)
    directory.start(run.model_dump(mode="json"))
    corpus = corpus or tiny_corpus()
    stages.train_run(
        run,
        directory,
        corpus=corpus,
        facts={"corpus_digest": corpus.digest},
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
    metrics = {
        k: v for k, v in directory.read_json("metrics.json").items() if not k.endswith("seconds")
    }
    history = [
        {"epoch": e["epoch"], "loss": e["loss"], "dev": e["dev"]} for e in directory.read_history()
    ]
    return dict(
        metrics=metrics, history=history, predictions=directory.read_json("predictions_test.json")
    )
