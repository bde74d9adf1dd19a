"""The relation part of JEREX (Eberts and Ulges 2021), on given mentions."""

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import dropout, embedding, linear

from backbones.parts import segments
from backbones.parts.binary import BinaryRelations, few_negatives
from backbones.parts.mentions import TYPES, mention_tokens
from benchmark.data.batches import Batch
from benchmark.options import OptionModel, Probability, Whole
from benchmark.registry import BACKBONES

DISTANCES, SENTENCES = 700, 50  # rows of the tables of distances; larger ones share a row


@BACKBONES.register("jerex")
class Jerex(BinaryRelations):
    """JEREX's relation classifier: max-pooling over mention pairs and the text between them, with
    `mention: unmarked`; a fixed threshold or a tuned one.

    Distances are in tokens (official: in words).
    """

    class Options(OptionModel):
        meta: Whole = 25  # width of embedded types and distances
        rate: Probability = 0.1  # of dropout
        probability: Annotated[float, Field(gt=0, lt=1)] = 0.6  # above: the relation is predicted
        tuned: bool = False  # that threshold is tuned on dev instead
        # pairs without a relation that the loss takes, for the batch, drawn anew at every step
        # (official: 200 for a document)
        negatives: Whole = 800

    bounds = (0.0, float("inf"))
    needs = ("mention_end", "mention_sentence", "entity_type")

    def __init__(self, encoder_width, classes, **options):
        super().__init__(**options)
        self.width = width = encoder_width
        meta, probability = self.options.meta, self.options.probability
        self.tunes_threshold = self.options.tuned
        self.threshold += math.log(probability / (1 - probability))
        self.distance = nn.Embedding(DISTANCES, meta)
        self.sentences = nn.Embedding(SENTENCES, meta)
        self.kind = nn.Embedding(TYPES, meta)
        self.mention_pair = nn.Linear(5 * width + 2 * meta, width)
        self.pair = nn.Linear(width + 2 * meta, width)
        self.classifier = nn.Linear(width, classes)

    def represent(self, encoded, batch):
        head, tail = batch.entity_of(batch.pairs)
        found = self.largest_mention_pairs(encoded.states, batch, head, tail)
        kinds = self.kind(batch.entity_type.clamp(max=TYPES - 1))
        found = self.pair(torch.cat([found, kinds[head], kinds[tail]], 1)).relu()
        return dropout(found, self.options.rate, self.training)

    def largest_mention_pairs(
        self, states: Tensor, batch: Batch, head: Tensor, tail: Tensor
    ) -> Tensor:
        """[P, d]: the maximum over the mention pairs of each entity pair."""
        d, (mentions, entities) = states.shape[2], self.maxima(states, batch)
        entities = dropout(entities, self.options.rate, self.training)
        pair, first, second = mention_pairs(batch, head, tail)
        # the layer, split by its input: nothing five times as wide as a state exists
        text, *of_mentions, distance, sentences = self.mention_pair.weight.split(
            [d] * 5 + [self.distance.embedding_dim] * 2, 1
        )
        read = (mentions, first), (mentions, second), (entities, head[pair]), (entities, tail[pair])
        parts = zip(read, of_mentions, strict=True)
        total = sum(embedding(index, linear(x, weight)) for (x, index), weight in parts)
        start, end = batch.mention_state, batch.mention_end
        starts = start[first], start[second]
        # the mention that starts first; on a tie, the second
        ends = torch.where(starts[0] < starts[1], end[first], end[second])
        distances = (torch.maximum(*starts) - ends + 1).clamp(0, DISTANCES - 1)
        numbers = batch.mention_sentence[first] - batch.mention_sentence[second]
        total = total + linear(self.distance(distances), distance)
        total = total + linear(self.sentences(numbers.abs().clamp(max=SENTENCES - 1)), sentences)
        before = end[first] < start[second]  # else the other order; nothing between if they overlap
        low = torch.where(before, end[first], end[second])
        high = torch.where(before, start[second], start[first])
        total = total + linear(_maxima_between(states, low, high), text) + self.mention_pair.bias
        total = dropout(total, self.options.rate, self.training)
        return segments.maxima(total, pair, len(head))

    def maxima(self, states: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Of mentions [M, d] over their tokens, of entities [E, d] over their mentions."""
        mention, token = mention_tokens(batch)
        values = states.flatten(0, 1)[token]
        mentions = segments.maxima(values, mention, len(batch.mention_state))
        return mentions, segments.maxima(mentions, batch.mention_entity, len(batch.entity_document))

    def pair_loss(self, logits, labels):
        return super().pair_loss(logits[:, 1:], labels[:, 1:]) * (logits.shape[1] - 1)

    def drawn_pairs(self, labels):
        return few_negatives(labels, 0, self.options.negatives)


def mention_pairs(batch: Batch, head: Tensor, tail: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(pair [K], mention of its head [K], mention of its tail [K]) of all pairs of mentions."""
    count = segments.sizes(batch.mention_entity, len(batch.entity_document))
    by_entity = batch.mention_entity.argsort(stable=True)
    start = count.cumsum(0) - count
    pair, place = segments.ranges(count[head] * count[tail])
    of_tail = count[tail][pair]
    first = by_entity[start[head][pair] + place // of_tail]
    second = by_entity[start[tail][pair] + place % of_tail]
    return pair, first, second


def _maxima_between(states: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """[K, d]: the maximum of states [D, L, d] over the flattened positions low .. high - 1; 0 where
    there are none.

    From a table of the maxima of 1, 2, 4, ... tokens, of which any range is the union of two.
    """
    flat = states.flatten(0, 1)
    levels, step = [flat], 1
    while 2 * step <= states.shape[1]:
        last = levels[-1]
        levels.append(torch.cat([torch.maximum(last[:-step], last[step:]), last[-step:]]))
        step *= 2
    length = high - low
    level = length.clamp(min=1).double().log2().floor().long()
    table = torch.stack(levels)
    left = low.clamp(max=len(flat) - 1)
    right = (high - 2**level).clamp(min=0)
    found = torch.maximum(table[level, left], table[level, right])
    return found * (length > 0)[:, None]
