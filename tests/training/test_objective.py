"""The loss of a step: how real pairs, generated pairs, a teacher and an auxiliary loss add up."""

from dataclasses import replace

import pytest
import torch

from augmenters.none import NoAugmentation
from benchmark.data.made_up import made_up_batch, made_up_document, made_up_encoding
from benchmark.data.pairs import Pairs
from benchmark.registry import AUGMENTERS, BACKBONES
from benchmark.training.objective import Mixing, training_loss
from benchmark.training.step import Requests, Step

CLASSES = 6


def made_up(kind, *entities):
    """A batch of documents of so many entities, and its encoding."""
    documents = [made_up_document(number, n) for number, n in enumerate(entities)]
    batch = made_up_batch(documents, kind.needs, kind.label_tokens)
    return batch, made_up_encoding(batch, dtype=torch.float32)


@pytest.fixture(params=sorted(BACKBONES))
def given(request):
    """A backbone, a batch and its encoding, real pairs and generated ones."""
    torch.manual_seed(0)
    kind = BACKBONES[request.param]
    backbone = kind(16, CLASSES, **kind.check_options)
    batch, encoded = made_up(kind, 4, 3)
    real = Pairs(backbone.represent(encoded, batch), batch.labels(CLASSES), batch.positive)
    positive = real.only_positive()
    extra = Pairs((positive.representations * 0.9).detach(), positive.labels)
    return backbone, batch, encoded, real, extra


def loss(given, generated=None, *, mixing=None, **options):
    backbone, batch, encoded, real, _ = given
    return training_loss(
        backbone, real, generated, encoded, batch, mixing=mixing or Mixing(), **options
    )


def per_pair(given, pairs):
    return given[0].pair_loss(given[0].classify(pairs.representations), pairs.labels)


def auxiliary(given, pairs):
    backbone, batch, encoded, _, _ = given
    return backbone.auxiliary_loss(pairs, encoded, batch)


def combined(given, main, pairs):
    return given[0].combine(main, auxiliary(given, pairs))


def test_real_pairs_alone(given):
    real = given[3]
    expected = combined(given, per_pair(given, real).mean(), real)
    torch.testing.assert_close(loss(given), expected)
    nothing = given[4].at(torch.zeros(0, dtype=torch.long))
    torch.testing.assert_close(loss(given, nothing), expected)


def test_generated_pairs_enter_by_concatenation_or_by_two_means(given):
    *_, real, extra = given
    P, Q = len(real.labels), len(extra.labels)
    of_real, of_extra = per_pair(given, real), per_pair(given, extra)
    for mixing, main in (
        (Mixing(), torch.cat([of_real, of_extra]).mean()),
        (Mixing(weight=0.5), (of_real.sum() + 0.5 * of_extra.sum()) / (P + 0.5 * Q)),
        (Mixing("two_means", 0.5), of_real.mean() + 0.5 * of_extra.mean()),
    ):
        expected = combined(given, main, Pairs(*real).joined_with(extra))
        torch.testing.assert_close(loss(given, extra, mixing=mixing), expected)


def test_pairs_that_are_not_drawn_leave_the_mean_and_the_teacher_alone(given, monkeypatch):
    backbone, *_, real, extra = given
    drawn = torch.arange(len(real.labels)) % 3 != 1
    taken, teacher = real.at(drawn), torch.randn(len(real.labels), CLASSES)
    monkeypatch.setattr(backbone, "drawn_pairs", lambda labels: drawn)
    of_taken, of_extra = per_pair(given, taken), per_pair(given, extra)
    torch.testing.assert_close(loss(given), combined(given, of_taken.mean(), real))
    of_both, everything = torch.cat([of_taken, of_extra]), Pairs(*real).joined_with(extra)
    torch.testing.assert_close(loss(given, extra), combined(given, of_both.mean(), everything))
    plain = Mixing(auxiliary=False)
    taught = loss(given, teacher=teacher, mixing=plain) - loss(given, mixing=plain)
    expected = (backbone.classify(taken.representations) - teacher[drawn]).square().mean()
    torch.testing.assert_close(taught, expected, rtol=1e-3, atol=1e-5)
    halves = torch.where(real.labels[:, 0] > 0, 0.5, 1.0)
    weighed = loss(given, weigh=lambda labels: torch.where(labels[:, 0] > 0, 0.5, 1.0))
    expected = combined(given, (of_taken * halves[drawn]).mean(), real)
    torch.testing.assert_close(weighed, expected)


def test_the_auxiliary_loss_can_be_left_out(given):
    *_, real, extra = given
    found = loss(given, extra, mixing=Mixing(auxiliary=False))
    expected = torch.cat([per_pair(given, real), per_pair(given, extra)]).mean()
    torch.testing.assert_close(found, expected)


def test_a_teacher_adds_the_mean_squared_error_of_the_logits_of_its_pairs(given):
    backbone, *_, real, extra = given
    logits = backbone.classify(real.representations).detach()
    alone = {"mixing": Mixing(auxiliary=False)}
    for generated in (None, extra):
        plain = loss(given, generated, **alone)
        added = loss(given, generated, teacher=logits + torch.arange(CLASSES), **alone) - plain
        assert added.item() == pytest.approx((0 + 1 + 4 + 9 + 16 + 25) / 6, rel=1e-4)
        shifted = loss(given, generated, teacher=logits.roll(1, 0), **alone) - plain
        expected = (logits - logits.roll(1, 0)).square().mean()
        torch.testing.assert_close(shifted, expected, rtol=1e-3, atol=1e-6)


def test_a_teacher_beside_the_auxiliary_loss(given):
    backbone, *_, real, _ = given
    logits = backbone.classify(real.representations)
    teacher = logits.detach().roll(1, 0)
    main = per_pair(given, real).mean() + (logits - teacher).square().mean()
    torch.testing.assert_close(loss(given, teacher=teacher), combined(given, main, real))


def test_adjusted_logits_meet_the_loss_of_real_pairs_and_no_teacher(given):
    backbone, *_, real, extra = given
    adjust = lambda logits, labels: logits + labels
    logits = backbone.classify(real.representations)
    of_real = backbone.pair_loss(logits + real.labels, real.labels)
    expected = torch.cat([of_real, per_pair(given, extra)]).mean()
    plain = Mixing(auxiliary=False)
    found = loss(given, extra, mixing=plain, adjust=adjust)
    torch.testing.assert_close(found, expected)
    taught = loss(given, extra, mixing=plain, adjust=adjust, teacher=logits.detach())
    torch.testing.assert_close(taught, expected)


def test_known_positives_change_nothing(given):
    backbone, batch, encoded, real, extra = given
    known = Pairs(*extra, torch.arange(len(extra.labels)))
    unknown = training_loss(backbone, Pairs(*real), extra, encoded, batch, mixing=Mixing())
    torch.testing.assert_close(loss(given, known), unknown)


def test_a_batch_without_pairs_has_a_loss_of_zero(given):
    backbone = given[0]
    batch, encoded = made_up(type(backbone), 1, 0)
    pairs = Pairs(backbone.represent(encoded, batch), batch.labels(CLASSES))
    total = training_loss(backbone, pairs, None, encoded, batch, mixing=Mixing())
    total.backward()
    assert total == 0


def test_pairs_joined_know_their_positives():
    labels = torch.tensor([[1.0, 0], [0, 1], [0, 1]])
    one, other = (
        Pairs(torch.full((3, 2), value), labels, torch.tensor([1, 2])) for value in (0.0, 1.0)
    )
    both = one.joined_with(other)
    assert both.known_positives.tolist() == [1, 2, 4, 5]
    assert torch.equal(both.only_positive().labels, Pairs(*both).only_positive().labels)
    assert both.joined_with(Pairs(*one)).known_positives is None


def test_an_augmenter_may_change_representations_and_weights_of_real_pairs(given):
    backbone, _, _, real, _ = given
    halved = Pairs(real.representations / 2, real.labels)
    expected = combined(given, per_pair(given, halved).mean(), real)
    torch.testing.assert_close(loss(given, perturb=lambda pairs, labels: pairs / 2), expected)
    weights = torch.rand(len(real.labels), generator=torch.Generator().manual_seed(0))
    expected = combined(given, (per_pair(given, real) * weights).mean(), real)
    torch.testing.assert_close(loss(given, weigh=lambda labels: weights), expected)


@pytest.mark.parametrize("name", [n for n in AUGMENTERS if not AUGMENTERS[n].needs_fitting])
def test_a_step_of_every_unfitted_augmenter_trains_the_head(given, name):
    backbone, batch, encoded, real, _ = given
    positive = real.only_positive().labels
    label_sets = torch.cat([positive, positive[:1].repeat(5, 1)])  # some relations are rarer
    kind = AUGMENTERS[name]
    augmenter, makes_none = kind(**kind.check_options), issubclass(kind, NoAugmentation)
    augmenter.prepare(label_sets, rng=torch.Generator().manual_seed(0))
    rng = torch.Generator().manual_seed(1)
    step = Step(augmenter, Requests(2, 0.0, label_sets), rng)
    again = lambda batch, copy: encoded.changed(lambda part: (1.1 + copy) * part)
    batch = replace(batch, further=batch)
    generated = step.generate(backbone, real, encoded, batch, again)
    makes_pairs = augmenter.does() in ("augment", "view", "documents")
    assert (generated is not None) == makes_pairs
    if augmenter.does() == "documents":
        assert torch.equal(generated.labels, real.labels)
    elif makes_pairs and not makes_none:
        assert len(generated.labels) == 2 * len(positive)
    assert len(step.changes) == (not makes_pairs)
    found = loss(given, generated, **step.changes)
    found.backward()
    assert found.isfinite()
    assert (found != loss(given)) == (not makes_none)
    assert all(p.grad is None or p.grad.isfinite().all() for p in backbone.parameters())
