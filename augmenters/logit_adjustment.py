"""The control for the balance between frequent and rare relations: logit adjustment."""

import torch

from augmenters.base import Augmenter
from benchmark.options import Least, OptionModel
from benchmark.registry import AUGMENTERS


@AUGMENTERS.register("logit_adjustment")
class LogitAdjustment(Augmenter):
    """Margins by frequency, in training only (Menon et al. 2021, Eq. 10).

    Relation r's logit becomes f_r + tau (log n_r - mean log n), n_r its training pairs: a rare
    relation must earn a higher logit. Centred, because each relation stands against the threshold
    class, whose own prior has to stay. Relations without a training pair are not changed.
    """

    class Options(OptionModel):
        tau: Least = 1.0  # strength; 1 is the value that theory gives for softmax

    control = True

    def _prepare(self, label_sets, *, rng, progress):
        counts = label_sets.sum(0)
        seen = counts > 0
        seen[0] = False
        logs = counts.clamp(min=1).log()
        mean = (logs * seen).sum() / seen.sum().clamp(min=1)
        self.shift = self.options.tau * torch.where(seen, logs - mean, 0.0)

    def _adjust(self, logits, labels):
        return logits + self.shift.to(logits)
