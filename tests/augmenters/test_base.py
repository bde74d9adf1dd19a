import pytest
import torch
from safetensors.torch import load, save
from tensors import rng
from torch import nn

from augmenters.base import Augmenter, AugmenterError
from benchmark.data.batches import Encoded
from benchmark.data.pairs import Pairs

ROWS, LABELS = torch.randn(3, 4, generator=rng()), torch.eye(5)[1:4]
WITH_NAN = torch.where(torch.arange(3)[:, None] == 1, torch.nan, ROWS)


class Shift(Augmenter):
    """Adds a learned vector, and noise from torch's global generator, which is seeded from rng."""

    needs_fitting = True

    def _build(self, width, classes):
        self.layer = nn.Linear(width, classes)
        self.memory = nn.Module()
        self.memory.register_buffer("rows", torch.empty(0, width))

    def _fit(self, representations, labels, *, rng, held_out, progress):
        self.memory.rows = representations.clone()
        progress(1, 1, loss=0.5)
        return [{"epoch": 1, "loss": 0.5}]

    def _augment(self, representations, labels, *, rng):
        shift = self.memory.rows.mean(0) + self.layer.weight.mean()
        return representations + shift + torch.randn_like(representations), labels.clone()


class Echo(Augmenter):
    """Keeps what it is given."""

    def _augment(self, representations, labels, *, rng):
        self.seen = representations, labels
        return representations.clone(), labels.clone()


def fitted():
    augmenter = Shift()
    augmenter.fit(ROWS, LABELS, rng=rng())
    return augmenter


@pytest.mark.parametrize(
    ("rows", "labels", "message"),
    [
        (ROWS[0], LABELS, r"representations must be a float tensor \[pairs, width\], got .* \[4\]"),
        (ROWS.long(), LABELS, "representations must be a float tensor.*int64"),
        ([[1.0]], LABELS, "representations must be a float tensor.*list"),
        (ROWS, LABELS[:2], "3 on cpu representations, but 2 on cpu label sets"),
        (ROWS, LABELS.long(), "labels must be a float tensor.*int64"),
        (ROWS, LABELS * 0.5, "labels must be 0 or 1, .*: pair 0"),
        (ROWS, torch.eye(5)[[1, 0, 2]], r"threshold class \(column 0\) set: pair 1"),
        (ROWS, torch.cat([LABELS[:2], torch.zeros(1, 5)]), "labels have no relation.*: pair 2"),
        (WITH_NAN, LABELS, "NaN or infinity: pair 1"),
    ],
)
def test_wrong_pairs_are_named(rows, labels, message):
    for method in (Echo().augment, Echo().fit):
        with pytest.raises(AugmenterError, match=f"Echo: .*{message}"):
            method(rows, labels, rng=rng())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fitted().augment(ROWS[:, :3], LABELS, rng=rng()), "are 3 wide, expected 4"),
        (lambda: fitted().augment(ROWS, LABELS[:, :4], rng=rng()), "labels are 4 wide, expected 5"),
        (
            lambda: Shift().fit(ROWS, LABELS, rng=rng(), held_out=Pairs(ROWS[:, :3], LABELS)),
            "held_out representations are 3 wide, expected 4",
        ),
        (lambda: Shift().fit(ROWS[:0], LABELS[:0], rng=rng()), "no positive pair to learn from"),
        (lambda: Shift().augment(ROWS, LABELS, rng=rng()), r"not fitted yet.* before augment\(\)"),
        (lambda: Shift().state_dict(), r"not fitted yet.* before state_dict\(\)"),
        (lambda: fitted().augment(ROWS, LABELS, rng=7), "rng must be a torch.Generator on the CPU"),
    ],
)
def test_wrong_calls_are_named(call, message):
    with pytest.raises(AugmenterError, match=f"Shift: .*{message}"):
        call()


@pytest.mark.parametrize("rows", [None, torch.ones(2, 3)])
def test_a_view_has_rows_if_and_only_if_it_is_given_some(rows):
    class Viewed(Augmenter):
        def _view(self, encoded, batch, *, rng):
            return Encoded(encoded.states.clone(), torch.ones(2, 3) if rows is None else None)

    with pytest.raises(AugmenterError, match="Viewed: _view must return rows like"):
        Viewed().view(Encoded(torch.ones(1, 2, 3), rows), None, rng=rng())


@pytest.mark.parametrize(("found", "what"), [(None, "NoneType"), (ROWS, r"float32 \[3, 4\]")])
def test_a_view_is_an_encoding(found, what):
    class Viewed(Augmenter):
        def _view(self, encoded, batch, *, rng):
            return found

    with pytest.raises(AugmenterError, match=f"Viewed: _view must return an Encoded, got .*{what}"):
        Viewed().view(Encoded(torch.ones(1, 2, 3), None), None, rng=rng())


def test_augmenters_see_detached_rows_of_full_precision():
    echo, rows = Echo(), ROWS.clone().requires_grad_(True)
    generated, _ = echo.augment(rows, LABELS, rng=rng())
    assert not echo.seen[0].requires_grad and not generated.requires_grad
    generated, labels = echo.augment(ROWS.bfloat16(), LABELS.bfloat16(), rng=rng())
    assert echo.seen[0].dtype == torch.float32
    assert generated.dtype == labels.dtype == torch.bfloat16
    assert torch.equal(generated, ROWS.bfloat16())
    generated, _ = echo.augment(ROWS.double(), LABELS, rng=rng())
    assert generated.dtype == torch.float64


def test_global_randomness_follows_rng_and_stays_untouched():
    before = torch.random.get_rng_state()
    first, again, other = (fitted().augment(ROWS, LABELS, rng=rng(seed))[0] for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(before, torch.random.get_rng_state())


def test_augmenting_inside_autocast_keeps_float32():
    with torch.autocast("cpu", torch.bfloat16):
        echo = Echo()
        echo._augment = lambda rows, labels, *, rng: (rows @ torch.eye(4), labels.clone())
        generated, _ = echo.augment(ROWS, LABELS, rng=rng())
    torch.testing.assert_close(generated, ROWS)


def test_state_round_trip_restores_modules_and_buffers_of_any_length():
    augmenter, restored = fitted(), Shift()
    state = augmenter.state_dict()
    assert set(state) == {"fitted_shape", "layer.weight", "layer.bias", "memory.rows"}
    for _ in range(2):  # once more, over a used one
        restored.load_state_dict(load(save(state)))
    results = [one.augment(ROWS, LABELS, rng=rng())[0] for one in (restored, augmenter)]
    assert torch.equal(*results)
    state["layer.weight"].zero_()  # a state is a copy
    assert augmenter.layer.weight.abs().sum() > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: {**state, "layer.weight": torch.zeros(2, 2)}, "other options"),
        (lambda state: {k: v for k, v in state.items() if k != "layer.bias"}, "other options"),
        (lambda state: {**state, "elsewhere": torch.zeros(1)}, "Unexpected key.*elsewhere"),
        (lambda state: {}, "no 'fitted_shape'"),
    ],
)
def test_a_state_that_does_not_fit(change, message):
    with pytest.raises(AugmenterError, match=message):
        Shift().load_state_dict(change(fitted().state_dict()))


def test_what_learns_nothing_has_an_empty_state():
    Echo().load_state_dict(Echo().state_dict())
