"""Every registered backbone passes every check, and each check fails on one that is broken."""

import pytest
import torch
from torch import nn

from backbones.base import Backbone
from backbones.check import CHECKS, check_backbone
from benchmark.checks import CheckFailed
from benchmark.registry import BACKBONES


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_registered_backbones_pass(name):
    for what, check in check_backbone(BACKBONES[name]):
        try:
            check()
        except CheckFailed as failure:
            pytest.fail(f"{what}: {failure}")


class Plain(Backbone):
    """The states of head and tail: passes everything; the broken ones derive from it."""

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

    def classify(self, representations):
        return self.classifier(representations)

    def pair_loss(self, logits, labels):
        loss = nn.functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")
        return loss.sum(1)


def test_a_good_backbone_passes():
    for _, check in check_backbone(Plain):
        check()


def broken(base=Plain, **members):
    return type("Broken", (base,), {"__doc__": "Broken.", **members})


def represents(change):
    """What Plain represents, changed by `change(found, batch)`."""
    return broken(represent=lambda self, e, b: change(Plain.represent(self, e, b), b))


def made(change):
    """A Plain that `change` changes once it is made."""

    def init(self, encoder_width, classes):
        Plain.__init__(self, encoder_width, classes)
        change(self)

    return broken(__init__=init)


def adds(loss):
    return broken(auxiliary_loss=lambda self, pairs, encoded, batch: loss(pairs))


def widened(backbone):
    backbone.width += 1


def with_idle_layer(backbone):
    backbone.spare = nn.Linear(2, 2)


def positional(self, encoder_width, classes, scale=1.0):
    Plain.__init__(self, encoder_width, classes)


def classified_together(self, representations):
    logits = Plain.classify(self, representations)
    return logits - logits.mean(0) if len(logits) else logits


class Undocumented(Plain):
    pass


no_loss = broken(Backbone, represent=Plain.represent, classify=Plain.classify)
whitened = represents(lambda found, batch: found - found.mean(0) if len(found) else found)
by_position = represents(lambda found, batch: torch.cat([found[:1] * 2, found[1:]]))
numbered = represents(lambda found, batch: found * (1 + batch.pairs[:, 1:2]))
crowded = represents(lambda found, batch: found * (torch.inf if batch.largest > 80 else 1))
noisy = represents(lambda found, batch: found + torch.randn(1).double())
needs_a_pair = adds(lambda pairs: pairs.representations.mean())
needs_a_fact = adds(
    lambda pairs: pairs.only_positive().representations.mean() if len(pairs.labels) else 0.0
)
one_loss = broken(pair_loss=lambda self, x, y: Plain.pair_loss(self, x, y).mean())

BROKEN = {
    "is a backbone": [(type("NotDerived", (), {}), "derived from"), (no_loss, r"no pair_loss\(\)")],
    "has a docstring": [(Undocumented, "no docstring")],
    "options are keywords with literal defaults": [
        (broken(__init__=positional), "make 'scale' keyword-only")
    ],
    "shapes are as declared": [
        (made(widened), "width"),
        (broken(bounds=(-0.1, 0.1)), "leave bounds"),
    ],
    "packed and one by one agree": [(whitened, "depend on the other documents")],
    "the order of documents does not matter": [(by_position, "order of the documents")],
    "the order of entities does not matter": [(numbered, "numbers of the entities")],
    "takes one pair and none": [
        (needs_a_pair, "batch of 0 pairs"),
        (one_loss, "one loss per pair"),
    ],
    "takes unusual documents": [(crowded, "88 entities")],
    "takes a batch without facts": [(needs_a_fact, "without facts")],
    "every parameter learns": [(made(with_idle_layer), "spare.weight")],
    "evaluation is deterministic": [(noisy, "in training only")],
    "classify reads each pair alone": [
        (broken(classify=classified_together), "classified with it")
    ],
}


def test_every_check_has_a_way_to_fail():
    assert list(BROKEN) == [check.__name__.replace("_", " ") for check in CHECKS]


@pytest.mark.parametrize(
    ("name", "kind", "message"), [(name, *case) for name, cases in BROKEN.items() for case in cases]
)
def test_a_broken_backbone_fails_with_advice(name, kind, message):
    with pytest.raises(CheckFailed, match=message):
        dict(check_backbone(kind))[name]()
