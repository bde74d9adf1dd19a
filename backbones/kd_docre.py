"""KD-DocRE (Tan et al. 2022): ATLOP's features, projected and refined by axial attention; adaptive
focal loss.
"""

from __future__ import annotations

from torch import Tensor, nn

from backbones.base import Backbone
from backbones.parts.axial import AXIAL, AxialStack
from backbones.parts.bilinear import GroupedBilinear
from backbones.parts.features import PairFeatures
from backbones.parts.losses import adaptive_focal
from backbones.parts.official import FEATURES, LAYERS, OfficialHead
from benchmark.data.batches import Batch, Encoded
from benchmark.options import number, one_of, whole
from benchmark.registry import BACKBONES


class AxialBackbone(Backbone):
    """The structure that KD-DocRE and the paper's baseline share (appendix A.3.1); subclasses add
    the objective.

    All n x n cells of a document take part in the attention. The diagonal is left out of losses,
    predictions and augmenters; the official code keeps it as NA pairs whose logits are zero, a
    constant in the mean.

    Args:
        emb, block, layers, axial_rate, axial: see `KdDocre`.
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

    def __init__(
        self,
        encoder_width: int,
        classes: int,
        *,
        emb: int,
        block: int,
        layers: int,
        axial_rate: str,
        axial: str = "masked",
    ):
        super().__init__()
        self.width = encoder_width
        self.axial_rate = one_of("axial_rate", axial_rate, ("encoder", "head"))
        self.features = PairFeatures(encoder_width, emb, heads="sum", epsilon=1e-10)
        self.projection = GroupedBilinear(emb, block, encoder_width, bias=False)
        self.axial = AxialStack(
            encoder_width, whole("layers", layers, 0), axial=one_of("axial", axial, AXIAL)
        )
        self.classifier = nn.Linear(encoder_width, classes)

    def represent(self, encoded: Encoded, batch: Batch) -> Tensor:
        """axial(p) + p: what the classifier reads."""
        return self.represent_cells(encoded, batch)[batch.pair_cell]

    def represent_cells(self, encoded: Encoded, batch: Batch) -> Tensor:
        """[C, d]: `represent`, the diagonal included."""
        cells = self.projection(*self.features(encoded, batch, batch.cells))
        absent = (
            self.projection(*self.features.absent())
            if self.axial.axial == "pad_to_42_unmasked"
            else None
        )
        return self.axial(cells, batch, absent) + cells

    def classify(self, representations: Tensor) -> Tensor:
        return self.classifier(representations)

    def slow_parameters(self) -> list[nn.Parameter]:
        return list(self.axial.parameters()) if self.axial_rate == "encoder" else []


@BACKBONES.register("kd_docre")
class KdDocre(AxialBackbone):
    """KD-DocRE: axial attention over entity pairs, adaptive focal loss.

    Its knowledge distillation is `train.distill_from`, for any backbone.

    Args:
        emb: width of head and tail features.
        block: width of a bilinear group.
        layers: axial attention layers.
        axial_rate: learning rate of the axial layers: the encoder's (official code) or the head's.
        axial: how a pair attends to its column and row: "masked", "pad_to_42_unmasked" (official
            code) or "sequential" (Eq. (21)); see `AxialStack`.
        gamma: focal exponent.
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
        gamma: float = 1.0,
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
        self.gamma = number("gamma", gamma, least=0)

    def pair_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return adaptive_focal(logits, labels, self.gamma)
