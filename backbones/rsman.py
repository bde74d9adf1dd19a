"""RSMAN (Yu et al. 2022), on SSAN's encoder."""

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from backbones.parts import segments
from backbones.parts.binary import BinaryRelations
from backbones.parts.mentions import mention_means
from backbones.parts.structure import Structure, add_structure
from benchmark.data.batches import Batch
from benchmark.options import OptionModel, Probability, Whole
from benchmark.registry import BACKBONES


@BACKBONES.register("rsman")
class Rsman(BinaryRelations):
    """RSMAN: relation-specific attention to mentions, with `mention: unmarked`; threshold tuned on
    dev.

    An entity is another vector for each relation, so a pair has no narrow representation: what
    augmenters see are its logits. The official text has a [CLS] before each sentence, whose state
    stands for the sentence; here it is the mean of the sentence's tokens. The loss is a mean over
    pairs, as in `ssan`.
    """

    class Options(OptionModel):
        structure: Structure = "biaffine"  # as in `ssan`
        emb: Whole = 128  # width of a mention and of a sentence
        attention: Whole = 256  # width of the attention to mentions
        rate: Probability = 0.1  # of dropout of the entities

    needs = ("mention_end", "token_sentence")
    check_options = {"emb": 8, "attention": 8}

    def __init__(self, encoder_width, classes, **options):
        super().__init__(**options)
        emb, attention, self.width = self.options.emb, self.options.attention, classes
        self.reduce = nn.Linear(encoder_width, emb)
        self.attention = nn.Linear(emb, attention)
        self.relations = nn.Parameter(torch.empty(classes, attention))
        self.bilinear = nn.Parameter(torch.empty(classes, 2 * emb, 2 * emb))
        self.bias = nn.Parameter(torch.empty(classes))
        nn.init.xavier_normal_(self.relations)
        for weight in (self.bilinear, self.bias):
            nn.init.uniform_(weight, -((2 * emb) ** -0.5), (2 * emb) ** -0.5)

    def prepare_encoder(self, encoder):
        add_structure(encoder, self.options.structure)

    def represent(self, encoded, batch):
        """[P, R] the logits."""
        states = self.reduce(encoded.states).relu()
        entities = self.of_mentions(mention_means(states, batch), batch)  # [E, R, emb]
        sentences = _mean_of_sentences(states, batch.token_sentence)[batch.entity_document]
        entities = torch.cat([entities, sentences.unsqueeze(1).expand_as(entities)], 2)
        entities = dropout(entities, self.options.rate, self.training)
        table = segments.table(entities, batch).transpose(1, 2)  # [D, R, N, 2 emb]
        logits = (table @ self.bilinear) @ table.transpose(2, 3)
        return logits.permute(0, 2, 3, 1)[tuple(batch.pairs.T)] + self.bias

    def of_mentions(self, mentions: Tensor, batch: Batch) -> Tensor:
        """[E, R, emb]: the mentions [M, emb] of each entity, weighted for each relation."""
        scores = torch.tanh(self.attention(mentions)) @ self.relations.T  # [M, R]
        entity, E = batch.mention_entity, len(batch.entity_document)
        weights, total, _ = segments.exponentials(scores, entity, E)
        weighted = (weights / total[entity]).unsqueeze(2) * mentions.unsqueeze(1)
        return weighted.new_zeros(E, *weighted.shape[1:]).index_add(0, entity, weighted)

    def classify(self, representations):
        return representations


def _mean_of_sentences(states: Tensor, sentence: Tensor) -> Tensor:
    """[D, d]: the mean over a document's sentences of the mean of their tokens' states.

    Args:
        states: [D, L, d].
        sentence: [D, L] the number of each token's sentence, -1 for none.
    """
    most = int(sentence.max()) + 1
    belongs = sentence[:, :, None] == torch.arange(most, device=sentence.device)  # [D, L, S]
    belongs = belongs.to(states.dtype)
    sizes = belongs.sum(1)
    means = (belongs.transpose(1, 2) @ states) / sizes.clamp(min=1).unsqueeze(2)
    return means.sum(1) / (sizes > 0).sum(1, keepdim=True).clamp(min=1)
