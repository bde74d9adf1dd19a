"""The U-Net over a document's table of entity pairs (DocuNet, Zhang et al. 2021, section 3.2;
attn_unet.py), which knows which cells of the table exist.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, interpolate, max_pool2d, pad, relu

LEAST_SIDE = 4  # the table is halved twice


class UNet(nn.Module):
    """[D, channels, side, side] -> [D, out, side, side]: two levels down, two up, with skips.

    Args:
        channels: of the input.
        width: of the first level; the others have twice as many.
        out: channels of the output.
    """

    def __init__(self, channels: int, width: int, out: int):
        super().__init__()
        self.enter = Block(channels, width)
        self.down = nn.ModuleList([Block(width, 2 * width), Block(2 * width, 2 * width)])
        self.up = nn.ModuleList([Block(4 * width, width), Block(2 * width, width // 2)])
        self.leave = nn.Conv2d(width // 2, out, 1)

    def forward(self, table: Tensor, real: Tensor | None) -> Tensor:
        """real: [D, 1, side, side], 1 for cells that exist; None: all do."""
        levels, masks = [self.enter(table, real)], [real]
        for block in self.down:
            masks.append(None if masks[-1] is None else max_pool2d(masks[-1], 2))
            levels.append(block(max_pool2d(levels[-1], 2), masks[-1]))
        x = levels.pop()
        for block, skip, mask in zip(self.up, levels[::-1], masks[-2::-1], strict=True):
            x = interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
            rest = skip.shape[-1] - x.shape[-1]
            before, after = rest // 2, rest - rest // 2
            x = block(torch.cat([skip, pad(x, (before, after, before, after))], 1), mask)
        return self.leave(x)


class Block(nn.Module):
    """Twice: 3 x 3 convolution, batch normalisation over the cells that exist, ReLU."""

    def __init__(self, channels: int, out: int):
        super().__init__()
        sizes = (channels, out), (out, out)
        self.convolutions = nn.ModuleList(nn.Conv2d(i, o, 3, padding=1) for i, o in sizes)
        self.norms = nn.ModuleList(MaskedBatchNorm(out) for _ in sizes)

    def forward(self, x: Tensor, real: Tensor | None) -> Tensor:
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = relu(norm(convolution(x), real))
        return x


class MaskedBatchNorm(nn.BatchNorm2d):
    """Batch normalisation whose statistics are those of the cells that exist; all others become 0,
    so that a document's result does not depend on what lies outside its table.
    """

    def forward(self, x: Tensor, real: Tensor | None = None) -> Tensor:
        if real is None:
            return super().forward(x)
        if not self.training:
            return super().forward(x) * real
        cells = x.movedim(1, -1)[real[:, 0] > 0]  # [cells, channels]
        normalise = (self.running_mean, self.running_var, self.weight, self.bias)
        if len(cells) < 2:  # no variance: take what is known from before
            return batch_norm(x, *normalise, eps=self.eps) * real
        normal = batch_norm(cells, *normalise, True, self.momentum, self.eps)
        target = torch.zeros_like(x.movedim(1, -1))
        return target.masked_scatter(real.movedim(1, -1) > 0, normal).movedim(-1, 1)
