"""mixup, bank, smote and calibrated against brute force and hand-computed cases."""

import pytest
import torch
from tensors import multi_hot, rng

from augmenters.bank import Bank
from augmenters.calibrated import Calibrated
from augmenters.mixup import Mixup
from augmenters.smote import Smote

# mixup


def test_mixup_lies_between_two_pairs_with_the_share_of_both_labels():
    labels = multi_hot([1], [2])
    augmenter = Mixup(labels="soft", alpha=1.0)
    augmenter.prepare(labels, rng=rng())
    for seed in range(20):
        mixed, soft = augmenter.augment(torch.tensor([[0.0], [1.0]]), labels, rng=rng(seed))
        assert torch.allclose(mixed[:, 0], soft[:, 2])  # the share of the second pair
        assert torch.allclose(soft.sum(1), torch.ones(2))


def test_mixup_draws_labels_with_the_probability_of_their_share():
    labels = multi_hot(*([[1]] * 2000 + [[2]] * 2000))
    given = labels[:, 2:3].clone()
    augmenter = Mixup()
    augmenter.prepare(labels, rng=rng())
    mixed, drawn = augmenter.augment(given, labels, rng=rng())
    between = (mixed[:, 0] > 0.6) & (mixed[:, 0] < 0.8)
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    assert drawn[between, 2].mean().item() == pytest.approx(mixed[between].mean().item(), abs=0.05)


def test_remix_gives_the_label_to_the_much_rarer_pair():
    sets = multi_hot(*([[1]] * 9 + [[2]] * 3 + [[3]] * 2))
    augmenter = Mixup(remix=True, kappa=3, tau=0.5)
    augmenter.prepare(sets, rng=rng())
    common, rare, rarer = multi_hot([1]), multi_hot([2]), multi_hot([3])
    share = lambda lam, a, b: augmenter.share(torch.tensor([lam]), a, b).item()
    assert share(0.4, common, rare) == 0.0  # 9 >= 3 * 3, and lam < tau
    assert share(0.6, common, rare) == pytest.approx(0.6)
    assert share(0.6, rare, common) == 1.0
    assert share(0.4, rare, common) == pytest.approx(0.4)
    assert share(0.4, rare, rarer) == pytest.approx(0.4)  # 3 < 3 * 2


def test_remix_with_loops_over_pairs_of_several_relations():
    chances = torch.tensor([0, 0.7, 0.4, 0.2, 0.1, 0.05])
    labels = (torch.rand(60, 6, generator=rng(1)) < chances).float()
    labels = labels[labels.any(1)]
    augmenter = Mixup(remix=True, labels="soft", kappa=2.0, tau=0.6)
    augmenter.prepare(labels, rng=rng())
    frequency = labels.sum(0).tolist()
    n = [min(frequency[r] for r in range(1, 6) if held[r]) for held in labels]
    # a dimension for each pair: what is mixed says which, and how much
    mixed, soft = augmenter.augment(torch.eye(len(labels)), labels, rng=rng(3))
    shares = set()
    for i, parts in enumerate(mixed):
        j = next((k for k in parts.nonzero().flatten().tolist() if k != i), i)
        lam = share = parts[i].item()
        if n[i] >= 2 * n[j] and lam < 0.6:
            share = 0.0
        if n[j] >= 2 * n[i] and 1 - lam < 0.6:
            share = 1.0
        torch.testing.assert_close(soft[i], share * labels[i] + (1 - share) * labels[j])
        shares.add("lam" if share == lam else share)
    assert shares == {0.0, 1.0, "lam"}


# bank


def fitted(augmenter, rows, labels):
    augmenter.fit(rows, labels, rng=rng())
    augmenter.prepare(labels, rng=rng())
    return augmenter


def test_rows_are_training_pairs_of_the_label_set_all_of_them_in_time():
    sets = multi_hot([1], [1], [2], [2], [2], [1])
    bank = fitted(Bank(), torch.arange(12.0).view(6, 2), sets)
    wanted = sets[[0, 2]].repeat(200, 1)
    rows, labels = bank.augment(torch.zeros(400, 2), wanted, rng=rng())
    assert torch.equal(labels, wanted)
    assert {tuple(row) for row in rows[::2].tolist()} == {(0, 1), (2, 3), (10, 11)}  # pairs 0, 1, 5
    assert {tuple(row) for row in rows[1::2].tolist()} == {(4, 5), (6, 7), (8, 9)}  # pairs 2, 3, 4
    first = (rows[::2] == torch.tensor([0.0, 1.0])).all(1).sum()
    assert 45 < first < 90  # a third of 200


# smote


def test_smote_finds_the_neighbours_that_brute_force_finds():
    rows = torch.randn(60, 4, generator=rng(1))
    labels = multi_hot(*([[1]] * 25 + [[2]] * 20 + [[1, 3]] * 14 + [[2, 3, 4]]))
    augmenter = fitted(Smote(neighbours=3), rows, labels)
    for i in range(60):
        fellows = [j for j in range(60) if j != i and torch.equal(labels[i], labels[j])]
        if i == 59:  # alone: relation 4 has no other pair either
            fellows = []
        nearest = sorted(fellows, key=lambda j: (rows[i] - rows[j]).norm())[:3]
        assert augmenter.known[i] == len(nearest)
        assert set(augmenter.nearest[i, : len(nearest)].tolist()) == set(nearest)


def test_a_label_set_with_one_pair_takes_neighbours_with_its_rarest_relation():
    rows = torch.tensor([[0.0], [1.0], [2.0], [10.0]])
    labels = multi_hot([1], [1], [1, 2], [2, 3])  # 2 is rarer than 1 in the third pair
    augmenter = fitted(Smote(neighbours=1), rows, labels)
    assert augmenter.nearest[2].tolist() == [3]
    assert augmenter.known.tolist() == [1, 1, 1, 0]


def test_smote_stays_on_the_line_between_two_neighbours():
    rows = torch.tensor([[0.0, 0.0], [1.0, 2.0], [100.0, 0.0]])
    labels = multi_hot([1], [1], [2])
    augmenter = fitted(Smote(), rows, labels)
    made, kept = augmenter.augment(torch.zeros(500, 2), labels[:1].repeat(500, 1), rng=rng())
    assert torch.allclose(made[:, 1], 2 * made[:, 0], atol=1e-6)
    assert made[:, 0].min() >= 0 and made[:, 0].max() <= 1
    assert made[:, 0].mean().item() == pytest.approx(0.5, abs=0.05)
    alone, _ = augmenter.augment(torch.zeros(1, 2), labels[2:], rng=rng())
    assert alone.tolist() == [[100.0, 0.0]]


# calibrated


def test_a_frequent_label_set_has_its_own_mean_and_covariance():
    mixing = torch.randn(3, 3, generator=rng(2))
    rows = torch.randn(400, 3, generator=rng(1)) @ mixing + 5
    labels = multi_hot([1]).repeat(400, 1)
    augmenter = fitted(Calibrated(alpha=0.0), rows, labels)
    made, _ = augmenter.augment(torch.zeros(20_000, 3), labels[:1].repeat(20_000, 1), rng=rng())
    assert torch.allclose(made.mean(0), rows.mean(0), atol=0.06)
    expected = torch.cov(rows.T, correction=0)
    assert torch.allclose(torch.cov(made.T), expected, atol=0.05 * expected.abs().max().item())


def test_a_rare_label_set_borrows_from_its_nearest_base():
    near, far = torch.randn(2, 200, 2, generator=rng(1)) * torch.tensor([3.0, 0.1])
    rows = torch.cat([near, far + 50, torch.tensor([[4.0, 0.0]])])
    labels = multi_hot(*([[1]] * 200 + [[2]] * 200 + [[3]]))
    augmenter = fitted(Calibrated(neighbours=1, base=100, own=3.0, alpha=0.0), rows, labels)
    made, _ = augmenter.augment(torch.zeros(20_000, 2), labels[-1:].repeat(20_000, 1), rng=rng())
    # weight 1 / (1 + 3) for its own mean, the rest for the mean of it and of the base
    base = near.mean(0)
    expected = 0.25 * rows[-1] + 0.75 * (base + rows[-1]) / 2
    assert torch.allclose(made.mean(0), expected, atol=0.1)
    # its own covariance is 0, so three quarters of the base's are left
    assert torch.allclose(made.var(0), 0.75 * near.var(0), rtol=0.1)


def test_means_and_covariances_with_loops_over_label_sets():
    sizes = {(1,): 60, (2,): 55, (3,): 70, (1, 2): 7, (4,): 1, (3, 4): 12}
    rows, labels = [], []
    for number, (relations, n) in enumerate(sizes.items()):
        centre, *rest = torch.randn(n + 1, 3, generator=rng(number)) * (1 + number % 3)
        rows += [3 * centre + row for row in rest]
        labels += [relations] * n
    rows, labels = torch.stack(rows), multi_hot(*labels)
    augmenter = fitted(Calibrated(neighbours=2, base=50, own=5.0, alpha=0.3), rows, labels)
    parts = dict(zip(sizes, rows.double().split(list(sizes.values())), strict=True))
    means = {key: part.mean(0) for key, part in parts.items()}
    covariances = {key: torch.cov(part.T, correction=0) for key, part in parts.items()}
    within = sum((part - means[key]).square().sum() for key, part in parts.items()) / rows.numel()
    for key, n in sizes.items():
        mean, covariance = means[key], covariances[key]
        if n < 50:
            base = [other for other in sizes if sizes[other] >= 50]
            near = sorted(base, key=lambda other, mean=mean: (means[other] - mean).norm())[:2]
            borrowed = sum(covariances[other] for other in near) / 2 + 0.3 * within * torch.eye(3)
            share = n / (n + 5)
            covariance = share * covariance + (1 - share) * borrowed
            mean = share * mean + (1 - share) * (sum(means[other] for other in near) + mean) / 3
        wanted = multi_hot(key).repeat(30_000, 1)
        made = augmenter.augment(torch.zeros(30_000, 3), wanted, rng=rng())[0].double()
        spread = covariance.diagonal().max().sqrt()
        assert torch.allclose(made.mean(0), mean, rtol=0, atol=0.02 * spread.item())
        atol = 0.03 * covariance.abs().max().item()
        assert torch.allclose(torch.cov(made.T), covariance, rtol=0, atol=atol)


def test_alpha_widens_what_is_borrowed():
    rows = torch.randn(301, 2, generator=rng(1)) * torch.tensor([2.0, 0.0])
    labels = multi_hot(*([[1]] * 300 + [[2]]))
    augmenter = fitted(Calibrated(alpha=0.5, own=3.0), rows, labels)
    spread = lambda one: augmenter.augment(torch.zeros(20_000, 2), one.repeat(20_000, 1), rng=rng())
    frequent, rare = (spread(labels[i : i + 1])[0][:, 1].var().item() for i in (0, 300))
    # three quarters of the rare set's variance is borrowed; the frequent set borrows nothing
    variance = augmenter.residuals.square().mean().item()
    assert rare == pytest.approx(0.75 * 0.5 * variance, rel=0.05) and frequent == 0
