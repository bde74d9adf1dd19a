"""DocuNet (Zhang et al. 2021): the contexts of all entity pairs of a document are an image, which a
U-Net refines; balanced softmax loss with a threshold at 0.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from backbones.parts.grouped import GroupedPairs
from backbones.parts.losses import balanced
from backbones.parts.unet import LEAST_SIDE, UNet
from benchmark.data.batches import Batch, Encoded
from benchmark.errors import ConfigError
from benchmark.options import one_of, whole
from benchmark.registry import BACKBONES


@BACKBONES.register("docunet")
class DocuNet(GroupedPairs):
    """DocuNet: a U-Net over the table of entity pairs, balanced softmax loss.

    The convolutions see entities in the order of the file. A pair's context reaches the classifier
    through the U-Net alone.

    Args:
        emb: width of head and tail features (official: 768).
        block: width of a bilinear group (official: 64).
        side: entities that the table has room for (official: 42; 88 takes all of DWIE). It does not
            depend on the batch, since the upsampling depends on it.
        channels: of the table (official: 3).
        unet: width of the U-Net's first level (official: 256).
        out: width of its output (official: 256).
        pad: cells without a pair are left out of everything ("masked"), or copy the last entity's
            ("last_entity", official code).
    """

    reads_entity_numbers = True
    check_options = GroupedPairs.check_options | {"side": 88, "unet": 4, "out": 8}

    def __init__(
        self,
        encoder_width: int,
        classes: int,
        *,
        emb: int = 768,
        block: int = 64,
        side: int = 42,
        channels: int = 3,
        unet: int = 256,
        out: int = 256,
        pad: str = "masked",
    ):
        super().__init__(encoder_width, classes, emb=emb, block=block, context_width=out)
        self.side, self.pad = (
            whole("side", side, LEAST_SIDE),
            one_of("pad", pad, ("masked", "last_entity")),
        )
        self.squeeze = nn.Linear(encoder_width, whole("channels", channels))
        self.unet = UNet(channels, whole("unet", unet, 2), whole("out", out))

    def represent(self, encoded: Encoded, batch: Batch) -> Tensor:
        if batch.largest > self.side:
            raise ConfigError(
                f"backbone 'docunet': a document has {batch.largest} entities, its table room for "
                f"{self.side}: set side to at least {batch.largest}"
            )
        pairs = batch.pairs
        cells = self.squeeze(self.features.context(encoded, batch, batch.cells))
        table = cells.new_zeros(len(batch.rows), self.side, self.side, cells.shape[1])
        table = table.index_put(tuple(batch.cells.T), cells)
        real = None
        if self.pad == "masked":
            real = table.new_zeros(table.shape[:3]).index_put(
                tuple(batch.cells.T), table.new_ones(())
            )
            real = real.unsqueeze(1)
        else:
            table = self._filled(table, batch)
        refined = self.unet(table.permute(0, 3, 1, 2), real).permute(0, 2, 3, 1)
        context = refined[tuple(pairs.T)]
        return torch.cat(self.features.of_context(encoded, batch, pairs, context), 1)

    def _filled(self, table: Tensor, batch: Batch) -> Tensor:
        """The table with its empty cells copied from the last entity's rows and columns."""
        number = torch.arange(self.side, device=table.device)
        number = torch.minimum(number, (batch.entities[:, None] - 1).clamp(min=0))  # [D, side]
        document = torch.arange(len(table), device=table.device)[:, None, None]
        return table[document, number[:, :, None], number[:, None, :]]

    def pair_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return balanced(logits, labels)

    def margins(self, logits: Tensor) -> Tensor:
        """The logits of the relations: the threshold is 0, class 0 a class like any other."""
        return logits[:, 1:]
