"""Weights of official ATLOP, KD-DocRE and VaeDiff-DocRE checkpoints under our backbones' names.

The official models keep an attention's queries apart from its keys and values; here the three are
one matrix.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmark.errors import UserError

FEATURES = {
    r"head_extractor\.(.+)": r"features.head.\1",
    r"tail_extractor\.(.+)": r"features.tail.\1",
}
LAYERS = {
    r"axial_transformer\.ffns\.(\d+)\.(.+)": r"axial.layers.\1.linear.\2",
    r"axial_transformer\.lns\.(\d+)\.(.+)": r"axial.layers.\1.norm.\2",
    r"axial_transformer\.axial_attns\.(\d+)\.axial_attentions\.0\.fn\.to_(.+)": (
        r"axial.layers.\1.column.\2"
    ),
    r"axial_transformer\.axial_attns\.(\d+)\.axial_attentions\.1\.fn\.to_(.+)": (
        r"axial.layers.\1.row.\2"
    ),
}


@dataclass(frozen=True)
class OfficialHead:
    """How a backbone's official checkpoints name its weights; the class attribute `official`.

    Attributes:
        names: pattern of an official name -> our name.
        product: official name of the grouped bilinear map.
        classifier: official name of the layer whose outputs are the classes.
        options: the backbone's options that official code fixes.
    """

    names: Mapping[str, str]
    product: str
    classifier: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def sizes(self, weights: Mapping[str, Tensor], where: Path) -> tuple[int, dict[str, int]]:
        """Classes, and the options that the shapes of official weights tell: emb, block, layers.

        Raises UserError naming the file `where` for weights of another backbone.
        """
        axial = "axial_transformer."
        layered = LAYERS.keys() <= self.names.keys()
        for name in ("head_extractor", self.classifier, self.product):
            if f"{name}.weight" not in weights:
                raise UserError(f"{where}: has no {name}.weight, so it belongs to another backbone")
        if not layered and any(name.startswith(axial) for name in weights):
            raise UserError(f"{where}: has an axial transformer, so it belongs to another backbone")
        emb = len(weights["head_extractor.weight"])
        sizes = {"emb": emb, "block": weights[f"{self.product}.weight"].shape[1] // emb}
        if layered:
            found = [re.match(rf"{axial}ffns\.(\d+)\.", name) for name in weights]
            sizes["layers"] = max((int(match[1]) for match in found if match), default=-1) + 1
        return len(weights[f"{self.classifier}.weight"]), sizes

    def translate(self, weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
        """Official weights of the head under our names, and the official names without a use."""
        ours: dict[str, Tensor] = {}
        unused = []
        for name, tensor in weights.items():
            patterns = (pattern for pattern in self.names if re.fullmatch(pattern, name))
            if pattern := next(patterns, None):
                ours[re.sub(pattern, self.names[pattern], name)] = tensor
            else:
                unused.append(name)
        for name in [name for name in ours if name.endswith(".q.weight")]:
            prefix = name.removesuffix("q.weight")
            parts = [ours.pop(name), ours.pop(f"{prefix}kv.weight")]
            ours[f"{prefix}project.weight"] = torch.cat(parts)
        return ours, unused
