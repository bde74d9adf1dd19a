"""The contract between the benchmark and an augmenter.

An augmenter does one of these things, after the warm-up of stage 3 and in training only. It writes
the private method of that thing; the public methods check what goes in and what comes out.

* `_augment`: positive entity pairs in, extra pairs out;
* `_view`: the encoded text in, another view of it out, which the backbone represents again;
* `_perturb`: the representations of all real pairs in, changed ones out;
* `_adjust`: the logits of the real pairs in, changed logits out;
* `_weigh`: the labels of the real pairs in, a weight for the loss of each out;
* `_documents`: the training documents in, further ones out, once before stage 3. A step then takes
  as many of them as of its own documents, and all their pairs enter the loss.

`_perturb`, `_adjust` and `_weigh` generate nothing. They serve controls: cheap
rivals that a generator has to beat.

The smallest one::

    @AUGMENTERS.register("mixup")
    class Mixup(Augmenter):
        '''Convex combinations of two pairs, labelled with the union of their labels.'''

        differentiable = True

        def __init__(self, *, share: float = 0.2):
            self.share = share

        def _augment(self, representations, labels, *, rng):
            other = torch.randperm(len(representations), generator=rng).to(representations.device)
            mixed = torch.lerp(representations, representations[other], self.share)
            return mixed, torch.maximum(labels, labels[other])

One that learns sets `needs_fitting = True`, creates its modules in `_build` and trains them in
`_fit`. Every `nn.Module` among its attributes is then stored, loaded and moved between devices.
`augmenters/check.py` tells what is wrong with an augmenter; `augmenters/diagnosis.py` lets one say
how well it has learned.

Randomness: `rng` is a generator on the CPU. Noise is drawn there and moved to the device, so that
CPU and GPU runs see the same noise. While a private method runs, torch's global generators are
forked and seeded from `rng`, so initial weights and dropout are reproducible too.

Shapes: N pairs (training), P pairs (given to `augment`), Q pairs (returned), R relations and, at
index 0, the threshold class, d width.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from benchmark.data.batches import Batch, Encoded
from benchmark.data.pairs import Pairs
from benchmark.errors import UserError

THINGS = ("augment", "view", "perturb", "adjust", "weigh", "documents")  # what an augmenter may do
Progress = Callable[..., None]  # progress(done, total, **numbers)
Document = dict[str, Any]  # a row of `benchmark.data.documents.FEATURES`
Tensors = tuple[Tensor, Tensor]  # representations and their labels


class AugmenterError(UserError):
    """An augmenter was given, or returned, something that breaks the contract."""


class Augmenter:
    """Base class. Keyword-only constructor arguments are the options of the experiment file.

    Attributes:
        needs_fitting: stage 2 runs first, on the pairs of the `none` run of the same seed.
        differentiable: what is given keeps its gradient, so the loss of what comes back trains the
            encoder too. Else everything is detached.
        soft_labels: returned labels may lie between 0 and 1.
        pairs_of_view: "positive" pairs of a view enter the loss, or "all" of them.
        encodes_again: the view starts from a second encoding of the same text, with other dropout.
        rewrites: the further documents are versions of the training documents, one of each and in
            their order; a step takes those of its own documents.
        control: a cheap rival, shown as such in tables: what it gains needs no generated pairs.
        check_options: options that make `check` quick, such as {"epochs": 2}.
        fitted_shape: (d, R) of the pairs it was fitted on, or None.
    """

    needs_fitting: ClassVar[bool] = False
    differentiable: bool = False
    soft_labels: bool = False
    pairs_of_view: str = "positive"
    encodes_again: ClassVar[bool] = False
    rewrites: ClassVar[bool] = False
    control: ClassVar[bool] = False
    check_options: ClassVar[dict[str, Any]] = {}
    fitted_shape: tuple[int, int] | None = None

    # The public methods: what the benchmark calls.

    @classmethod
    def does(cls) -> str:
        """Which of THINGS the class has written."""
        written = [name for name in THINGS if _writes(cls, f"_{name}")]
        return written[-1] if written else "augment"

    def fit(
        self,
        representations: Tensor,
        labels: Tensor,
        *,
        rng: torch.Generator,
        held_out: Pairs | None = None,
        progress: Progress | None = None,
    ) -> list[dict[str, Any]]:
        """Stage 2: learn from all positive training pairs [N,d], [N,R].

        Args:
            held_out: positive pairs of the dev split, to choose a checkpoint by.
            progress: called as `progress(done, total, **numbers)`.

        Returns one dict of numbers per epoch. Raises AugmenterError on pairs that break the
        contract.
        """
        self._check_rng(rng)
        self._check_pairs(representations, labels)
        self._require(len(labels), ".fit: there is no positive pair to learn from")
        d, classes = representations.shape[1], labels.shape[1]
        if held_out is not None:
            self._check_pairs(*held_out, where="held_out ", shape=(d, classes))
            held_out = Pairs(*plain(*held_out))
            held_out = held_out if len(held_out.labels) else None
        representations, labels = plain(representations, labels)
        with isolated(rng, representations.device):
            self._build(d, classes)
            self.fitted_shape = (d, classes)
            self._move(representations.device)
            return self._fit(
                representations, labels, rng=rng, held_out=held_out, progress=progress or _silent
            )

    def prepare(
        self, label_sets: Tensor, *, rng: torch.Generator, progress: Progress | None = None
    ) -> None:
        """Before stage 3: see the label sets [N,R] of all positive training pairs.

        Always called, on the device that stage 3 runs on.
        """
        self._check_rng(rng)
        self._check_fitted("prepare")
        self._check_labels(label_sets, shape=self.fitted_shape)
        with isolated(rng, label_sets.device), torch.no_grad():
            self._move(label_sets.device)
            self._prepare(label_sets.detach().float(), rng=rng, progress=progress or _silent)

    def augment(self, representations: Tensor, labels: Tensor, *, rng: torch.Generator) -> Tensors:
        """Extra pairs [Q,d], [Q,R] for positive pairs [P,d], [P,R] of a batch.

        Any Q is allowed, 0 included; most augmenters return one pair for each pair. Dtype and
        device are those of the pairs given.
        """
        self._check_rng(rng)
        self._check_fitted("augment")
        self._check_pairs(representations, labels, shape=self.fitted_shape)
        given, wanted = plain(representations, labels, detach=not self.differentiable)
        with isolated(rng, given.device), torch.set_grad_enabled(self._keeps_gradient):
            self._move(given.device)
            result = self._augment(given, wanted, rng=rng)
        is_pair = isinstance(result, tuple) and len(result) == 2
        self._require(
            is_pair and all(isinstance(part, Tensor) for part in result),
            "._augment must return (representations, labels), two tensors",
        )
        shape = (representations.shape[1], labels.shape[1])
        self._check_pairs(*result, where="returned ", shape=shape, soft=self.soft_labels)
        return result[0].to(representations), result[1].to(labels)

    def view(self, encoded: Encoded, batch: Batch, *, rng: torch.Generator) -> Encoded:
        """Another view of an encoded batch: states [D,L,d] and attention rows [M,heads,L] or None,
        of the same shapes.
        """
        self._check_rng(rng)
        self._check_fitted("view")
        given = encoded if self.differentiable else Encoded(*map(_detached, encoded))
        with isolated(rng, encoded.states.device), torch.set_grad_enabled(self._keeps_gradient):
            self._move(encoded.states.device)
            result = self._view(given, batch, rng=rng)
        for name, before, after in zip(("states", "rows"), encoded, result, strict=True):
            if before is None:
                self._require(after is None, f"._view must return no {name} if it gets none")
                continue
            self._check_same_shape("_view", name, after, before)
            self._require(after.isfinite().all(), f"._view returned {name} with NaN or infinity")
        return Encoded(*(a if a is None else a.to(b) for a, b in zip(result, encoded, strict=True)))

    def perturb(self, representations: Tensor, labels: Tensor, *, rng: torch.Generator) -> Tensor:
        """The representations [P,d] of all pairs of a batch as the classifier will see them."""
        self._check_rng(rng)
        self._check_fitted("perturb")
        with isolated(rng, representations.device):
            result = self._perturb(representations, labels, rng=rng)
        self._check_same_shape("_perturb", "representations", result, representations)
        return result.to(representations)

    def weigh(self, labels: Tensor) -> Tensor:
        """The weight [P] of each pair of a batch in the loss, given their labels [P,R]."""
        self._check_fitted("weigh")
        result = self._weigh(labels)
        self._check_same_shape("_weigh", "weights", result, labels[:, 0])
        return result

    def adjust(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The logits [P,R] of a batch's pairs, given their labels, as the loss will see them."""
        self._check_fitted("adjust")
        result = self._adjust(logits, labels)
        self._check_same_shape("_adjust", "logits", result, logits)
        return result

    def documents(self, documents: list[Document], *, rng: torch.Generator) -> list[Document]:
        """Further training documents, given those of the corpus.

        All are rows of `benchmark.data.documents.FEATURES`. What comes back is checked by the rules
        of `data validate` before it is used.
        """
        self._check_rng(rng)
        self._check_fitted("documents")
        with isolated(rng, torch.device("cpu")):
            result = self._documents(documents, rng=rng)
        self._require(
            isinstance(result, list) and result,
            "._documents must return a list of at least one document",
        )
        self._require(
            not self.rewrites or len(result) == len(documents),
            f".rewrites is set, so _documents must return one document for each of the "
            f"{len(documents)}; it returned {len(result)}",
        )
        return result

    def state_dict(self) -> dict[str, Tensor]:
        """What was learned, as flat CPU tensors fit for safetensors.

        It leaves out what `prepare` makes, which is made again.
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
        """Restore what `state_dict` returned, into an augmenter with the same options.

        Raises AugmenterError when the two do not fit.
        """
        if not state and not self.needs_fitting:
            return
        self._require(
            "fitted_shape" in state,
            ": the stored state has no 'fitted_shape'; state_dict() did not write it",
        )
        shape = tuple(state["fitted_shape"].tolist())
        # the initial weights are overwritten
        with isolated(torch.Generator().manual_seed(0), torch.device("cpu")):
            self._build(*shape)
        self.fitted_shape = shape
        left = {key: value for key, value in state.items() if key != "fitted_shape"}
        for name, module in self._modules().items():
            own = [key for key in left if key.startswith(f"{name}.")]
            self._load(module, {key.removeprefix(f"{name}."): left.pop(key) for key in own})
        unknown = ", ".join(sorted(left)[:5])
        self._require(not left, f": the stored state holds unknown tensors: {unknown}")

    # The private methods: what an augmenter writes.

    def _build(self, width: int, classes: int) -> None:
        """Create the modules for pairs of width d and R classes. Runs before `_fit` and before a
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
        """Train on float32 pairs [N,d], [N,R]; the history."""
        return []

    def _prepare(self, label_sets: Tensor, *, rng: torch.Generator, progress: Progress) -> None:
        """Make ready for the label sets [N,R]; gradients are off."""

    def _augment(self, representations: Tensor, labels: Tensor, *, rng: torch.Generator) -> Tensors:
        """Extra pairs for pairs [P,d], [P,R] of at least float32 precision, which stay unchanged.

        Gradients are on only if the class is `differentiable`.
        """
        raise NotImplementedError(f"{type(self).__name__} writes none of {', '.join(THINGS)}")

    def _view(self, encoded: Encoded, batch: Batch, *, rng: torch.Generator) -> Encoded:
        """Another view of the encoded text, which stays unchanged."""
        raise NotImplementedError

    def _perturb(self, representations: Tensor, labels: Tensor, *, rng: torch.Generator) -> Tensor:
        """The representations [P,d] of all real pairs, changed; gradients flow through."""
        raise NotImplementedError

    def _adjust(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The logits [P,R] for the loss; gradients flow through."""
        raise NotImplementedError

    def _weigh(self, labels: Tensor) -> Tensor:
        """A weight [P] of at least 0 for each real pair; the loss still divides by P."""
        raise NotImplementedError

    def _documents(self, documents: list[Document], *, rng: torch.Generator) -> list[Document]:
        """Further training documents; those given stay unchanged."""
        raise NotImplementedError

    # Checks.

    def _require(self, condition: Any, message: str) -> None:
        """`message` goes on from the class's name."""
        if not condition:
            raise AugmenterError(f"{type(self).__name__}{message}")

    @property
    def _keeps_gradient(self) -> bool:
        return self.differentiable and torch.is_grad_enabled()

    def _modules(self) -> dict[str, nn.Module]:
        return {name: value for name, value in vars(self).items() if isinstance(value, nn.Module)}

    def _move(self, device: torch.device) -> None:
        for module in self._modules().values():
            module.to(device)

    def _load(self, module: nn.Module, state: dict[str, Tensor]) -> None:
        """Load strictly, except that a buffer takes the stored shape: how many pairs it keeps is
        known only after fitting.
        """
        for key, buffer in module.named_buffers():
            if key in state and state[key].shape != buffer.shape:
                owner, _, leaf = key.rpartition(".")
                setattr(module.get_submodule(owner), leaf, torch.empty_like(state[key]))
        try:
            module.load_state_dict(state)
        except RuntimeError as error:
            raise AugmenterError(
                f"{type(self).__name__}: the stored state does not fit; "
                f"was it fitted with other options? {error}"
            ) from error

    def _check_fitted(self, method: str) -> None:
        self._require(
            self.fitted_shape is not None or not self.needs_fitting,
            f".{method}: not fitted yet; call fit() or load_state_dict() first",
        )

    def _check_rng(self, rng: Any) -> None:
        on_cpu = isinstance(rng, torch.Generator) and rng.device.type == "cpu"
        self._require(on_cpu, f": rng must be a torch.Generator on the CPU, got {rng!r}")

    def _check_same_shape(self, method: str, what: str, result: Any, given: Tensor) -> None:
        self._require(
            isinstance(result, Tensor) and result.shape == given.shape,
            f".{method} must return {what} {list(given.shape)}, got {_describe(result)}",
        )

    def _check_pairs(
        self,
        representations: Any,
        labels: Any,
        *,
        where: str = "",
        shape: tuple[int, int] | None = None,
        soft: bool = False,
    ) -> None:
        """Raise AugmenterError unless these are finite [P,d] and label sets [P,R] of one device.

        Args:
            where: what stands before "representations" and "labels" in messages.
            shape: (d, R) that is expected.
            soft: labels may lie between 0 and 1.
        """
        what = f": {where}representations"
        self._require(
            _is_float_matrix(representations),
            f"{what} must be a float tensor [pairs, width], got {_describe(representations)}",
        )
        count, d = representations.shape
        self._require(
            shape is None or d == shape[0], f"{what} are {d} wide, expected {shape and shape[0]}"
        )
        self._check_labels(labels, where=where, shape=shape, soft=soft)
        self._require(
            count == len(labels), f"{what}: there are {count}, but {len(labels)} label sets"
        )
        devices = representations.device, labels.device
        self._require(
            devices[0] == devices[1], f"{what} are on {devices[0]}, the labels on {devices[1]}"
        )
        finite = representations.isfinite()
        if not finite.all():
            first = _first(~finite.all(1))
            self._require(False, f"{what} hold NaN or infinity, first in pair {first}")

    def _check_labels(
        self,
        labels: Any,
        *,
        where: str = "",
        shape: tuple[int, int] | None = None,
        soft: bool = False,
    ) -> None:
        what = f": {where}labels"
        self._require(
            _is_float_matrix(labels) and labels.shape[1] > 1,
            f"{what} must be a float tensor [pairs, relations + 1], got {_describe(labels)}",
        )
        classes = labels.shape[1]
        self._require(
            shape is None or classes == shape[1],
            f"{what} have {classes} classes, expected {shape and shape[1]}",
        )
        if soft:
            allowed, fault = (labels >= 0) & (labels <= 1), "must lie between 0 and 1"
            positive = torch.ones_like(labels[:, 0], dtype=torch.bool)
        else:
            allowed = (labels == 0) | (labels == 1)
            fault = "are not multi-hot (only 0 and 1); soft ones need soft_labels = True"
            positive = labels[:, 0] == 0
        some = (labels[:, 1:] != 0).any(1)
        if allowed.all() & positive.all() & some.all():  # one sync with the device
            return
        only = "only positive pairs are augmented"
        for found, text in (
            (allowed.all(1), fault),
            (positive, f"have the threshold class (column 0) set; {only}"),
            (some, f"have no relation; {only}"),
        ):
            if not found.all():
                self._require(False, f"{what} {text}: pair {_first(~found)}")


def plain(representations: Tensor, labels: Tensor, *, detach: bool = True) -> Tensors:
    """Detached, and half precision widened: augmenters compute in float32."""
    if detach:
        representations = representations.detach()
    if representations.element_size() < 4:
        representations = representations.float()
    return representations, labels.detach().float()


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


def _writes(cls: type, method: str) -> bool:
    return getattr(cls, method) is not getattr(Augmenter, method)


def _silent(done: int, total: int, **numbers: Any) -> None:
    pass


def _detached(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.detach()


def _is_float_matrix(value: Any) -> bool:
    return isinstance(value, Tensor) and value.ndim == 2 and value.is_floating_point()


def _describe(value: Any) -> str:
    is_tensor = isinstance(value, Tensor)
    return f"{value.dtype} {list(value.shape)}" if is_tensor else type(value).__name__


def _first(found: Tensor) -> int:
    return int(found.nonzero()[0, 0])
