"""DocuNet (Zhang et al. 2021)."""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from backbones.parts.grouped import GroupedPairs
from backbones.parts.losses import balanced
from backbones.parts.unet import LEAST_SIDE, UNet
from benchmark.data.batches import Batch
from benchmark.errors import ConfigError
from benchmark.options import OptionModel, Whole
from benchmark.registry import BACKBONES


@BACKBONES.register("docunet")
class DocuNet(GroupedPairs):
    """DocuNet: a U-Net over the table of entity pairs, balanced softmax loss.

    The convolutions see entities in the order of the file. A pair's context reaches the classifier
    through the U-Net alone.
    """

    class Options(OptionModel):
        emb: Whole = 768
        block: Whole = 64
        # entities that the table has room for; 88 takes all of DWIE. It does not depend on the
        # batch, since the upsampling depends on it
        side: Annotated[int, Field(ge=LEAST_SIDE)] = 42
        channels: Whole = 3  # of the table
        unet: Annotated[int, Field(ge=2)] = 256  # width of the U-Net's first level
        out: Whole = 256  # width of its output
        # cells without a pair are left out of everything, or copy the last entity's (official code)
        pad: Literal["masked", "last_entity"] = "masked"

    reads_entity_numbers = True
    check_options = GroupedPairs.check_options | {"side": 88, "unet": 4, "out": 8}

    def __init__(self, encoder_width, classes, **options):
        super().__init__(encoder_width, classes, **options)
        self.squeeze = nn.Linear(encoder_width, self.options.channels)
        self.unet = UNet(self.options.channels, self.options.unet, self.options.out)

    def context_width(self, encoder_width: int) -> int:
        return self.options.out

    def require_room(self, entities):
        side = self.options.side
        if entities > side:
            raise ConfigError(
                f"backbone 'docunet': a document has {entities} entities, but its table has room "
                f"for {side}: set side to at least {entities}"
            )

    def represent(self, encoded, batch):
        self.require_room(batch.largest)
        side, cells = self.options.side, tuple(batch.cells.T)
        context = self.squeeze(self.features.context(encoded, batch, batch.cells))
        table = context.new_zeros(len(batch.rows), side, side, context.shape[1])
        table, real = table.index_put(cells, context), None
        if self.options.pad == "masked":
            real = table.new_zeros(table.shape[:3]).index_put(cells, table.new_ones(()))[:, None]
        else:
            table = self._filled(table, batch)
        refined = self.unet(table.permute(0, 3, 1, 2), real).permute(0, 2, 3, 1)
        context = refined[tuple(batch.pairs.T)]
        return torch.cat(self.features.of_context(encoded, batch, batch.pairs, context), 1)

    def _filled(self, table: Tensor, batch: Batch) -> Tensor:
        """The table with its empty cells copied from the last entity's rows and columns."""
        number = torch.arange(table.shape[1], device=table.device)
        number = torch.minimum(number, (batch.entities[:, None] - 1).clamp(min=0))  # [D, side]
        document = torch.arange(len(table), device=table.device)[:, None, None]
        return table[document, number[:, :, None], number[:, None, :]]

    def pair_loss(self, logits, labels):
        return balanced(logits, labels)

    def margins(self, logits):
        """The logits of the relations: the threshold is 0, class 0 a class like any other."""
        return logits[:, 1:]
