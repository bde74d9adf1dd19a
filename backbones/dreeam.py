"""DREEAM (Ma et al. 2023): ATLOP whose localized context is drawn to the evidence sentences."""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from backbones.parts.grouped import GroupedPairs
from backbones.parts.losses import adaptive_threshold
from backbones.parts.pooling import entity_attention, pair_attention
from benchmark.data.batches import Batch, Encoded
from benchmark.options import Least, OptionModel, Whole
from benchmark.registry import BACKBONES

TINY = 1e-30  # of the official code, where a sentence gets no attention
EVIDENT = 0.2  # share of a pair's attention above which a sentence is evidence


@BACKBONES.register("dreeam")
class Dreeam(GroupedPairs):
    """DREEAM: ATLOP with the evidence loss; `fusion` adds scores with inference-stage fusion."""

    class Options(OptionModel):
        emb: Whole = 768
        block: Whole = 64
        evidence_weight: Least = 0.1  # lambda of the evidence loss; 0.05 for RoBERTa-large
        layers: Whole = 3  # encoder layers whose states and attention are averaged, from the last
        # also score dev and test with pseudo-documents made of evidence: a second, longer pass
        fusion: bool = False

    needs = ("token_sentence", "evidence")
    epsilon = TINY

    @property
    def fuses(self):
        return self.options.fusion

    def prepare_encoder(self, encoder):
        encoder.average_layers(self.options.layers)

    def pair_loss(self, logits, labels):
        return adaptive_threshold(logits, labels)

    def auxiliary_loss(self, pairs, encoded, batch):
        """lambda times the divergence of the attention to sentences from the evidence (Ma et al.
        2023, Eq. 9 to 11): a sentence weighs as much as facts of the pair cite it.

        The mean is over all positive pairs, those without evidence included.
        """
        if not len(batch.evidence):
            return 0.0
        pair, sentence, cited = batch.evidence.T
        everything = torch.zeros_like(batch.pair_cell).index_add(0, pair, cited)
        wanted = cited / everything[pair]
        found = self.sentence_attention(encoded, batch, pair, sentence).clamp(min=TINY)
        divergence = (wanted * (wanted.log() - found.log())).sum() / len(batch.positive)
        return self.options.evidence_weight * divergence * batch.share

    def sentence_attention(
        self, encoded: Encoded, batch: Batch, pair: Tensor, sentence: Tensor
    ) -> Tensor:
        """[K] attention of pairs [K] to sentences [K]: the sum of the localized context's weights
        over the sentence's tokens; special tokens belong to none.
        """
        attention = entity_attention(encoded.rows, batch)
        cells = batch.pairs[pair]
        head, tail = batch.entity_of(cells)
        weights = (attention[head] * attention[tail]).mean(1)
        inside = batch.token_sentence[cells[:, 0]] == sentence[:, None]
        return (weights * inside).sum(1) / (weights.sum(1) + self.epsilon)

    def evidence(self, encoded, batch):
        weights = pair_attention(encoded.rows, batch, heads="mean", epsilon=self.epsilon)
        inside = one_hot(batch.token_sentence + 1)[..., 1:]  # [D, L, sentences]
        with torch.autocast(weights.device.type, enabled=False):
            of_sentences = weights @ inside.to(weights)  # [D, n * n, sentences]
        document, head, tail = batch.pairs.T
        return (of_sentences[document, head * batch.largest + tail] > EVIDENT).nonzero()
