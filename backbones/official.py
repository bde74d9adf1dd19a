"""Names of the official ATLOP, KD-DocRE and VaeDiff-DocRE checkpoints, as names of this package's backbones.

The official models keep queries apart from keys and values; here the three are one matrix. KD-DocRE's checkpoints also hold a
`bilinear` layer that its forward pass never uses.
"""

from __future__ import annotations

import re

import torch
from torch import Tensor

_RENAMED = {
    "head_extractor": "features.head",
    "tail_extractor": "features.tail",
    "projection": "projection.linear",
    "classifier": "classifier",
}
_AXIAL = (
    (r"axial_transformer\.ffns\.(\d+)\.(.+)", r"axial.layers.\1.linear.\2"),
    (r"axial_transformer\.lns\.(\d+)\.(.+)", r"axial.layers.\1.norm.\2"),
    (r"axial_transformer\.axial_attns\.(\d+)\.axial_attentions\.0\.fn\.to_(.+)", r"axial.layers.\1.column.\2"),
    (r"axial_transformer\.axial_attns\.(\d+)\.axial_attentions\.1\.fn\.to_(.+)", r"axial.layers.\1.row.\2"),
)


def from_official(weights: dict[str, Tensor], backbone: str) -> tuple[dict[str, Tensor], list[str]]:
    """The head's weights under this package's names, and the official names that have no counterpart.

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
        target = next((re.sub(pattern, new, name) for pattern, new in _AXIAL if re.fullmatch(pattern, name)), None)
        if target is None:
            unused.append(name)
        else:
            ours[target] = tensor
    for name in [name for name in ours if name.endswith(".q.weight")]:
        prefix = name.removesuffix("q.weight")
        ours[f"{prefix}project.weight"] = torch.cat([ours.pop(name), ours.pop(f"{prefix}kv.weight")])
    return ours, unused
