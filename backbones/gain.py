"""GAIN (Zeng et al. 2020)."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, linear, pad

from backbones.parts import segments
from backbones.parts.binary import BinaryRelations, few_negatives
from backbones.parts.mentions import TokenTags, entity_means, mention_means
from benchmark.data.batches import Batch, Encoded
from benchmark.options import Count, OptionModel, Probability, Whole
from benchmark.registry import BACKBONES

TAG = 20  # width of the embeddings of entity numbers and of types


@BACKBONES.register("gain")
class Gain(BinaryRelations):
    """GAIN: graphs of mentions and entities, paths of two edges; threshold tuned on dev.

    The document's node is the state of the first token through a layer of its own, which the
    official model takes from BERT's pretraining.
    """

    class Options(OptionModel):
        layers: Whole = 2  # of the mention graph
        # width of the classifier's hidden layer, which augmenters see; 0: twice that of an entity
        # (official)
        hidden: Count = 0
        rate: Probability = 0.6  # of dropout
        # of a pair's paths; "sum": the official code, whose attention gives each the weight 1,
        # since its softmax runs over one number. "softmax": over the paths, as the paper means it
        paths: Literal["sum", "softmax"] = "sum"
        # pairs without a relation that the loss takes for each pair with one, drawn anew at every
        # step (official: 4, drawn for each document and epoch), and at least for the batch
        # (official: 20 for a document)
        negatives: Whole = 4
        least: Whole = 80

    bounds = (0.0, float("inf"))
    needs = (*TokenTags.needs, "mention_sentence")
    reads_entity_numbers = True
    check_options = {"hidden": 16}

    def __init__(self, encoder_width, classes, **options):
        super().__init__(**options)
        layers, self.rate = self.options.layers, self.options.rate
        node = encoder_width + 2 * TAG
        bank = node * (layers + 1)
        self.width = self.options.hidden or 2 * bank
        self.tags = TokenTags(TAG)
        self.document = nn.Linear(encoder_width, encoder_width)
        self.convolutions = nn.ModuleList(GraphConvolution(node, self.rate) for _ in range(layers))
        self.edge = nn.Linear(2 * node, node)
        self.path = nn.Linear(4 * node, 4 * node)
        if self.options.paths == "softmax":
            self.attention = nn.Linear(2 * bank, 4 * node, bias=False)
        self.hidden = nn.Linear(5 * bank + 4 * node, self.width)
        self.classifier = nn.Linear(self.width, classes)

    def represent(self, encoded, batch):
        nodes, documents = self.mention_graph(encoded, batch)
        entities = entity_means(nodes, batch)
        paths = self.paths(entities, batch)[tuple(batch.pairs.T)]
        paths = self._dropped(self.path(paths))
        head, tail = (entities[index] for index in batch.entity_of(batch.pairs))
        parts = head, tail, (head - tail).abs(), head * tail, documents[batch.pairs[:, 0]], paths
        return self._dropped(_linear_of_parts(self.hidden, parts))

    def mention_graph(self, encoded: Encoded, batch: Batch) -> tuple[Tensor, Tensor]:
        """All layers' states of mentions [M, bank] and of documents [D, bank]."""
        D, L, d = encoded.states.shape
        tags = torch.cat([tag[:-1].view(D, L, TAG) for tag in self.tags(batch)[::-1]], 2)
        mentions = mention_means(torch.cat([encoded.states, tags], 2), batch)
        document = batch.mention_state // L
        place = segments.places(document, segments.sizes(document, D)) + 1  # 0 is the document
        size = int(place.max()) + 1 if len(place) else 1
        x = mentions.new_zeros(D, size, d + 2 * TAG).index_put((document, place), mentions)
        whole_text = pad(torch.tanh(self.document(encoded.states[:, 0])), (0, 2 * TAG)).to(x.dtype)
        x = x.index_put((torch.arange(D, device=x.device), place.new_zeros(D)), whole_text)
        ids = lambda values: place.new_full((D, size), -1).index_put((document, place), values)
        entity, sentence = ids(batch.mention_entity), ids(batch.mention_sentence)
        layers = [x]
        for layer in self.convolutions:
            layers.append(layer(layers[-1], mention_edges(entity, sentence)))
        everything = torch.cat(layers, 2)
        return everything[document, place], everything[:, 0]

    def paths(self, entities: Tensor, batch: Batch) -> Tensor:
        """[D, N, N, 4 node]: for each cell the sum over the entities between head and tail of the
        edges there and back.

        Args:
            entities: [E, bank], of which the last layer's part makes the edges.
        """
        node = self.edge.out_features
        table = segments.table(entities[:, -node:], batch)
        shared = self.shared_sentences(batch)
        to, by = self.edge.weight.chunk(2, 1)
        edges = linear(table, to, self.edge.bias)[:, :, None] + linear(table, by)[:, None]
        edges = self._dropped(edges) * shared.unsqueeze(3)
        if self.options.paths == "softmax":
            return self.attended(segments.table(entities, batch), edges, shared)
        first = torch.einsum("dimw,dmj->dijw", edges, shared)
        second = torch.einsum("dim,dmjw->dijw", shared, edges)
        back = (part.transpose(1, 2) for part in (first, second))
        return torch.cat([first, second, *back], 3)

    def attended(self, entities: Tensor, edges: Tensor, shared: Tensor) -> Tensor:
        """`paths` weighted by a softmax over them, of entities [D, N, bank]."""
        to, by = (linear(entities, part) for part in self.attention.weight.chunk(2, 1))
        wanted = (to[:, :, None] + by[:, None]).chunk(4, 3)
        # the edges of the path over m: head to m, m to tail, tail to m, m to head
        ways = "dimw", "dmjw", "djmw", "dmiw"
        scored = zip(wanted, ways, strict=True)
        scores = sum(torch.einsum(f"dijw,{way}->dijm", part, edges) for part, way in scored)
        real = shared[:, :, None] * shared[:, None]
        scores = scores.masked_fill(real == 0, torch.finfo(scores.dtype).min)
        weights = scores.softmax(3) * real
        return torch.cat([torch.einsum(f"dijm,{way}->dijw", weights, edges) for way in ways], 3)

    def shared_sentences(self, batch: Batch) -> Tensor:
        """[D, N, N]: 1 where two entities share a sentence."""
        entity, sentence = batch.mention_entity, batch.mention_sentence
        most = int(sentence.max()) + 1 if len(sentence) else 1
        one = self.edge.weight.new_ones(())
        where = one.new_zeros(len(batch.entity_document), most).index_put((entity, sentence), one)
        where = segments.table(where, batch)
        shared = (where @ where.transpose(1, 2)).clamp(max=1)
        return shared * (1 - torch.eye(batch.largest, dtype=shared.dtype, device=shared.device))

    def drawn_pairs(self, labels):
        return few_negatives(labels, self.options.negatives, self.options.least)

    def _dropped(self, x: Tensor) -> Tensor:
        return dropout(x.relu(), self.rate, self.training)


class GraphConvolution(nn.Module):
    """x <- dropout(ReLU(sum over kinds k of A_k x W_k + x W + b)), A_k with rows that sum to 1."""

    def __init__(self, width: int, rate: float):
        super().__init__()
        self.rate = rate
        self.kinds = nn.Parameter(torch.empty(3, width, width))
        self.itself = nn.Parameter(torch.empty(width, width))
        self.bias = nn.Parameter(torch.zeros(width))
        for weight in (*self.kinds, self.itself):
            nn.init.xavier_uniform_(weight.data, gain=nn.init.calculate_gain("relu"))

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        """[D, nodes, width], given edges [3, D, nodes, nodes] from the second node to the first."""
        edges = edges.to(x.dtype)
        edges = edges / edges.sum(3, keepdim=True).clamp(min=1)
        of_kinds = sum(a @ (x @ w) for a, w in zip(edges, self.kinds, strict=True))
        return dropout((of_kinds + x @ self.itself + self.bias).relu(), self.rate, self.training)


def mention_edges(entity: Tensor, sentence: Tensor) -> Tensor:
    """[3, D, nodes, nodes] bool: mentions of one entity; of different entities in one sentence;
    node 0 with every mention.

    Args:
        entity, sentence: [D, nodes] numbers; -1 at node 0 and at padding.
    """
    real = entity >= 0
    both = real[:, :, None] & real[:, None, :]
    same = entity[:, :, None] == entity[:, None, :]
    other = torch.eye(entity.shape[1], dtype=torch.bool, device=entity.device).logical_not()
    together = sentence[:, :, None] == sentence[:, None, :]
    node = torch.arange(entity.shape[1], device=entity.device) == 0
    with_document = (node[:, None] & real[:, None, :]) | (real[:, :, None] & node[None])
    return torch.stack([both & same & other, both & ~same & together, with_document])


def _linear_of_parts(layer: nn.Linear, parts: tuple[Tensor, ...]) -> Tensor:
    """`layer` of the parts side by side, without putting them there."""
    weights = layer.weight.split([part.shape[1] for part in parts], 1)
    return layer.bias + sum(linear(x, w) for x, w in zip(parts, weights, strict=True))
