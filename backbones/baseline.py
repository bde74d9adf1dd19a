"""The paper's stage 1 model (appendix A.3): KD-DocRE's structure with PMTEM and supervised contrastive loss."""

from __future__ import annotations

from torch import Tensor

from backbones.base import Pairs
from backbones.kd_docre import AxialBackbone
from backbones.losses import ENTROPY, pairwise_moving_threshold, supervised_contrastive
from benchmark.errors import ConfigError
from benchmark.registry import BACKBONES


@BACKBONES.register("baseline")
class Baseline(AxialBackbone):
    """The paper's baseline: KD-DocRE's structure, moving-threshold loss with entropy minimisation, contrastive loss (Eq. 29).

    Args:
        emb, block, layers, axial_rate: as in `kd_docre`.
        entropy: weighting of the entropy terms: vectorised (default), per_pair, or broadcast (the official code's slip).
        temperature: tau of the contrastive loss; its weight (lambda of Eq. 29) is temperature / base_temperature.
        base_temperature: see temperature.
    """

    def __init__(
        self,
        encoder_width: int,
        classes: int,
        *,
        emb: int = 1024,
        block: int = 64,
        layers: int = 6,
        axial_rate: str = "encoder",
        entropy: str = "vectorised",
        temperature: float = 1.0,
        base_temperature: float = 0.5,
    ):
        super().__init__(encoder_width, classes, emb=emb, block=block, layers=layers, axial_rate=axial_rate)
        if entropy not in ENTROPY:
            raise ConfigError(f"entropy must be one of {', '.join(ENTROPY)}, not {entropy!r}")
        self.entropy, self.temperature, self.base_temperature = entropy, temperature, base_temperature

    def classification_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return pairwise_moving_threshold(logits, labels, entropy=self.entropy)

    def contrastive_loss(self, pairs: Pairs) -> Tensor:
        return supervised_contrastive(*pairs, temperature=self.temperature, base_temperature=self.base_temperature)
