"""Encoder + backbone as one module: the thing that Accelerate wraps, checkpoints store and
`predict` loads.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from backbones.base import Backbone
from backbones.encoders.base import Encoder
from benchmark import processes
from benchmark.config import TrainConfig
from benchmark.data.batches import Batch, Encoded
from benchmark.data.pairs import Pairs
from benchmark.training.gathering import gathered, joined
from benchmark.training.objective import Mixing, training_loss
from benchmark.training.step import Step


class DocreModel(nn.Module):
    """A document-level relation extractor: encoder, backbone, and R classes (relations and NA)."""

    def __init__(self, encoder: Encoder, backbone: Backbone, classes: int):
        super().__init__()
        self.encoder, self.backbone, self.classes = encoder, backbone, classes

    @property
    def needs(self) -> tuple[str, ...]:
        """The optional fields of a batch that encoder and backbone read."""
        return tuple(dict.fromkeys((*self.backbone.needs, *self.encoder.needs)))

    def encode(self, batch: Batch) -> Encoded:
        """The encoder's output, or what the batch brings along of it."""
        return batch.encoded if batch.encoded is not None else self.encoder(batch)

    def encode_again(self, batch: Batch, copy: int) -> Encoded:
        """Another encoding of the batch, with other dropout where there is any. Each `copy` has its
        own; where the batch brings too few along, they are taken again in turn.
        """
        if others := batch.encoded_again:
            return others[copy % len(others)]
        return self.encode(batch)

    def represent(self, batch: Batch) -> Tensor:
        """[P, d] pair representations."""
        return self.backbone.represent(self.encode(batch), batch)

    def forward(self, batch: Batch, step: Step | None = None, mixing: Mixing = Mixing()) -> Tensor:
        """The training loss of a batch, of which several processes have a part each; `step` is the
        augmentation, `mixing` what the loss is made of.
        """
        encoded = self.encode(batch)
        found = self.backbone.represent(encoded, batch)
        own = Pairs(found, batch.labels(self.classes), batch.positive)
        real, teacher = joined(own), gathered(batch.teacher)
        everywhere = max(len(real.known_positives), 1)
        batch.share = processes.count() * len(batch.positive) / everywhere
        batch.everywhere = gathered
        generated, changes = None, {}
        if step is not None:
            generated = step.generate(self.backbone, real, encoded, batch, self.encode_again)
            changes = step.changes
        settings = {"mixing": mixing, "teacher": teacher, **changes}
        return training_loss(self.backbone, real, generated, encoded, batch, **settings)

    @torch.no_grad()
    def logits(self, batch: Batch, *, undirected: bool = False) -> Tensor:
        """[P, R] in float32; for undirected relations those of both orders of a pair, averaged."""
        logits = self.backbone.classify(self.represent(batch)).float()
        return (logits + logits[batch.pair_reverse]) / 2 if undirected else logits

    def parameter_groups(self, train: TrainConfig) -> list[dict]:
        """Trainable parameters by learning rate: the encoder's, the head's, then `train.rates`; of
        each, those with weight decay before those without.
        """
        # sorted, since a saved optimiser state numbers parameters in the order of the groups
        names = sorted(train.rates)
        rates = [train.lr_encoder, train.lr_head, *(train.rates[name] for name in names)]
        slow = (*self.encoder.parameters(), *self.backbone.slow_parameters())
        number = {id(p): 0 for p in slow}  # of its rate; 1 for all others
        for name, p in self.backbone.named_parameters():
            if part := _part(name, names):
                number[id(p)] = 2 + names.index(part)
        groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
        for p in self.parameters():
            if p.requires_grad:
                bare = train.decay == "weights" and p.ndim < 2
                groups.setdefault((number.get(id(p), 1), bare), []).append(p)
        return [
            {"params": found, "lr": rates[i], "weight_decay": 0.0 if bare else train.weight_decay}
            for (i, bare), found in sorted(groups.items())
        ]


def _part(parameter: str, names: Iterable[str]) -> str | None:
    """The longest of the names that is the parameter's own or that of a module around it."""
    around = (name for name in names if f"{parameter}.".startswith(f"{name}."))
    return max(around, key=len, default=None)
