"""NCRL (Zhou and Lee 2022)."""

from backbones.parts.grouped import GroupedPairs
from backbones.parts.losses import none_class_ranking
from benchmark.options import Least, OptionModel, Whole
from benchmark.registry import BACKBONES


@BACKBONES.register("ncrl")
class Ncrl(GroupedPairs):
    """NCRL: ATLOP with the none class ranking loss."""

    class Options(OptionModel):
        emb: Whole = 768
        block: Whole = 64
        # gamma; negatives further than it below the threshold have no gradient. The official file
        # holds 0, its older state, which was trained with, 0.05
        margin: Least = 0.05

    def pair_loss(self, logits, labels):
        return none_class_ranking(logits, labels, margin=self.options.margin)
