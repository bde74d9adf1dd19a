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

`_perturb`, `_adjust` and `_weigh` generate nothing: they serve controls, cheap rivals that a
generator has to beat. `none.py`, `copies.py` and `gaussian.py` are small examples.

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

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from augmenters.soundness import AugmenterError, check_pairs, describe, isolated, plain, require
from benchmark.data.batches import Batch, Encoded
from benchmark.data.pairs import Pairs

THINGS = ("augment", "view", "perturb", "adjust", "weigh", "documents")  # what an augmenter may do
Progress = Callable[..., None]  # progress(done, total, **numbers)
Document = dict[str, Any]  # a row of `benchmark.data.documents.FEATURES`
Tensors = tuple[Tensor, Tensor]  # representations and their labels
CPU = torch.device("cpu")


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
        return (cls.written() or ["augment"])[-1]

    @classmethod
    def written(cls) -> list[str]:
        own = lambda method: getattr(cls, method) is not getattr(Augmenter, method)
        return [name for name in THINGS if own(f"_{name}")]

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
        check_pairs(self._says, representations, labels)
        require(len(labels), f"{self._says}there is no positive pair to learn from")
        self.fitted_shape = (representations.shape[1], labels.shape[1])
        if held_out is not None:
            check_pairs(f"{self._says}held_out ", *held_out, shape=self.fitted_shape)
            held_out = Pairs(*plain(*held_out)) if len(held_out.labels) else None
        options = {"held_out": held_out, "progress": progress or _silent}
        with self._working("fit", rng, labels.device):
            self._build(*self.fitted_shape)
            self._move(labels.device)
            return self._fit(*plain(representations, labels), rng=rng, **options)

    def prepare(
        self, label_sets: Tensor, *, rng: torch.Generator, progress: Progress | None = None
    ) -> None:
        """Before stage 3: see the label sets [N,R] of all positive training pairs.

        Always called, on the device that stage 3 runs on.
        """
        with self._working("prepare", rng, label_sets.device, gradient=False):
            self._prepare(label_sets.detach().float(), rng=rng, progress=progress or _silent)

    def augment(self, representations: Tensor, labels: Tensor, *, rng: torch.Generator) -> Tensors:
        """Extra pairs [Q,d], [Q,R] for positive pairs [P,d], [P,R] of a batch.

        Any Q is allowed, 0 included; most augmenters return one pair for each pair. Dtype and
        device are those of the pairs given.
        """
        check_pairs(self._says, representations, labels, shape=self.fitted_shape)
        given = plain(representations, labels, detach=not self.differentiable)
        with self._working("augment", rng, labels.device, gradient=self.differentiable):
            result = self._augment(*given, rng=rng)
        is_pair = isinstance(result, tuple) and len(result) == 2
        require(is_pair, f"{self._says}_augment must return (representations, labels)")
        shape = (representations.shape[1], labels.shape[1])
        check_pairs(f"{self._says}returned ", *result, shape=shape, soft=self.soft_labels)
        return result[0].to(representations), result[1].to(labels)

    def view(self, encoded: Encoded, batch: Batch, *, rng: torch.Generator) -> Encoded:
        """Another view of an encoded batch: states [D,L,d] and attention rows [M,heads,L] or None,
        of the same shapes.
        """
        given = (
            encoded
            if self.differentiable
            else Encoded(*(p if p is None else p.detach() for p in encoded))
        )
        with self._working("view", rng, encoded.states.device, gradient=self.differentiable):
            result = self._view(given, batch, rng=rng)
        parts = zip(Encoded._fields, result, encoded, strict=True)
        return Encoded(*(self._like("_view", *part) for part in parts))

    def perturb(self, representations: Tensor, labels: Tensor, *, rng: torch.Generator) -> Tensor:
        """The representations [P,d] of all pairs of a batch as the classifier will see them."""
        with self._working("perturb", rng, representations.device):
            result = self._perturb(representations, labels, rng=rng)
        return self._like("_perturb", "representations", result, representations)

    def weigh(self, labels: Tensor) -> Tensor:
        """The weight [P] of each pair of a batch in the loss, given their labels [P,R]."""
        self._require_fitted("weigh")
        return self._like("_weigh", "weights", self._weigh(labels), labels[:, 0])

    def adjust(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The logits [P,R] of a batch's pairs, given their labels, as the loss will see them."""
        self._require_fitted("adjust")
        return self._like("_adjust", "logits", self._adjust(logits, labels), logits)

    def documents(self, documents: list[Document], *, rng: torch.Generator) -> list[Document]:
        """Further training documents, given those of the corpus.

        All are rows of `benchmark.data.documents.FEATURES`. What comes back is checked by the rules
        of `data validate` before it is used.
        """
        with self._working("documents", rng, CPU):
            result = self._documents(documents, rng=rng)
        sound = isinstance(result, list) and result
        require(sound, f"{self._says}_documents must return a list of at least one document")
        require(
            not self.rewrites or len(result) == len(documents),
            f"{self._says}rewrites is set, so _documents must return one document for each of the "
            f"{len(documents)}; it returned {len(result)}",
        )
        return result

    def state_dict(self) -> dict[str, Tensor]:
        """What was learned, as flat CPU tensors fit for safetensors.

        It leaves out what `prepare` makes, which is made again.
        """
        self._require_fitted("state_dict")
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
        left = dict(state)
        require("fitted_shape" in left, f"{self._says}the stored state has no 'fitted_shape'")
        shape = tuple(left.pop("fitted_shape").tolist())
        # the initial weights are overwritten
        with isolated(torch.Generator().manual_seed(0), CPU):
            self._build(*shape)
        self.fitted_shape = shape
        for name, module in self._modules().items():
            own = [key for key in left if key.startswith(f"{name}.")]
            self._load(module, {key.removeprefix(f"{name}."): left.pop(key) for key in own})
        unknown = ", ".join(sorted(left)[:5])
        require(not left, f"{self._says}the stored state holds unknown tensors: {unknown}")

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

    # What the public methods share.

    @property
    def _says(self) -> str:
        """How messages begin."""
        return f"{type(self).__name__}: "

    @contextlib.contextmanager
    def _working(
        self, method: str, rng: torch.Generator, device: torch.device, *, gradient: bool = True
    ) -> Iterator[None]:
        """Where a private method runs: isolated, its modules on the device."""
        on_cpu = isinstance(rng, torch.Generator) and rng.device == CPU
        require(on_cpu, f"{self._says}rng must be a torch.Generator on the CPU, got {rng!r}")
        self._require_fitted(method)
        with isolated(rng, device), torch.set_grad_enabled(gradient and torch.is_grad_enabled()):
            self._move(device)
            yield

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
                f"{self._says}the stored state does not fit; "
                f"was it fitted with other options? {error}"
            ) from error

    def _require_fitted(self, method: str) -> None:
        fitted = self.fitted_shape is not None or not self.needs_fitting
        require(fitted, f"{self._says}not fitted yet; call fit() before {method}()")

    def _like(self, method: str, what: str, result: Any, given: Tensor | None) -> Tensor | None:
        """A result of the same shape, with the dtype and device of what was given."""
        if given is None and result is None:
            return None
        require(
            given is not None and isinstance(result, Tensor) and result.shape == given.shape,
            f"{self._says}{method} must return {what} like {describe(given)}, "
            f"got {describe(result)}",
        )
        return result.to(given)


def _silent(done: int, total: int, **numbers: Any) -> None:
    pass
