"""The contract between the benchmark and an augmenter: positive entity pairs in, generated pairs
out.

The public methods check what they are given and what comes back; a new augmenter writes the private
ones::

    @AUGMENTERS.register("mixup")
    class Mixup(Augmenter):
        '''Convex combinations of neighbouring rows, labelled with the union of their labels.'''

        def __init__(self, *, share: float = 0.2):
            self.share = share

        def _augment(self, representations, labels, *, rng):
            other = torch.randperm(len(representations), generator=rng).to(representations.device)
            mixed = torch.lerp(representations, representations[other], self.share)
            return mixed, torch.maximum(labels, labels[other])

One that learns sets `needs_fitting = True`, creates its modules in `_build` and trains them in
`_fit`; every `nn.Module` among its attributes is then stored, loaded and moved between devices
without further code. `augmenters/check.py` tells what is wrong with it. `_diagnose`, if it is
there, says how well what was learned holds on unseen pairs; the numbers end up in the run's
`quality.json`.

Randomness: `rng` is a generator on the CPU; noise is drawn there and moved to the device, so that
CPU and GPU runs see the same noise. While a private method runs, torch's global generators are
forked and seeded from `rng`: initial weights and dropout are reproducible too, and the caller's
generators stay as they were.

Suffixes: N pairs (training), P pairs (given to `augment`), Q pairs (returned), R relations incl.
the threshold class 0, d width.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from benchmark.errors import UserError

Progress = Callable[..., None]  # progress(done, total, **numbers)
Pairs = tuple[Tensor, Tensor]  # representations [N,d], labels [N,R]


class AugmenterError(UserError):
    """An augmenter was given, or returned, something that breaks the contract."""


class Augmenter:
    """Base class. Keyword-only constructor arguments with literal defaults are the hyper-parameters
    of the experiment file.
    """

    needs_fitting: ClassVar[bool] = (
        False  # True: stage 2 runs first, on representations of the same seed's `none` run
    )
    check_options: ClassVar[
        dict[str, Any]
    ] = {}  # hyper-parameters that make `augmenters.check` quick
    fitted_shape: tuple[int, int] | None = None  # (d, R) of the pairs it was fitted on

    # The public methods: what the benchmark calls.

    def fit(
        self,
        representations: Tensor,
        labels: Tensor,
        *,
        rng: torch.Generator,
        held_out: Pairs | None = None,
        progress: Progress | None = None,
    ) -> list[dict[str, Any]]:
        """Stage 2: learn from all positive training pairs, representations [N,d] and labels [N,R].

        Args:
            held_out: positive pairs of the dev split, to choose a checkpoint by.
            progress: called as `progress(done, total, **numbers)`.

        Returns one dict of numbers per epoch. Raises AugmenterError on pairs that break the
        contract.
        """
        self._check_rng(rng)
        self._check_pairs(representations, labels)
        if len(labels) == 0:
            raise AugmenterError(f"{self._name}.fit: there is no positive pair to learn from")
        d, classes = representations.shape[1], labels.shape[1]
        if held_out is not None:
            self._check_pairs(*held_out, where="held_out ", shape=(d, classes))
            held_out = _plain(*held_out) if len(held_out[1]) else None
        representations, labels = _plain(representations, labels)
        with _isolated(rng, representations.device):
            self._build(d, classes)
            self.fitted_shape = (d, classes)
            self._move(representations.device)
            return self._fit(
                representations, labels, rng=rng, held_out=held_out, progress=progress or _silent
            )

    def prepare(
        self, label_sets: Tensor, *, rng: torch.Generator, progress: Progress | None = None
    ) -> None:
        """Before stage 3: the label sets [N,R] of all positive training pairs, one row each; may
        fill a pool.

        What is generated is generated on the device of `label_sets`.
        """
        self._check_rng(rng)
        self._check_fitted("prepare")
        self._check_labels(label_sets, shape=self.fitted_shape)
        with _isolated(rng, label_sets.device), torch.no_grad():
            self._move(label_sets.device)
            self._prepare(label_sets.detach().float(), rng=rng, progress=progress or _silent)

    def augment(self, representations: Tensor, labels: Tensor, *, rng: torch.Generator) -> Pairs:
        """Stage 3: generated rows for positive rows [P,d], [P,R] of the batch, as [Q,d], [Q,R] of
        the same dtypes and device.

        Any Q is allowed, 0 included; ordinary augmenters return one row per row. No gradient flows
        back into the rows given.
        """
        self._check_rng(rng)
        self._check_fitted("augment")
        self._check_pairs(representations, labels, shape=self.fitted_shape)
        rows, wanted = _plain(representations, labels)
        with _isolated(rng, rows.device), torch.no_grad():
            self._move(rows.device)
            result = self._augment(rows, wanted, rng=rng)
        if not (
            isinstance(result, tuple)
            and len(result) == 2
            and all(isinstance(part, Tensor) for part in result)
        ):
            raise AugmenterError(
                f"{self._name}._augment must return (representations, labels), two tensors"
            )
        self._check_pairs(
            *result, where="returned ", shape=(representations.shape[1], labels.shape[1])
        )
        return result[0].to(representations), result[1].to(labels)

    def diagnose(
        self, representations: Tensor, labels: Tensor, *, rng: torch.Generator
    ) -> dict[str, float]:
        """After stage 2: how well what was learned holds on held-out positive pairs [N,d], [N,R];
        {} if there is nothing to tell.

        Any names will do; the benchmark makes something of these (benchmark/quality/pairs.py):

        * reconstruction_mse: mean squared error of the reconstructed rows, per dimension;
        * kl: divergence of the posterior from N(0, I), in nats per pair;
        * active_units, latent_units: latent dimensions whose posterior mean varies over the pairs,
          and all of them;
        * prior_error, prior_error_gaussian, prior_error_wrong_class: of a denoising prior, per
          dimension; of the best one that knows only each dimension's mean and spread; its own when
          it is told other pairs' classes.

        Raises AugmenterError on pairs that break the contract, and on values that are no finite
        numbers.
        """
        self._check_rng(rng)
        self._check_fitted("diagnose")
        self._check_pairs(representations, labels, shape=self.fitted_shape)
        if len(labels) == 0:
            return {}
        rows, wanted = _plain(representations, labels)
        with _isolated(rng, rows.device), torch.no_grad():
            self._move(rows.device)
            found = self._diagnose(rows, wanted, rng=rng)
        if not (
            isinstance(found, dict)
            and all(isinstance(v, (int, float)) and math.isfinite(v) for v in found.values())
        ):
            raise AugmenterError(
                f"{self._name}._diagnose must return a dict of finite plain numbers, got {found!r}"
            )
        return found

    def reconstruct(self, representations: Tensor) -> Tensor | None:
        """After stage 2: rows [N,d] as they come back from what was learned, without noise; None if
        nothing encodes them.
        """
        return None

    def state_dict(self) -> dict[str, Tensor]:
        """What was learned, as flat CPU tensors fit for safetensors. A pool is not part of it:
        `prepare` makes it again.
        """
        self._check_fitted("state_dict")
        if self.fitted_shape is None:
            return {}
        state = {"fitted_shape": torch.tensor(self.fitted_shape)}
        for name, module in self._modules().items():
            for key, value in module.state_dict().items():
                state[f"{name}.{key}"] = value.detach().cpu().clone().contiguous()
        return state

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state_dict` returned, into an augmenter with the same hyper-parameters.

        Raises AugmenterError when the two do not fit.
        """
        if "fitted_shape" not in state:
            if self.needs_fitting or state:
                raise AugmenterError(
                    f"{self._name}: the stored state has no 'fitted_shape'; it was not written by state_dict()"
                )
            return
        shape = tuple(state["fitted_shape"].tolist())
        with _isolated(
            torch.Generator().manual_seed(0), torch.device("cpu")
        ):  # the initial weights are overwritten
            self._build(*shape)
        self.fitted_shape = shape
        known = {"fitted_shape"}
        for name, module in self._modules().items():
            part = {
                key.removeprefix(f"{name}."): value
                for key, value in state.items()
                if key.startswith(f"{name}.")
            }
            known |= {f"{name}.{key}" for key in part}
            _load(self._name, module, part)
        if unknown := sorted(set(state) - known):
            raise AugmenterError(
                f"{self._name}: the stored state holds unknown tensors: {', '.join(unknown[:5])}"
            )

    # The private methods: what an augmenter writes.

    def _build(self, width: int, classes: int) -> None:
        """Create the modules for rows of width d and R classes. Runs before `_fit` and before a
        stored state is loaded.
        """

    def _fit(
        self,
        representations: Tensor,
        labels: Tensor,
        *,
        rng: torch.Generator,
        held_out: Pairs | None,
        progress: Progress,
    ) -> list[dict[str, Any]]:
        """Train on float32 rows [N,d], [N,R]; the history."""
        return []

    def _prepare(self, label_sets: Tensor, *, rng: torch.Generator, progress: Progress) -> None:
        """Make ready for the label sets [N,R]."""

    def _augment(self, representations: Tensor, labels: Tensor, *, rng: torch.Generator) -> Pairs:
        """Generated rows for detached rows [P,d], [P,R] of at least float32 precision, which stay
        unchanged; gradients are off.
        """
        raise NotImplementedError(
            f"{self._name} has no _augment(self, representations, labels, *, rng)"
        )

    def _diagnose(
        self, representations: Tensor, labels: Tensor, *, rng: torch.Generator
    ) -> dict[str, float]:
        """Numbers about what was learned, on held-out rows [N,d], [N,R], which stay unchanged;
        gradients are off.
        """
        return {}

    # Checks.

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _modules(self) -> dict[str, nn.Module]:
        return {name: value for name, value in vars(self).items() if isinstance(value, nn.Module)}

    def _move(self, device: torch.device) -> None:
        for module in self._modules().values():
            module.to(device)

    def _check_fitted(self, method: str) -> None:
        if self.needs_fitting and self.fitted_shape is None:
            raise AugmenterError(
                f"{self._name}.{method}: not fitted yet; call fit() or load_state_dict() first"
            )

    def _check_rng(self, rng: Any) -> None:
        if not isinstance(rng, torch.Generator) or rng.device.type != "cpu":
            raise AugmenterError(
                f"{self._name}: rng must be a torch.Generator on the CPU, got {rng!r}"
            )

    def _check_pairs(
        self,
        representations: Any,
        labels: Any,
        *,
        where: str = "",
        shape: tuple[int, int] | None = None,
    ) -> None:
        """Raises AugmenterError unless these are [P,d] finite rows and [P,R] label sets of positive
        pairs that go together.
        """
        what = f"{self._name}: {where}representations"
        if (
            not isinstance(representations, Tensor)
            or representations.ndim != 2
            or not representations.is_floating_point()
        ):
            raise AugmenterError(
                f"{what} must be a float tensor [pairs, width], got {_describe(representations)}"
            )
        if shape is not None and representations.shape[1] != shape[0]:
            raise AugmenterError(f"{what} are {representations.shape[1]} wide, expected {shape[0]}")
        self._check_labels(labels, where=where, shape=shape)
        if len(representations) != len(labels):
            raise AugmenterError(
                f"{what} have {len(representations)} rows, the labels {len(labels)}"
            )
        if representations.device != labels.device:
            raise AugmenterError(
                f"{what} are on {representations.device}, the labels on {labels.device}"
            )
        finite = representations.isfinite()
        if not finite.all():
            raise AugmenterError(
                f"{what} hold NaN or infinity, first in row {_first(~finite.all(1))}"
            )

    def _check_labels(
        self, labels: Any, *, where: str = "", shape: tuple[int, int] | None = None
    ) -> None:
        what = f"{self._name}: {where}labels"
        if (
            not isinstance(labels, Tensor)
            or labels.ndim != 2
            or not labels.is_floating_point()
            or labels.shape[1] < 2
        ):
            raise AugmenterError(
                f"{what} must be a float tensor [pairs, relations + 1], got {_describe(labels)}"
            )
        if shape is not None and labels.shape[1] != shape[1]:
            raise AugmenterError(f"{what} have {labels.shape[1]} classes, expected {shape[1]}")
        multi_hot, positive, some = (
            (labels == 0) | (labels == 1),
            labels[:, 0] == 0,
            (labels[:, 1:] != 0).any(1),
        )
        if not (
            multi_hot.all() & positive.all() & some.all()
        ):  # one synchronisation with the device
            for fault, rows in (
                ("are not multi-hot (only 0 and 1)", ~multi_hot.all(1)),
                (
                    "have the threshold class (column 0) set; only positive pairs are augmented",
                    ~positive,
                ),
                ("have no relation; only positive pairs are augmented", ~some),
            ):
                if rows.any():
                    raise AugmenterError(f"{what} {fault}: row {_first(rows)}")


def _plain(representations: Tensor, labels: Tensor) -> Pairs:
    """Detached, and half precision widened: augmenters compute in float32."""
    representations, labels = representations.detach(), labels.detach().float()
    return (
        representations.float() if representations.element_size() < 4 else representations
    ), labels


@contextlib.contextmanager
def _isolated(rng: torch.Generator, device: torch.device) -> Iterator[None]:
    """Global generators forked and seeded from `rng`; the caller's autocast off."""
    seed = int(torch.randint(2**63 - 1, (), generator=rng))
    on_cuda = device.type == "cuda"
    with (
        torch.random.fork_rng([device] if on_cuda else [], device_type="cuda"),
        torch.autocast(device.type, enabled=False),
    ):
        torch.default_generator.manual_seed(
            seed
        )  # not torch.manual_seed, which would reseed devices that are not forked
        if on_cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def _load(name: str, module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load strictly; a buffer takes the stored shape, since how many rows it keeps is known only
    after fitting.
    """
    for key, buffer in module.named_buffers():
        if key in state and state[key].shape != buffer.shape:
            owner, _, leaf = key.rpartition(".")
            setattr(module.get_submodule(owner), leaf, torch.empty_like(state[key]))
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        raise AugmenterError(
            f"{name}: the stored state does not fit; was it fitted with other hyper-parameters? {error}"
        ) from error


def _silent(done: int, total: int, **numbers: Any) -> None:
    pass


def _describe(value: Any) -> str:
    return (
        f"{value.dtype} {list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
    )


def _first(rows: Tensor) -> int:
    return int(rows.nonzero()[0, 0])
