"""Where the quality of a run's generated pairs is recorded: `quality.json`, and `sample.json` with
some real and generated pairs for a figure.

A run measures itself while it trains; benchmark/training/stored_quality.py measures a finished one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from augmenters.base import Augmenter
from backbones.base import Backbone
from benchmark.config import RunConfig
from benchmark.data.pairs import Pairs
from benchmark.progress import Progress
from benchmark.quality.pairs import pair_quality
from benchmark.store.runs import RunDirectory

QUALITY, SAMPLE = "quality.json", "sample.json"


@dataclass(frozen=True)
class Stage1:
    """Positive pairs, the stage 1 model that represents them, and its rare relations [R-1] bool."""

    train: Pairs
    dev: Pairs
    backbone: Backbone
    tail: Tensor | None


def rare_relations(relations: Sequence[str], frequent: Collection[str] | None) -> Tensor | None:
    """[R-1] bool: the relations that are not frequent; None where none are declared frequent."""
    return None if frequent is None else torch.tensor([name not in frequent for name in relations])


def hindrance(run: RunConfig, augmenter: Augmenter, stage1: Path | None) -> str | None:
    """Why the generated pairs of a run cannot be measured; None if they can.

    stage1: the folder of the finished `none` run of its seed, if there is one.
    """
    taught = run.teachers != run.train.teachers  # by the augmenter
    if augmenter.does() != "augment" or taught:
        return f"{run.augmenter.name} makes no pairs of its own"
    if stage1 is None:
        return "it is measured in the space of the `none` run of the same seed, which is not there"
    if not (stage1 / "best.safetensors").is_file():
        return f"{stage1} kept no weights (best.safetensors)"
    return None


def record_quality(
    run: RunConfig,
    directory: RunDirectory,
    augmenter: Augmenter,
    stage1: Stage1,
    device: torch.device,
    progress: Progress,
) -> None:
    """Write both files for an augmenter that is fitted and prepared, and say what has collapsed."""
    if not len(stage1.train.labels) or not len(stage1.dev.labels):
        progress.message("quality of generated pairs not measured: a split has no positive pair")
        directory.discard(QUALITY, SAMPLE)
        return
    train, dev = (Pairs(*(t.to(device) for t in pairs)) for pairs in (stage1.train, stage1.dev))
    backbone = stage1.backbone.to(device).eval()
    settings = {"tail": stage1.tail, "max_labels": run.train.max_labels, "seed": run.seed}
    with progress.task(f"measuring pairs of {run.augmenter.name}", total=1) as bar:
        found = pair_quality(augmenter, backbone, train, dev, **settings)
        bar.advance()
    directory.write_json(SAMPLE, found.pop("sample"))
    directory.write_json(QUALITY, found)
    for sentence in found["flags"].values():
        progress.message(f"note on {run.augmenter.name}: {sentence}")
