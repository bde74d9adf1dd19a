"""Names of the official ATLOP, KD-DocRE and VaeDiff-DocRE checkpoints, as names of this package's
backbones.

The official models keep queries apart from keys and values; here the three are one matrix.
KD-DocRE's checkpoints also hold a `bilinear` layer that its forward pass never uses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from benchmark.errors import UserError

_RENAMED = {
    "head_extractor": "features.head",
    "tail_extractor": "features.tail",
    "projection": "projection.linear",
    "classifier": "classifier",
}
_AXIAL = (
    (r"axial_transformer\.ffns\.(\d+)\.(.+)", r"axial.layers.\1.linear.\2"),
    (r"axial_transformer\.lns\.(\d+)\.(.+)", r"axial.layers.\1.norm.\2"),
    (
        r"axial_transformer\.axial_attns\.(\d+)\.axial_attentions\.0\.fn\.to_(.+)",
        r"axial.layers.\1.column.\2",
    ),
    (
        r"axial_transformer\.axial_attns\.(\d+)\.axial_attentions\.1\.fn\.to_(.+)",
        r"axial.layers.\1.row.\2",
    ),
)


def from_official(weights: dict[str, Tensor], backbone: str) -> tuple[dict[str, Tensor], list[str]]:
    """The head's weights under this package's names, and the official names that have no
    counterpart.

    Args:
        weights: the official state dict, encoder left out.
        backbone: "atlop", "kd_docre" or "baseline".
    """
    renamed = {"bilinear": "bilinear.linear", **_RENAMED} if backbone == "atlop" else _RENAMED
    ours: dict[str, Tensor] = {}
    unused = []
    for name, tensor in weights.items():
        module, _, leaf = name.rpartition(".")
        if module in renamed:
            ours[f"{renamed[module]}.{leaf}"] = tensor
            continue
        target = next(
            (re.sub(pattern, new, name) for pattern, new in _AXIAL if re.fullmatch(pattern, name)),
            None,
        )
        if target is None:
            unused.append(name)
        else:
            ours[target] = tensor
    for name in [name for name in ours if name.endswith(".q.weight")]:
        prefix = name.removesuffix("q.weight")
        ours[f"{prefix}project.weight"] = torch.cat(
            [ours.pop(name), ours.pop(f"{prefix}kv.weight")]
        )
    return ours, unused


def shapes_of(weights: Mapping[str, Tensor], backbone: str, where: Path) -> dict[str, int]:
    """emb, block, classes, and layers of an axial backbone, read off the shapes of official
    weights.

    Raises UserError naming the file `where`, for a backbone without official checkpoints or weights
    of another one.
    """
    if backbone not in ("atlop", "kd_docre", "baseline"):
        raise UserError(
            f"backbone '{backbone}': official checkpoints are known of atlop, kd_docre and baseline"
        )
    last, product = (
        ("bilinear", "bilinear") if backbone == "atlop" else ("classifier", "projection")
    )
    needed = [f"{module}.weight" for module in ("head_extractor", last, product)]
    if absent := [name for name in needed if name not in weights]:
        raise UserError(f"{where}: has no {absent[0]}, so it is no checkpoint of {backbone}")
    if backbone == "atlop" and any(name.startswith("axial_transformer.") for name in weights):
        raise UserError(
            f"{where}: has an axial transformer, so it is no checkpoint of atlop: kd_docre or baseline?"
        )
    emb = weights["head_extractor.weight"].shape[0]
    shapes = {
        "emb": emb,
        "block": weights[f"{product}.weight"].shape[1] // emb,
        "classes": weights[f"{last}.weight"].shape[0],
    }
    if backbone != "atlop":
        numbers = [
            int(found[1])
            for name in weights
            if (found := re.match(r"axial_transformer\.ffns\.(\d+)\.", name))
        ]
        shapes["layers"] = max(numbers, default=-1) + 1
    return shapes
