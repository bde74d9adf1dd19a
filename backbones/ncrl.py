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
        # gamma: a negative whose probability is below it has no gradient. 0 in the official file;
        # 0.05 in its older state, the one that was trained with
        margin: Least = 0.05

    def pair_loss(self, logits, labels):
        return none_class_ranking(logits, labels, margin=self.options.margin)
