"""The paper's stage 1 model (appendix A.3)."""

from typing import Literal

from backbones.kd_docre import AxialBackbone
from backbones.parts.axial import Axial
from backbones.parts.losses import (
    Contrastive,
    Entropy,
    pairwise_moving_threshold,
    supervised_contrastive,
)
from benchmark.options import Count, OptionModel, Positive, Whole
from benchmark.registry import BACKBONES


@BACKBONES.register("baseline")
class Baseline(AxialBackbone):
    """The paper's baseline: KD-DocRE's structure, moving-threshold loss with entropy minimisation,
    contrastive loss (Eq. (29)).

    lambda of Eq. (29), the weight of the contrastive loss, is temperature / base_temperature.
    """

    class Options(OptionModel):
        # as in `kd_docre`
        emb: Whole = 1024
        block: Whole = 64
        layers: Count = 6
        axial_rate: Literal["encoder", "head"] = "encoder"
        axial: Axial = "masked"
        # weighting of the entropy terms; "broadcast" is the official code's slip, "none" Eq. (29)
        # read literally
        entropy: Entropy = "vectorised"
        # "cosine" similarity and mean of logs (official code), or "dot" product and log of the mean
        # (Eq. (28) as printed)
        contrastive: Contrastive = "cosine"
        # what an anchor is told apart from: the positives of the batch (official code), or all its
        # pairs, NA too
        contrast_with: Literal["positives", "all"] = "positives"
        temperature: Positive = 1.0  # tau of the contrastive loss
        base_temperature: Positive = 0.5

    def pair_loss(self, logits, labels):
        return pairwise_moving_threshold(logits, labels, entropy=self.options.entropy)

    def auxiliary_loss(self, pairs, encoded, batch):
        """Second term of Eq. (29): lambda times Eq. (28) over the positive pairs."""
        options, contrasts = self.options, None
        if options.contrast_with == "all":
            contrasts = pairs.representations[~pairs.positive]
        return supervised_contrastive(
            *pairs.only_positive(),
            temperature=options.temperature,
            base_temperature=options.base_temperature,
            form=options.contrastive,
            contrasts=contrasts,
        )
