"""ATLOP (Zhou et al. 2021)."""

from backbones.parts.grouped import GroupedPairs
from backbones.parts.losses import adaptive_threshold
from backbones.parts.official import FEATURES, OfficialHead
from benchmark.options import OptionModel, Whole
from benchmark.registry import BACKBONES


@BACKBONES.register("atlop")
class Atlop(GroupedPairs):
    """ATLOP: localized context, grouped bilinear classifier, adaptive-threshold loss."""

    class Options(OptionModel):
        emb: Whole = 768  # width of head and tail features
        block: Whole = 64  # width of a bilinear group

    official = OfficialHead(
        FEATURES | {r"bilinear\.(.+)": r"bilinear.linear.\1"},
        product="bilinear",
        classifier="bilinear",
    )

    def pair_loss(self, logits, labels):
        return adaptive_threshold(logits, labels)
