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

    def entities(self, encoded, batch):
        mention = encoded.states.flatten(0, 1)[batch.mention_state]
        total = mention.new_zeros(len(batch.entity_document), mention.shape[1])
        return total.index_add(0, batch.mention_entity, mention)

    def represent(self, encoded, batch):
        entities = self.entities(encoded, batch)
        head, tail = batch.entity_of(batch.pairs)
        return torch.cat([entities[head], entities[tail]], 1)

    def classify(self, representations):
        return self.classifier(representations)

    def pair_loss(self, logits, labels):
        return nn.functional.binary_cross_entropy_with_logits(logits, labels, reduction="none").sum(
            1
        )


def test_a_good_backbone_passes():
    for _, check in check_backbone(Plain):
        check()


class NotDerived:
    """No backbone."""


class NoLoss(Backbone):
    """Has no pair_loss."""

    represent, classify = Plain.represent, Plain.classify


class Undocumented(Plain):
    pass


class Positional(Plain):
    """An option that is not keyword-only."""

    def __init__(self, encoder_width, classes, scale=1.0):
        super().__init__(encoder_width, classes)


class WrongWidth(Plain):
    """Declares another width."""

    def __init__(self, encoder_width, classes):
        super().__init__(encoder_width, classes)
        self.width += 1


class OutOfBounds(Plain):
    """Leaves its bounds."""

    bounds = (-0.1, 0.1)


class Whitened(Plain):
    """Centres the pairs over the batch."""

    def represent(self, encoded, batch):
        found = super().represent(encoded, batch)
        return found - found.mean(0) if len(found) else found


class ByPosition(Plain):
    """Treats the first pair of a batch in a way of its own."""

    def represent(self, encoded, batch):
        found = super().represent(encoded, batch)
        return torch.cat([found[:1] * 2, found[1:]])


class Numbered(Plain):
    """Sees the numbers of entities."""

    def represent(self, encoded, batch):
        return super().represent(encoded, batch) * (1 + batch.pairs[:, 1:2])


class NeedsAPair(Plain):
    """A mean over no pair."""

    def auxiliary_loss(self, pairs, encoded, batch):
        return pairs.representations.mean()


class NeedsAFact(Plain):
    """A mean over the positive pairs, of which there may be none."""

    def auxiliary_loss(self, pairs, encoded, batch):
        return pairs.only_positive().representations.mean() if len(pairs.labels) else 0.0


class Idle(Plain):
    """A layer that nothing uses."""

    def __init__(self, encoder_width, classes):
        super().__init__(encoder_width, classes)
        self.spare = nn.Linear(2, 2)


class Noisy(Plain):
    """Noise in evaluation."""

    def represent(self, encoded, batch):
        found = super().represent(encoded, batch)
        return found + torch.randn(1).double()


class Normalised(Plain):
    """Normalises logits over the pairs."""

    def classify(self, representations):
        logits = super().classify(representations)
        return logits - logits.mean(0) if len(logits) else logits


class OneLoss(Plain):
    """A scalar loss."""

    def pair_loss(self, logits, labels):
        return super().pair_loss(logits, labels).mean()


BROKEN = {
    "is a backbone": [(NotDerived, "derived from"), (NoLoss, r"no pair_loss\(\)")],
    "has a docstring": [(Undocumented, "no docstring")],
    "options are keywords with literal defaults": [(Positional, "make 'scale' keyword-only")],
    "shapes are as declared": [(WrongWidth, "width"), (OutOfBounds, "leave bounds")],
    "packed and one by one agree": [(Whitened, "depend on the other documents")],
    "the order of documents does not matter": [(ByPosition, "order of the documents")],
    "the order of entities does not matter": [(Numbered, "numbers of the entities")],
    "takes one pair and none": [(NeedsAPair, "batch of 0 pairs"), (OneLoss, "one loss per pair")],
    "takes a batch without facts": [(NeedsAFact, "without facts")],
    "every parameter learns": [(Idle, "spare.weight")],
    "evaluation is deterministic": [(Noisy, "in training only")],
    "classify reads each pair alone": [(Normalised, "classified with it")],
}


def test_every_check_has_a_way_to_fail():
    assert list(BROKEN) == [check.__name__.replace("_", " ") for check in CHECKS]


@pytest.mark.parametrize(
    ("name", "broken", "message"),
    [(name, *case) for name, cases in BROKEN.items() for case in cases],
)
def test_a_broken_backbone_fails_with_advice(name, broken, message):
    with pytest.raises(CheckFailed, match=message):
        dict(check_backbone(broken))[name]()
