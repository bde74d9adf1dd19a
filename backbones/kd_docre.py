"""KD-DocRE (Tan et al. 2022), and the structure that the paper's baseline shares with it."""

from typing import Literal

from torch import Tensor, nn

from backbones.base import Backbone
from backbones.parts.axial import Axial, AxialStack, require_official_room
from backbones.parts.bilinear import GroupedBilinear
from backbones.parts.features import PairFeatures
from backbones.parts.losses import adaptive_focal
from backbones.parts.official import FEATURES, LAYERS, OfficialHead
from benchmark.data.batches import Batch, Encoded
from benchmark.options import Count, Least, OptionModel, Whole
from benchmark.registry import BACKBONES


class AxialBackbone(Backbone):
    """The structure that KD-DocRE and the paper's baseline share (appendix A.3.1); subclasses add
    the objective.

    All n x n cells of a document take part in the attention. The diagonal is left out of losses,
    predictions and augmenters; the official code keeps it as NA pairs whose logits are zero, a
    constant in the mean.

    Options: emb, block, layers, axial_rate and axial, as in `kd_docre`.
    """

    # official checkpoints also hold a `bilinear` layer, which the official forward pass never uses
    official = OfficialHead(
        FEATURES
        | LAYERS
        | {r"projection\.(.+)": r"projection.linear.\1", r"classifier\.(.+)": r"classifier.\1"},
        product="projection",
        classifier="classifier",
        options={"axial": "pad_to_42_unmasked"},
    )
    reads_attention = True
    check_options = {"emb": 16, "block": 4, "layers": 2}

    def __init__(self, encoder_width, classes, **options):
        super().__init__(**options)
        options, self.width = self.options, encoder_width
        self.features = PairFeatures(
            encoder_width, options.emb, heads="sum", epsilon=1e-10, context_width=encoder_width
        )
        self.projection = GroupedBilinear(options.emb, options.block, encoder_width, bias=False)
        self.axial = AxialStack(encoder_width, options.layers, axial=options.axial)
        self.classifier = nn.Linear(encoder_width, classes)

    def require_room(self, entities):
        if self.options.axial == "pad_to_42_unmasked":
            require_official_room(entities)

    def represent(self, encoded, batch):
        """axial(p) + p: what the classifier reads."""
        return self.represent_cells(encoded, batch)[batch.pair_cell]

    def represent_cells(self, encoded: Encoded, batch: Batch) -> Tensor:
        """[C, d]: `represent`, the diagonal included."""
        cells = self.projection(*self.features(encoded, batch, batch.cells))
        absent = None
        if self.options.axial == "pad_to_42_unmasked":
            absent = self.projection(*self.features.absent())
        return self.axial(cells, batch, absent) + cells

    def slow_parameters(self):
        return list(self.axial.parameters()) if self.options.axial_rate == "encoder" else []


@BACKBONES.register("kd_docre")
class KdDocre(AxialBackbone):
    """KD-DocRE: axial attention over entity pairs, adaptive focal loss.

    Its knowledge distillation is `train.distill_from`, for any backbone.
    """

    class Options(OptionModel):
        emb: Whole = 1024  # width of head and tail features
        block: Whole = 64  # width of a bilinear group
        layers: Count = 6  # of axial attention
        # learning rate of the axial layers: the encoder's (official code) or the head's
        axial_rate: Literal["encoder", "head"] = "encoder"
        # how a pair attends to its column and row; "pad_to_42_unmasked" is the official code's,
        # "sequential" Eq. (21); see `AxialStack`
        axial: Axial = "masked"
        gamma: Least = 1.0  # focal exponent

    def pair_loss(self, logits, labels):
        return adaptive_focal(logits, labels, self.options.gamma)
