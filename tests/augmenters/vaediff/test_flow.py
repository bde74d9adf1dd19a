"""The rectified flow: its loss at a known velocity, and a mixture that it must learn."""

import pytest
import torch
from tensors import mixture, rng

from augmenters.vaediff.flow import Flow, LatentFlow
from augmenters.vaediff.vae import posteriors


def two_classes(count):
    """Pairs of two label sets in two dimensions."""
    return mixture(count, torch.eye(3)[1:], width=2)[0]


def test_it_learns_the_mean_and_spread_of_each_class():
    rows, labels = two_classes(600)
    flow = Flow(width=64, depth=1, epochs=60, batch=200, dropout=0.0, lr=5e-3)
    history = flow.fit(rows, labels, rng=rng())
    assert history[-1]["loss"] < history[0]["loss"]
    flow.prepare(labels, rng=rng())
    for number in (1, 2):
        wanted = torch.eye(3)[number].repeat(500, 1)
        made, _ = flow.augment(torch.zeros(500, 2), wanted, rng=rng(2))
        real = rows[labels[:, number] == 1]
        assert torch.allclose(made.mean(0), real.mean(0), atol=0.2)
        assert torch.allclose(made.std(0), real.std(0), rtol=0.5)


def test_on_latents_it_learns_posteriors_of_the_vae_and_decodes_what_it_makes():
    rows, labels = mixture(60, torch.eye(3)[1:], width=8)[0]
    flow, again = (
        LatentFlow(width=16, depth=1, epochs=2, batch=32, latent=4, vae_epochs=3) for _ in range(2)
    )
    history = flow.fit(rows, labels, rng=rng())
    assert ["kl" in epoch for epoch in history] == [True] * 3 + [False] * 2
    mean, log_variance = posteriors(flow.vae, rows)
    assert torch.allclose(flow.scale.mean, mean.mean(0), atol=1.0)
    expected = (mean.var(0, correction=0) + log_variance.exp().mean(0)).sqrt()
    assert torch.allclose(flow.scale.deviation, expected, rtol=0.5)
    made, _ = flow.augment(rows, labels, rng=rng(5))
    generator = rng(5)
    torch.randint(2**63 - 1, (), generator=generator)  # the seed of the global generators
    with torch.no_grad():
        expected = flow.vae.decode(flow.sample(4, labels, generator))[0]
    assert torch.equal(made, expected)
    again.load_state_dict(flow.state_dict())
    assert torch.equal(again.augment(rows, labels, rng=rng(5))[0], made)


def test_the_loss_is_the_squared_error_of_the_velocity():
    flow = Flow(width=16, depth=1, class_drop=0.0)
    rows, labels = two_classes(50)
    flow._build(2, 3)
    flow.velocity.leave.weight.data.zero_()
    flow.velocity.leave.bias.data.zero_()
    z = torch.randn(rows.shape, generator=rng(3))
    losses = flow.losses(rows, labels, rng(3))
    assert torch.allclose(losses, (rows - z).square().mean(1))


def test_one_euler_step_adds_the_velocity_to_noise():
    flow = Flow(width=16, depth=1, steps=1, epochs=1)
    rows, labels = two_classes(40)
    flow.fit(rows, labels, rng=rng())
    made, _ = flow.augment(rows, labels, rng=rng(5))
    generator = rng(5)
    torch.randint(2**63 - 1, (), generator=generator)  # the seed of the global generators
    z = torch.randn(rows.shape, generator=generator)
    condition = flow.velocity.condition(torch.zeros(40), labels)
    with torch.no_grad():
        expected = flow.scale.inverse(z + flow.velocity(z, None, condition))
    assert torch.allclose(made, expected)


def test_guided_euler_steps():
    """v = (1 + w) v(S) - w v(no class), at the times 0, 1/3 and 2/3."""
    torch.manual_seed(0)
    flow = Flow(width=16, depth=1, steps=3, guidance=0.5)
    flow._build(2, 3)
    flow.velocity.eval()
    torch.nn.init.normal_(flow.velocity.condition_layers.weight, std=0.3)
    labels = torch.eye(3)[[1, 2, 2]]
    with torch.no_grad():
        x = torch.randn(3, 2, generator=rng(5))
        for time in (0.0, 1 / 3, 2 / 3):
            t, everything = torch.full((3,), 1000 * time), torch.ones(3, dtype=torch.bool)
            of_set = flow.velocity(x, None, flow.velocity.condition(t, labels))
            free = flow.velocity(x, None, flow.velocity.condition(t, labels, everything))
            assert not torch.allclose(of_set, free)
            x = x + (1.5 * of_set - 0.5 * free) / 3
        torch.testing.assert_close(flow.sample(2, labels, rng(5)), x)


def test_losses_at_random_times_with_and_without_a_class():
    torch.manual_seed(0)
    flow = Flow(width=16, depth=1, class_drop=0.5, dropout=0.0)
    flow._build(2, 3)
    torch.nn.init.normal_(flow.velocity.condition_layers.weight, std=0.3)
    rows, labels = two_classes(20)
    draws = rng(3)
    z, (times, chances) = torch.randn(20, 2, generator=draws), torch.rand(2, 20, generator=draws)
    found = flow.losses(rows, labels, rng(3))
    for number, (t, chance) in enumerate(zip(times, chances, strict=True)):
        x = (1 - t) * z[number] + t * rows[number]
        given = (1000 * t)[None], labels[number : number + 1], (chance < 0.5)[None]
        velocity = flow.velocity(x[None], None, flow.velocity.condition(*given))[0]
        expected = (velocity - (rows[number] - z[number])).square().mean()
        torch.testing.assert_close(found[number], expected)


def test_a_constant_dimension_is_only_moved():
    flow = Flow(width=16, depth=1, epochs=1)
    rows, labels = two_classes(40)
    rows[:, 1] = 7.0
    flow.fit(rows, labels, rng=rng())
    assert flow.scale(rows)[:, 1].abs().max().item() == pytest.approx(0.0)
