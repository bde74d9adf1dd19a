"""What augmenters may be given and may return, and the surroundings that they work in."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from benchmark.errors import UserError


class AugmenterError(UserError):
    """An augmenter was given, or returned, something that breaks the contract."""


def require(condition: Any, message: str) -> None:
    if not condition:
        raise AugmenterError(message)


def check_pairs(
    what: str,
    representations: Any,
    labels: Any,
    *,
    shape: tuple[int, int] | None = None,
    soft: bool = False,
) -> None:
    """Raise AugmenterError unless these are finite [P,d] and label sets [P,R] of one device.

    Args:
        what: begins each message.
        shape: (d, R) that is expected; None: any.
        soft: labels may lie between 0 and 1.
    """
    d, R = shape or (None, None)
    _check_matrix(f"{what}representations", representations, "[pairs, width]", d)
    _check_matrix(f"{what}labels", labels, "[pairs, relations + 1]", R)
    one, other = (f"{len(part)} on {part.device}" for part in (representations, labels))
    require(one == other, f"{what}{one} representations, but {other} label sets")
    multi_hot = labels.ge(0) & labels.le(1) if soft else labels.eq(0) | labels.eq(1)
    rows = {  # what every pair must be -> whether it is
        "representations hold NaN or infinity": representations.isfinite().all(1),
        "labels must be 0 or 1, or between with soft_labels = True": multi_hot.all(1),
        "labels have the threshold class (column 0) set": soft | (labels[:, 0] == 0),
        "labels have no relation, and only positive pairs are augmented": labels[:, 1:].any(1),
    }
    if not torch.stack([sound.all() for sound in rows.values()]).all():  # one sync with the device
        fault = next(fault for fault, sound in rows.items() if not sound.all())
        raise AugmenterError(f"{what}{fault}: pair {int((~rows[fault]).nonzero()[0, 0])}")


def _check_matrix(what: str, value: Any, form: str, width: int | None) -> None:
    sound = isinstance(value, Tensor) and value.ndim == 2 and value.is_floating_point()
    require(sound, f"{what} must be a float tensor {form}, got {describe(value)}")
    require(width in (None, value.shape[1]), f"{what} are {value.shape[1]} wide, expected {width}")


def describe(value: Any) -> str:
    is_tensor = isinstance(value, Tensor)
    return f"{value.dtype} {list(value.shape)}" if is_tensor else type(value).__name__


def plain(representations: Tensor, labels: Tensor, *, detach: bool = True) -> tuple[Tensor, Tensor]:
    """Detached, and half precision widened: augmenters compute in float32."""
    representations = representations.detach() if detach else representations
    wide = torch.promote_types(representations.dtype, torch.float32)
    return representations.to(wide), labels.detach().float()


@contextlib.contextmanager
def isolated(rng: torch.Generator, device: torch.device) -> Iterator[None]:
    """Global generators forked and seeded from `rng`; the caller's autocast off."""
    seed = int(torch.randint(2**63 - 1, (), generator=rng))
    on_cuda = device.type == "cuda"
    with (
        torch.random.fork_rng([device] if on_cuda else [], device_type="cuda"),
        torch.autocast(device.type, enabled=False),
    ):
        # not torch.manual_seed, which would reseed devices that are not forked
        torch.default_generator.manual_seed(seed)
        if on_cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield
