"""The paper's stage 1 model (appendix A.3): KD-DocRE's structure with PMTEM and supervised
contrastive loss.
"""

from __future__ import annotations

from torch import Tensor

from backbones.kd_docre import AxialBackbone
from backbones.parts.losses import (
    CONTRASTIVE,
    ENTROPY,
    pairwise_moving_threshold,
    supervised_contrastive,
)
from benchmark.data.batches import Batch, Encoded
from benchmark.data.pairs import Pairs
from benchmark.options import number, one_of
from benchmark.registry import BACKBONES


@BACKBONES.register("baseline")
class Baseline(AxialBackbone):
    """The paper's baseline: KD-DocRE's structure, moving-threshold loss with entropy minimisation,
    contrastive loss (Eq. (29)).

    Args:
        emb, block, layers, axial_rate, axial: as in `kd_docre`.
        entropy: weighting of the entropy terms: vectorised (default), per_pair, broadcast (the
            official code's slip), or none (Eq. (29) read literally).
        contrastive: form of the contrastive loss: "cosine" similarity and mean of logs (official
            code), or "dot" product and log of the mean (Eq. (28) as printed).
        contrast_with: what an anchor is told apart from: the "positives" of the batch (official
            code), or "all" its pairs, NA too.
        temperature: tau of the contrastive loss; its weight (lambda of Eq. (29)) is temperature /
            base_temperature.
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
        axial: str = "masked",
        entropy: str = "vectorised",
        contrastive: str = "cosine",
        contrast_with: str = "positives",
        temperature: float = 1.0,
        base_temperature: float = 0.5,
    ):
        super().__init__(
            encoder_width,
            classes,
            emb=emb,
            block=block,
            layers=layers,
            axial_rate=axial_rate,
            axial=axial,
        )
        self.entropy = one_of("entropy", entropy, ENTROPY)
        self.contrastive = one_of("contrastive", contrastive, CONTRASTIVE)
        self.contrast_with = one_of("contrast_with", contrast_with, ("positives", "all"))
        self.temperature = number("temperature", temperature, above=0)
        self.base_temperature = number("base_temperature", base_temperature, above=0)

    def pair_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return pairwise_moving_threshold(logits, labels, entropy=self.entropy)

    def auxiliary_loss(self, pairs: Pairs, encoded: Encoded, batch: Batch) -> Tensor:
        """Second term of Eq. (29): lambda times Eq. (28) over the positive pairs."""
        everything = self.contrast_with == "all"
        return supervised_contrastive(
            *pairs.only_positive(),
            temperature=self.temperature,
            base_temperature=self.base_temperature,
            form=self.contrastive,
            contrasts=pairs.representations[~pairs.positive] if everything else None,
        )
