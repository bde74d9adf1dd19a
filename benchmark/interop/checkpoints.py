"""Checkpoints of the official ATLOP, KD-DocRE and VaeDiff-DocRE code as finished runs of this
benchmark: `predict` takes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from backbones.encoders.huggingface import load_encoder, save_encoder
from backbones.official import from_official, shapes_of
from benchmark.config import Choice, EncoderConfig, RunConfig, TrainConfig, complete_options
from benchmark.data.docred import read_inventory
from benchmark.errors import UserError
from benchmark.interop.torch_archive import read_torch_archive
from benchmark.registry import BACKBONES
from benchmark.store.runs import RunDirectory
from benchmark.training.checkpoints import read_tensors, save_weights
from benchmark.training.model import DocreModel

UNUSED_BY_ENCODERS = (
    "pooler.",
    "embeddings.position_ids",
)  # stored by older versions of transformers; no backbone reads them


@dataclass(frozen=True)
class Import:
    """What became of a checkpoint's tensors: how many were taken over, and the names of those with
    no use here.
    """

    taken: int
    leftover: tuple[str, ...]
    run: RunConfig


def import_checkpoint(
    checkpoint: Path,
    out: Path,
    *,
    backbone: str,
    encoder: str,
    relations: Path,
    options: dict[str, Any] | None = None,
) -> Import:
    """Write `checkpoint` as a finished run into `out`.

    Args:
        checkpoint: what torch.save(model.state_dict()) wrote, or the same as .safetensors. Nothing
            of it is executed.
        out: a folder that does not exist yet, or is empty.
        backbone: atlop, kd_docre or baseline.
        encoder: hub id or folder of the pretrained model that was fine-tuned: its configuration and
            tokenizer.
        relations: the rel2id.json that the checkpoint was trained with: class 0 is NA.
        options: of the backbone, besides emb, block and layers, which are read off the weights. An
            axial backbone pads its tables as the official code does, unless its option `axial` says
            otherwise.

    Raises:
        UserError: the file is none, lacks a tensor, or has one of another shape; `relations` has
            another number of classes; `out` holds something.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: is not empty; an import needs a folder of its own")
    weights = (
        read_tensors(checkpoint)[0]
        if checkpoint.suffix == ".safetensors"
        else read_torch_archive(checkpoint)
    )
    weights = _without_prefix(weights)
    shapes = shapes_of(weights, backbone, checkpoint)
    inventory, names = read_inventory(str(relations))
    if len(inventory) + 1 != shapes["classes"]:
        raise UserError(
            f"{checkpoint} has {shapes['classes']} classes, NA included, "
            f"and {relations} holds {len(inventory)} relations besides NA"
        )
    classes = shapes.pop("classes")
    if stated := shapes.keys() & (options or {}).keys():
        raise UserError(
            f"{', '.join(sorted(stated))}: read off the weights, and no option of an import"
        )
    layout = (
        {"axial": "pad_to_42_unmasked"} if "axial" in BACKBONES.entry(backbone).parameters else {}
    )  # as it was trained
    choice = Choice(
        name=backbone,
        options=complete_options(BACKBONES, backbone, {**layout, **(options or {}), **shapes}),
    )
    encoder_config = EncoderConfig(
        name=encoder, window_overlap=0
    )  # the official layout of two windows
    run = RunConfig(
        dataset=Choice(name="imported"),
        encoder=encoder_config,
        backbone=choice,
        augmenter=Choice(name="none"),
        augment=None,
        train=TrainConfig(),
        seed=0,
    )
    language_model = load_encoder(encoder, overlap=0, weights=False)
    model = DocreModel(
        language_model,
        BACKBONES[backbone](language_model.width, classes, **choice.options),
        classes,
    )
    leftover = _fill(model, weights, backbone, checkpoint)

    directory = RunDirectory(out)
    directory.start(run.model_dump(mode="json"), facts={"imported_from": checkpoint.name})
    save_weights(model, out / "best.safetensors")
    save_encoder(model.encoder, out / "encoder")
    directory.write_json(
        "relations.json",
        {"relations": [[r, names.get(r, r)] for r in inventory], "undirected": False},
    )
    directory.write_json("metrics.json", {"imported_from": checkpoint.name})
    directory.finish()
    return Import(len(weights) - len(leftover), tuple(leftover), run)


def _without_prefix(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without the "module." of a model that was trained on several GPUs."""
    parallel = all(name.startswith("module.") for name in weights)
    return (
        {name.removeprefix("module."): tensor for name, tensor in weights.items()}
        if parallel
        else weights
    )


def _fill(
    model: DocreModel, weights: dict[str, Tensor], backbone: str, checkpoint: Path
) -> list[str]:
    """Load all of `weights` that the model knows; the names left over. Raises UserError for a
    tensor that lacks or does not fit.
    """
    of_encoder = {
        name.removeprefix("model."): tensor
        for name, tensor in weights.items()
        if name.startswith("model.")
    }
    unused = [name for name in of_encoder if name.startswith(UNUSED_BY_ENCODERS)]
    ours, left = from_official(
        {name: tensor for name, tensor in weights.items() if not name.startswith("model.")},
        backbone,
    )
    state = {
        f"encoder.model.{name}": tensor for name, tensor in of_encoder.items() if name not in unused
    }
    state |= {f"backbone.{name}": tensor for name, tensor in ours.items()}
    wanted = model.state_dict()
    if missing := [name for name in wanted if name not in state]:
        raise UserError(
            f"{checkpoint}: lacks {len(missing)} tensors of {backbone}, the first: {missing[0]}"
        )
    for name, tensor in state.items():
        if name in wanted and tensor.shape != wanted[name].shape:
            raise UserError(
                f"{checkpoint}: {name} has the shape {list(tensor.shape)}, expected {list(wanted[name].shape)}: another encoder?"
            )
    if strange := [name for name in state if name.startswith("backbone.") and name not in wanted]:
        raise UserError(
            f"{checkpoint}: holds {len(strange)} tensors that {backbone} has no place for, the first: {strange[0]}"
        )
    unknown = [name.removeprefix("encoder.") for name in state if name not in wanted]
    model.load_state_dict({name: state[name].to(torch.float32) for name in wanted})
    return sorted([*(f"model.{name}" for name in unused), *left, *unknown])
