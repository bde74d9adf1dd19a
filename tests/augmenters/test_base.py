import pytest
import torch
from safetensors.torch import load, save
from tensors import rng
from torch import nn

from augmenters.base import Augmenter, AugmenterError

ROWS, LABELS = torch.randn(3, 4, generator=torch.Generator().manual_seed(0)), torch.eye(5)[1:4]


class Shift(Augmenter):
    """Adds a learned vector."""

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
        noise = torch.randn_like(representations)  # torch's global generator: seeded from rng
        return representations + self.memory.rows.mean(
            0
        ) + self.layer.weight.mean() + noise, labels.clone()


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
        (
            ROWS[0],
            LABELS,
            r"representations must be a float tensor \[pairs, width\], got torch.float32 \[4\]",
        ),
        (ROWS.long(), LABELS, "representations must be a float tensor.*int64"),
        ([[1.0]], LABELS, "representations must be a float tensor.*list"),
        (ROWS, LABELS[:2], "there are 3, but 2 label sets"),
        (ROWS, LABELS.long(), "labels must be a float tensor.*int64"),
        (ROWS, LABELS[:, :1], "labels must be a float tensor"),
        (ROWS, LABELS * 0.5, "labels are not multi-hot .* pair 0"),
        (
            ROWS,
            torch.eye(5)[[1, 0, 2]],
            r"labels have the threshold class \(column 0\) set.* pair 1",
        ),
        (ROWS, torch.cat([LABELS[:2], torch.zeros(1, 5)]), "labels have no relation.* pair 2"),
        (
            torch.where(torch.arange(3)[:, None] == 1, torch.nan, ROWS),
            LABELS,
            "NaN or infinity, first in pair 1",
        ),
        (ROWS / 0, LABELS, "NaN or infinity"),
    ],
)
def test_wrong_pairs_are_named(rows, labels, message):
    for method in (Echo().augment, Echo().fit):
        with pytest.raises(AugmenterError, match=message):
            method(rows, labels, rng=rng())


def test_rows_must_be_as_wide_as_the_fitted_ones():
    with pytest.raises(AugmenterError, match="Shift: representations are 3 wide, expected 4"):
        fitted().augment(ROWS[:, :3], LABELS, rng=rng())
    with pytest.raises(AugmenterError, match="Shift: labels have 4 classes, expected 5"):
        fitted().augment(ROWS, LABELS[:, :4], rng=rng())
    with pytest.raises(AugmenterError, match="labels have 4 classes, expected 5"):
        fitted().prepare(LABELS[:, :4], rng=rng())
    with pytest.raises(AugmenterError, match="held_out representations are 3 wide, expected 4"):
        Shift().fit(ROWS, LABELS, rng=rng(), held_out=(ROWS[:, :3], LABELS))


@pytest.mark.parametrize("call", ["augment", "prepare", "state_dict"])
def test_an_unfitted_augmenter_says_so(call):
    arguments = {"augment": (ROWS, LABELS), "prepare": (LABELS,), "state_dict": ()}[call]
    with pytest.raises(AugmenterError, match=f"Shift.{call}: not fitted yet"):
        getattr(Shift(), call)(*arguments, **({} if call == "state_dict" else {"rng": rng()}))


def test_nothing_to_fit_on():
    with pytest.raises(AugmenterError, match="no positive pair to learn from"):
        Shift().fit(ROWS[:0], LABELS[:0], rng=rng())


def test_rng_must_be_a_cpu_generator():
    for wrong in (None, 7):
        with pytest.raises(AugmenterError, match="rng must be a torch.Generator on the CPU"):
            Echo().augment(ROWS, LABELS, rng=wrong)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (ROWS, r"must return \(representations, labels\)"),
        ((ROWS[:, :3], LABELS), "returned representations are 3 wide, expected 4"),
        ((ROWS[:2], LABELS), "there are 2, but 3 label sets"),
        ((ROWS * torch.nan, LABELS), "returned representations hold NaN"),
        ((ROWS, torch.eye(5)[:3]), "returned labels have the threshold class"),
    ],
)
def test_wrong_results_are_named(result, message):
    broken = Echo()
    broken._augment = lambda *_, rng: result
    with pytest.raises(AugmenterError, match=message):
        broken.augment(ROWS, LABELS, rng=rng())


def test_augmenters_see_detached_rows_of_full_precision():
    echo, rows = Echo(), ROWS.clone().requires_grad_(True)
    generated, _ = echo.augment(rows, LABELS, rng=rng())
    assert not echo.seen[0].requires_grad and not generated.requires_grad
    generated, labels = echo.augment(ROWS.bfloat16(), LABELS.bfloat16(), rng=rng())
    assert echo.seen[0].dtype == torch.float32
    assert generated.dtype == labels.dtype == torch.bfloat16 and torch.equal(
        generated, ROWS.bfloat16()
    )
    generated, _ = echo.augment(ROWS.double(), LABELS, rng=rng())
    assert generated.dtype == torch.float64


def test_global_randomness_follows_rng_and_stays_untouched():
    before = torch.random.get_rng_state()
    first, again = (
        fitted().augment(ROWS, LABELS, rng=rng(1)),
        fitted().augment(ROWS, LABELS, rng=rng(1)),
    )
    other = fitted().augment(ROWS, LABELS, rng=rng(2))
    assert torch.equal(first[0], again[0]) and not torch.equal(first[0], other[0])
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
    restored.load_state_dict(load(save(state)))
    assert torch.equal(
        restored.augment(ROWS, LABELS, rng=rng())[0], augmenter.augment(ROWS, LABELS, rng=rng())[0]
    )
    restored.load_state_dict(state)  # once more, over a used one


def test_a_state_is_a_copy():
    augmenter = fitted()
    augmenter.state_dict()["layer.weight"].zero_()
    assert augmenter.layer.weight.abs().sum() > 0


def test_a_state_that_does_not_fit():
    state = fitted().state_dict()
    with pytest.raises(AugmenterError, match="other options"):
        Shift().load_state_dict({**state, "layer.weight": torch.zeros(2, 2)})
    with pytest.raises(AugmenterError, match="other options"):
        Shift().load_state_dict({key: value for key, value in state.items() if key != "layer.bias"})
    with pytest.raises(AugmenterError, match="unknown tensors: elsewhere"):
        Shift().load_state_dict({**state, "elsewhere": torch.zeros(1)})
    with pytest.raises(AugmenterError, match="no 'fitted_shape'"):
        Shift().load_state_dict({})
    Echo().load_state_dict(Echo().state_dict())
