"""Official checkpoints as finished runs of this benchmark, which `predict` can use.

The backbone's class attribute `official` says what the official names mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from backbones.encoders import pretrained
from backbones.parts.official import OfficialHead
from benchmark.config import Choice, EncoderConfig, RunConfig, TrainConfig, complete_options
from benchmark.data.inventory import read_inventory
from benchmark.data.jsonstream import read_json
from benchmark.errors import UserError
from benchmark.hub import encoder_snapshot
from benchmark.registry import BACKBONES
from benchmark.store.runs import RunDirectory
from benchmark.training.checkpoints import read_tensors, save_weights
from benchmark.training.model import DocreModel

# stored by older versions of transformers; no backbone reads them
UNUSED_BY_ENCODERS = ("model.pooler.", "model.embeddings.position_ids")
EXPECTED = "Expected torch.save(model.state_dict(), ...) or a .safetensors file"


@dataclass(frozen=True)
class Import:
    """Number of tensors taken over, the names of those with no use here, and the run."""

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
        checkpoint: what torch.save(model.state_dict()) wrote, or the same as .safetensors. None of
            its code is executed.
        out: a folder that does not exist yet, or is empty.
        encoder: hub id or folder of the pretrained model that was fine-tuned.
        relations: the rel2id.json that the checkpoint was trained with; class 0 is NA.
        options: of the backbone. The weights' shapes give some of them; official code fixes
            others, unless they are given here.

    Raises:
        UserError: the file cannot be read or does not fit; `out` is not empty.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: is not empty; an import needs a folder of its own")
    kind, given = BACKBONES[backbone], options or {}
    head: OfficialHead | None = getattr(kind, "official", None)
    if head is None:
        known = ", ".join(name for name in BACKBONES if hasattr(BACKBONES[name], "official"))
        raise UserError(
            f"backbone '{backbone}' has no official checkpoints. Those that do: {known}"
        )
    weights = read_state_dict(checkpoint)
    classes, sizes = head.sizes(weights, checkpoint)
    if stated := sizes.keys() & given.keys():
        raise UserError(
            f"{', '.join(sorted(stated))}: follows from the shapes of the weights; leave it out"
        )
    inventory = _inventory(relations, classes, checkpoint)
    complete = complete_options(BACKBONES, backbone, {**head.options, **given, **sizes})
    run = RunConfig(
        dataset=Choice(name="imported"),
        encoder=EncoderConfig(name=encoder, window_overlap=0),  # the official layout of two windows
        backbone=Choice(name=backbone, options=complete),
        augmenter=Choice(name="none"),
        augment=None,
        train=TrainConfig(),
        seed=0,
    )
    if (snapshot := encoder_snapshot(encoder, weights=False)) is None:
        raise UserError(f"encoder '{encoder}': expected the hub id or folder of a pretrained one")
    language_model = pretrained(snapshot.folder, name=encoder, weights=False)
    model = DocreModel(language_model, kind(language_model.width, classes, **complete), classes)
    leftover = _fill(model, weights, head, checkpoint)

    directory = RunDirectory(out)
    directory.start(run.model_dump(mode="json"), facts={"imported_from": checkpoint.name})
    save_weights(model, out / "best.safetensors")
    model.encoder.save(out / "encoder")
    pairs = [[relation, relation] for relation in inventory]
    directory.write_json("relations.json", {"relations": pairs, "undirected": False})
    directory.write_json("metrics.json", {"imported_from": checkpoint.name})
    directory.finish()
    return Import(len(weights) - len(leftover), tuple(leftover), run)


def _inventory(relations: Path, classes: int, checkpoint: Path) -> tuple[str, ...]:
    """The relations in class order, from class 1. Raises UserError if their numbers do not fit:
    rel_info.json has as many relations, in another order.
    """
    inventory, _ = read_inventory(relations)
    if len(inventory) + 1 != classes:
        raise UserError(
            f"{checkpoint} has {classes} classes, NA included, "
            f"and {relations} holds {len(inventory)} relations besides NA"
        )
    numbers = read_json(relations)
    stated = [numbers[name] for name in inventory] if isinstance(numbers, dict) else None
    if stated != [*range(1, classes)]:
        raise UserError(
            f"{relations}: expected the number of each class, from 0, which is NA, to "
            f"{classes - 1}, as in the rel2id.json that the checkpoint was trained with"
        )
    return inventory


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors by name, without the "module." of a model that was trained on several GPUs.

    Raises UserError when the file is missing or damaged, or holds anything but named tensors.
    """
    state: Any
    if path.suffix == ".safetensors":
        state = read_tensors(path)[0]
    else:
        try:
            state = torch.load(path, weights_only=True, map_location="cpu")
        except FileNotFoundError:
            raise UserError(f"{path}: no such file") from None
        except Exception as error:  # torch raises a dozen kinds for files that it cannot read
            raise UserError(
                f"{path}: not a state dict, damaged, or holds code, which is never run "
                f"({type(error).__name__}). {EXPECTED}"
            ) from error
    named = isinstance(state, dict) and all(
        isinstance(name, str) and isinstance(tensor, Tensor) and tensor.layout is torch.strided
        for name, tensor in state.items()
    )
    if not named or not state:
        raise UserError(f"{path}: holds something other than named tensors. {EXPECTED}")
    if all(name.startswith("module.") for name in state):
        return {name.removeprefix("module."): tensor for name, tensor in state.items()}
    return dict(state)


def _fill(
    model: DocreModel, weights: dict[str, Tensor], head: OfficialHead, checkpoint: Path
) -> list[str]:
    """Load all of `weights` that the model knows; returns the names that are left over.

    Raises UserError for a tensor of the head without a place, one missing or of another shape.
    """
    of_encoder = {name for name in weights if name.startswith("model.")}
    unused = {name for name in of_encoder if name.startswith(UNUSED_BY_ENCODERS)}
    ours, left = head.translate({n: t for n, t in weights.items() if n not in of_encoder})
    state = {f"encoder.{name}": weights[name] for name in of_encoder - unused}
    state |= {f"backbone.{name}": tensor for name, tensor in ours.items()}
    known = model.state_dict().keys()
    unknown = {name for name in state if name.startswith("encoder.") and name not in known}
    try:
        model.load_state_dict({name: state[name] for name in state.keys() - unknown})
    except RuntimeError as error:  # names what is missing, unexpected or of another shape
        raise UserError(f"{checkpoint}: does it belong to another encoder? {error}") from error
    return sorted([*unused, *left, *(name.removeprefix("encoder.") for name in unknown)])
