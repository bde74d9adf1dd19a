"""Correl (Han et al. 2024): tokens for the relations in every text, and co-occurrence tasks."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, softplus

from backbones.parts import segments
from backbones.parts.binary import BinaryRelations
from backbones.parts.grouped import GroupedPairs
from benchmark.data.batches import Batch, Encoded
from benchmark.options import OptionModel, Probability, Whole
from benchmark.registry import BACKBONES


@BACKBONES.register("correl")
class Correl(GroupedPairs, BinaryRelations):
    """Correl: a token for each relation at the end of every window, and two tasks that predict a
    document's relations, and its pairs with a relation, each from the others; threshold tuned on
    dev.
    """

    class Options(OptionModel):
        emb: Whole = 768
        block: Whole = 64
        # of the pairs' loss L and the co-occurrence C: "product" 1.25 L C / (L + 0.25 C) as in the
        # official code, where a small C weakens the gradient of L, or "sum"
        combination: Literal["product", "sum"] = "product"
        alpha: Probability = 0.7  # weight of the relations' task, the rest the pairs'; DWIE: 0.5
        pooled: bool = True  # the pairs' task has a tanh layer before it; DWIE: it has none

    label_tokens = True

    def __init__(self, encoder_width, classes, **options):
        super().__init__(encoder_width, classes, **options)
        self.classes = classes
        self.of_relations = nn.Linear(encoder_width, encoder_width)
        self.of_pairs = nn.Linear(encoder_width, encoder_width)
        if self.options.pooled:
            self.pool = nn.Linear(encoder_width, encoder_width)

    def context_width(self, encoder_width):
        return 2 * encoder_width

    def represent(self, encoded, batch):
        texts = encoded, self.label_text(encoded, batch)
        context = [self.features.context(text, batch, batch.pairs) for text in texts]
        pairs = self.features.of_context(encoded, batch, batch.pairs, torch.cat(context, 1))
        return torch.cat(pairs, 1)

    def label_text(self, encoded: Encoded, batch: Batch) -> Encoded:
        """The text of the label tokens alone: states [D, R, d], attention rows [M, heads, R]."""
        tokens = torch.arange(self.classes, device=batch.lengths.device)
        place = batch.lengths[:, None] - 1 - self.classes + tokens  # [D, R]
        document = torch.arange(len(place), device=place.device)
        of_mention = place[batch.entity_document[batch.mention_entity]]
        rows = encoded.rows.take_along_dim(of_mention.unsqueeze(1), 2)
        return Encoded(encoded.states[document[:, None], place], rows)

    def auxiliary_loss(self, pairs, encoded, batch):
        """C: the weighted mean of both tasks; one that no document has counts as 0. The relations'
        mean is over all decisions, the pairs' over documents.
        """
        dtype = pairs.representations.dtype
        text = self.label_text(encoded, batch).changed(lambda part: part.to(dtype))
        tasks = self.relation_task(text, batch), self.pair_task(text, batch)
        (loss, count), (of_pairs, choices) = tasks
        parts = loss, count, of_pairs / choices.clamp(min=1), choices > 0
        parts = batch.everywhere(torch.stack([part.to(dtype) for part in parts], 1)).sum(0)
        of_relations, of_pairs = parts[0::2] / parts[1::2].clamp(min=1)
        alpha = self.options.alpha
        return alpha * of_relations + (1 - alpha) * of_pairs

    def relation_task(self, text: Encoded, batch: Batch) -> tuple[Tensor, Tensor]:
        """Which relations hold in a document: every decision is about its label tokens."""
        D, R = len(text.states), self.classes - 1  # class 0 takes no part
        tokens = text.states[:, 1:].flatten(0, 1)
        place = batch.pairs[batch.fact_pair, 0] * R + batch.fact_class - 1
        holds = place.new_zeros(D * R, dtype=torch.bool).index_fill(0, place, True)
        everything = torch.arange(D * R, device=place.device)
        return co_occurrence(self.of_relations, tokens, holds, everything, everything // R, D)

    def pair_task(self, text: Encoded, batch: Batch) -> tuple[Tensor, Tensor]:
        """Which pairs have a relation: every decision is about their contexts of label tokens."""
        context = self.features.context(text, batch, batch.pairs)
        if self.options.pooled:
            context = torch.tanh(self.pool(context))
        document, D = batch.pairs[:, 0], len(text.states)
        holds = document.new_zeros(len(document), dtype=torch.bool)
        holds = holds.index_fill(0, batch.positive, True)
        return co_occurrence(self.of_pairs, context, holds, batch.positive, document, D)

    def combine(self, main, auxiliary):
        if self.options.combination == "sum":
            return main + auxiliary
        divisor = (main + 0.25 * auxiliary).clamp(min=1e-30)  # a batch without pairs has no loss
        # without co-occurrence there is nothing to combine with
        return torch.where(auxiliary > 0, 1.25 * main * auxiliary / divisor, main)


def co_occurrence(
    layer: nn.Module, found: Tensor, holds: Tensor, asked: Tensor, group: Tensor, groups: int
) -> tuple[Tensor, Tensor]:
    """For each that holds in a group, the mean of the others that hold must tell it from those that
    do not: sum and number of the binary cross-entropies of each group, [groups] each.

    Args:
        found: [K, d] what may hold.
        holds: [K] bool.
        asked: [A] numbers of those that are left out in turn; some may not hold, and are not asked.
        group: [K] of each.
    """
    total = found.new_zeros(groups, found.shape[1])
    total = total.index_add(0, group, found * holds[:, None])
    size = segments.sizes(group, groups)
    holding = size.new_zeros(groups).index_add(0, group, holds.long())
    own, of = found[asked], group[asked]
    others = (embedding(of, total) - own) / (holding[of] - 1).clamp(min=1)[:, None]
    question = layer(others)
    wrong = (group == of[:, None]) & ~holds
    loss = softplus(-(question * own).sum(1)) + (softplus(question @ found.T) * wrong).sum(1)
    counts = holds[asked] & (holding[of] > 1)
    losses = loss.new_zeros(groups).index_add(0, of, torch.where(counts, loss, 0.0))
    number = (1 + size - holding)[of] * counts
    return losses, number.new_zeros(groups).index_add(0, of, number)
