"""The denoising network of the diffusion prior: "Architecture" in section 2.2.2 of the paper.

The official network (Stage_2/diffusion_transformers.py) is a pre-LayerNorm transformer over a
single token. The softmax over one key is 1, so its attention is the linear map W_o W_v: what
remains is the residual MLP of this file, without queries, keys and dropout of whole heads.
`attention="one_token"` keeps W_v and W_o apart and that dropout, as the official network trains.

Suffixes: B rows, K conditions (each shared by any number of rows), w network width, z latent size,
R classes.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HEAD = 64  # width of an attention head of the official network


class Denoiser(nn.Module):
    """Predicts x0 from x_t, the time, the class, and an earlier estimate of x0.

    Args:
        width: w; even.
        dropout: within the feed-forward blocks.
        label_embedding: "mean" of the label set's embeddings (official code), or "sum", Eq. (7).
        null_class: "omit" the term of the class (official code), or a "learned" vector.
        attention: one "linear" map, or "one_token" (official code).
    """

    def __init__(
        self,
        latent: int,
        classes: int,
        *,
        width: int,
        depth: int,
        dropout: float,
        label_embedding: str = "mean",
        null_class: str = "omit",
        attention: str = "linear",
    ):
        super().__init__()
        self.depth, self.mean_of_labels = depth, label_embedding == "mean"
        self.no_estimate = nn.Parameter(0.02 * torch.randn(1, latent))
        self.enter = nn.Linear(2 * latent, width)
        half, wide = width // 2, 4 * width
        frequencies = torch.exp(-math.log(10000) * torch.arange(half) / max(half - 1, 1))
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.time = nn.Sequential(nn.Linear(width, wide), nn.GELU(), nn.Linear(wide, wide))
        self.label_vectors = nn.Parameter(torch.randn(classes, width))
        self.label_project = nn.Linear(width, wide)
        self.no_class = nn.Parameter(torch.zeros(wide)) if null_class == "learned" else None
        self.condition_token = nn.Linear(wide, width)
        self.condition_layers = nn.Linear(wide, depth * 2 * width)  # scale and shift of each layer
        nn.init.zeros_(self.condition_layers.weight)
        nn.init.zeros_(self.condition_layers.bias)
        self.layers = nn.ModuleList(Layer(width, dropout, attention) for _ in range(depth))
        self.norm, self.leave = nn.LayerNorm(width), nn.Linear(width, latent)
        nn.init.xavier_normal_(self.leave.weight)

    def condition(self, t: Tensor, labels: Tensor, dropped: Tensor | None = None) -> Tensor:
        """Time embedding plus class [K,4w] for times t [K] and label sets [K,R].

        `dropped` [K] marks rows without class.
        """
        angles = t[:, None].float() * self.frequencies
        time = self.time(torch.cat([angles.sin(), angles.cos()], -1))
        label = labels @ self.label_vectors  # Eq. (7): the sum over the labels that hold
        if self.mean_of_labels:
            label = label / labels.sum(-1, keepdim=True).clamp(min=1)
        label = self.label_project(label)
        if dropped is not None:
            null = torch.zeros_like(label) if self.no_class is None else self.no_class
            label = torch.where(dropped[:, None], null, label)
        return time + label

    def forward(
        self, xt: Tensor, estimate: Tensor | None, condition: Tensor, index: Tensor | None = None
    ) -> Tensor:
        """Estimate of x0 [B,z] from x_t [B,z] and an earlier estimate.

        `index` [B] tells which condition [K,4w] a row has (None: K = B, in order).
        """
        estimate = self.no_estimate.expand_as(xt) if estimate is None else estimate
        active = F.gelu(condition)
        token, modulation = self.condition_token(active), self.condition_layers(active)
        if index is not None:
            token, modulation = token[index], modulation[index]
        x = self.enter(torch.cat([xt, estimate], -1)) + token
        for layer, part in zip(self.layers, modulation.chunk(self.depth, -1), strict=True):
            x = layer(x, *part.chunk(2, -1))
        return self.leave(self.norm(x))


class Layer(nn.Module):
    """Attention of the one token, then a gated feed-forward block scaled and shifted by the
    condition; both residual.
    """

    def __init__(self, width: int, dropout: float, attention: str):
        super().__init__()
        self.norm_mix = nn.LayerNorm(width)
        if attention == "one_token":
            self.mix = OneTokenAttention(width, dropout)
        else:
            self.mix = nn.Linear(width, width, bias=False)
        self.norm_in, self.up = nn.LayerNorm(width), nn.Linear(width, 8 * width)
        self.dropout = nn.Dropout(dropout)
        self.down, self.norm_out = nn.Linear(4 * width, width), nn.LayerNorm(width)

    def forward(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        x = x + self.mix(self.norm_mix(x))
        value, gate = self.up(self.norm_in(x)).chunk(2, -1)
        block = self.norm_out(self.down(self.dropout(value * F.gelu(gate))))
        return x + block * (1 + scale) + shift


class OneTokenAttention(nn.Module):
    """Self-attention over a single token [B,w], without the queries and keys that never matter.

    Dropout takes whole heads. A width above 64 must be a multiple of it.
    """

    def __init__(self, width: int, dropout: float):
        super().__init__()
        self.size = min(HEAD, width)
        self.value = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        heads = self.value(x).unflatten(-1, (-1, self.size))  # [B, heads, size]
        weight = self.dropout(torch.ones_like(heads[..., :1]))  # the softmax over one key
        return self.out((weight * heads).flatten(-2))
