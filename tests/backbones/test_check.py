"""A good backbone passes, and each check fails on one that is broken in its way."""

import pytest
import torch
from contracts import assert_fails, assert_passes, broken, cases, names
from torch import nn

from backbones.base import Backbone
from backbones.check import check_backbone


class Plain(Backbone):
    """The states of head and tail: the broken ones derive from it."""

    def __init__(self, encoder_width, classes):
        super().__init__()
        self.width = 2 * encoder_width
        self.classifier = nn.Linear(self.width, classes)

    def represent(self, encoded, batch):
        mention = encoded.states.flatten(0, 1)[batch.mention_state]
        total = mention.new_zeros(len(batch.entity_document), mention.shape[1])
        entities = total.index_add(0, batch.mention_entity, mention)
        head, tail = batch.entity_of(batch.pairs)
        return torch.cat([entities[head], entities[tail]], 1)

    def pair_loss(self, logits, labels):
        loss = nn.functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")
        return loss.sum(1)


def test_a_good_backbone_passes():
    assert_passes(check_backbone(Plain))


def represents(change):
    """What Plain represents, changed by `change(found, batch)`."""
    return broken(Plain, represent=lambda self, e, b: change(Plain.represent(self, e, b), b))


def made(change):
    """A Plain that `change` changes once it is made."""

    def init(self, encoder_width, classes):
        Plain.__init__(self, encoder_width, classes)
        change(self)

    return broken(Plain, __init__=init)


def adds(loss):
    return broken(Plain, auxiliary_loss=lambda self, pairs, encoded, batch: loss(pairs))


def classified_together(self, representations):
    logits = Plain.classify(self, representations)
    return logits - logits.mean(0) if len(logits) else logits


def first_is_doubled(found, batch):
    return torch.cat([found[:1] * 2, found[1:]])


def mean_of_positive(pairs):
    return pairs.only_positive().representations.mean() if len(pairs.labels) else 0.0


def constructed(*, parent=True, width=3):
    """A constructor that forgets something."""

    def init(self, encoder_width, classes):
        if parent:
            Backbone.__init__(self)
        if width:
            self.width = width
        self.classifier = nn.Linear(3, classes)

    return broken(Plain, __init__=init)


def finds(evidence):
    """A Plain with the evidence `evidence(batch)`."""
    return broken(Plain, evidence=lambda self, encoded, batch: evidence(batch))


def first_sentence(batch):
    pair = torch.arange(len(batch.pairs))
    return torch.stack([pair, torch.zeros_like(pair)], 1)


def test_a_good_backbone_with_evidence_passes():
    assert_passes(check_backbone(finds(first_sentence)))


def reads_types(self, encoded, batch):
    types = batch.entity_type
    return Plain.represent(self, encoded, batch) * len(types)


def halves_states(self, encoded, batch):
    encoded.states.mul_(0.5)
    return Plain.represent(self, encoded, batch)


def reads_rows(self, encoded, batch):
    return Plain.represent(self, encoded, batch) * len(encoded.rows)


def counts_steps(self, pairs, encoded, batch):
    self.steps += self.training
    return self.steps * pairs.representations.sum()


class FewTypes(Plain):
    """The type of the head, of four."""

    needs = ("entity_type",)

    def __init__(self, encoder_width, classes):
        super().__init__(encoder_width, classes)
        self.types = nn.Embedding(4, self.width)

    def represent(self, encoded, batch):
        types = self.types(batch.entity_type)[batch.entity_of(batch.pairs)[0]]
        return super().represent(encoded, batch) + types


def difference_to_facts(self, pairs, encoded, batch):
    facts = batch.labels(pairs.labels.shape[1])[:, 1:].sum(1)
    return (pairs.representations[:, 0] - facts).square().sum()


counts_facts = broken(Plain, auxiliary_loss=difference_to_facts)
of_next_class = broken(
    Plain, pair_loss=lambda self, x, y: Plain.pair_loss(self, x[:, 1:], y[:, :-1])
)
in_float32 = broken(Plain, pair_loss=lambda self, x, y: Plain.pair_loss(self, x.float(), y.float()))
one_loss = broken(Plain, pair_loss=lambda self, x, y: Plain.pair_loss(self, x, y).mean())
whitened = represents(lambda found, batch: found - found.mean(0) if len(found) else found)

BROKEN = {
    "shapes are as declared": [
        (made(lambda self: setattr(self, "width", 33)), r"pairs, width\] \[28, 33\], got"),
        (broken(Plain, bounds=(-0.1, 0.1)), "leave bounds"),
        (represents(lambda found, batch: found.log()), "representations are NaN or infinite$"),
        (broken(Plain, classify=lambda self, x: Plain.classify(self, x) / 0), "logits are NaN"),
        (broken(Plain, classify=lambda self, x: x), r"pairs, classes\] \[28, 6\], got"),
        (constructed(parent=False), r"test_check\.py, line \d+\): call super\(\).__init__"),
        (constructed(width=None), "must set self.width"),
        (broken(Plain, represent=reads_types), "reads batch.entity_type: add it to `needs`"),
        (broken(Plain, needs="entity_type"), r"must be a tuple of names.*\('entity_type',\)"),
        (represents(lambda found, batch: found.float()), "use `.to"),
    ],
    "leaves its input alone": [
        (broken(Plain, represent=halves_states), "in place; work on a copy")
    ],
    "takes encoders without attention": [
        (broken(Plain, represent=reads_rows), "set reads_attention = True .*NoneType")
    ],
    "packed and one by one agree": [(whitened, "depend on the other documents")],
    "the order of documents does not matter": [
        (represents(first_is_doubled), "the order of the"),
        (in_float32, "is one of float32 rounding: .* use `.to"),
    ],
    "the order of entities does not matter": [
        (represents(lambda found, b: found * (1 + b.pairs[:, 1:2])), "the entities are numbered")
    ],
    "takes one pair and none": [
        (adds(lambda pairs: pairs.representations.mean()), "auxiliary_loss of a batch of 0 pairs"),
        (adds(lambda pairs: pairs.representations[:, 0]), "must return a scalar"),
        (one_loss, "one loss per pair"),
    ],
    "takes unusual documents": [
        (represents(lambda x, b: x * (torch.inf if b.largest > 80 else 1)), "of 88 entities are"),
        (adds(mean_of_positive), "without facts is NaN"),
        (FewTypes, "an embedding has fewer rows"),
    ],
    "loss depends on what is stored": [
        (broken(Plain, auxiliary_loss=counts_steps, steps=0), "keep what it counts in buffers")
    ],
    "every parameter learns": [
        (made(lambda self: setattr(self, "spare", nn.Linear(2, 2))), "spare.weight"),
        (represents(lambda found, batch: found.detach()), "the encoder's states"),
    ],
    "auxiliary loss takes generated pairs": [
        (counts_facts, r"size of tensor a .*test_check\.py, line"),
        (adds(lambda pairs: torch.inf if len(pairs.labels) > 28 else 0.0), "no finite scalar"),
    ],
    "pair loss raises the labelled classes": [(of_next_class, "the label of its own class")],
    "evaluation is deterministic": [
        (represents(lambda found, batch: found + torch.randn(1).double()), "in training only")
    ],
    "classify reads each pair alone": [
        (broken(Plain, classify=classified_together), "classified with it")
    ],
    "evidence names sentences of the document": [
        (finds(lambda batch: first_sentence(batch)[:, 0]), r"rows of \[pair, sentence\]"),
        (finds(lambda batch: first_sentence(batch)[:3]), "depends on the others of the batch"),
        (finds(lambda batch: first_sentence(batch) + torch.tensor([0, 2])), "does not have"),
        (finds(lambda batch: first_sentence(batch).repeat(2, 1)), "of a pair twice"),
    ],
}


def test_every_check_has_a_way_to_fail():
    assert list(BROKEN) == names(check_backbone(Plain))


@pytest.mark.parametrize(("name", "kind", "message"), cases(BROKEN))
def test_a_broken_backbone_fails_with_advice(name, kind, message):
    assert_fails(check_backbone(kind), name, message)
