"""The contract between the benchmark and an augmenter.

An augmenter does one thing, after the warm-up of stage 3 and in training only. It implements the
private method for that thing, from `_augment` to `_documents`; the public method of the same name
checks what goes in and what comes out. `_perturb`, `_adjust` and `_weigh` generate nothing: they
serve controls, cheap rivals that a generator has to beat. `none.py`, `copies.py` and `gaussian.py`
are small examples.

One that learns sets `needs_fitting = True`, creates its modules in `_build` and trains them in
`_fit`. Every `nn.Module` among its attributes is then stored, loaded and moved between devices.
`augmenters/check.py` tells what is wrong with an augmenter; `augmenters/diagnosis.py` lets one say
how well it has learned.

Randomness: `rng` is a generator on the CPU. Noise is drawn there and moved to the device, so that
CPU and GPU runs see the same noise. While a private method runs, torch's global generators are
forked and seeded from `rng`, so initial weights and dropout are reproducible too.

Shapes: N pairs (training), P pairs (given to `augment`), Q pairs (returned), R relations and, at
index 0, the threshold class, d width. Labels are float32.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from augmenters.soundness import AugmenterError, check_pairs, describe, isolated, plain, require
from benchmark.data.batches import Batch, Encoded
from benchmark.data.pairs import Pairs
from benchmark.options import OptionModel

THINGS = ("augment", "view", "perturb", "adjust", "weigh", "documents")  # what an augmenter may do
Progress = Callable[..., None]  # progress(done, total, **numbers)
Document = dict[str, Any]  # a row of `benchmark.data.documents.FEATURES`
Tensors = tuple[Tensor, Tensor]  # representations and their labels
CPU = torch.device("cpu")


def silent(done: int, total: int, **numbers: Any) -> None:
    """Progress that nobody watches."""


class Augmenter:
    """Base class. Its options in the experiment file are the fields of a nested `Options`
    (benchmark/options.py), or the keyword-only arguments of a constructor of its own.

    Attributes:
        needs_fitting: stage 2 runs first, on the pairs of the `none` run of the same seed.
        differentiable: its input keeps the gradient, so that the loss of its output trains the
            encoder, too. Else everything is detached.
        soft_labels: returned labels may lie between 0 and 1.
        pairs_of_view: "positive" pairs of a view enter the loss, or "all" of them.
        encodes_again: the view starts from a second encoding of the same text, with other dropout.
        rewrites: the further documents are versions of the training documents, one of each and in
            their order; a step takes those of its own documents.
        documents_file: the file in DocRED's format that the further documents stand in, if any; it
            is looked at before anything is trained.
        reads_attention: it changes what a backbone makes of attention, so it is for backbones and
            encoders with attention alone.
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
    documents_file: Path | None = None
    reads_attention: ClassVar[bool] = False
    control: ClassVar[bool] = False
    check_options: ClassVar[dict[str, Any]] = {}
    fitted_shape: tuple[int, int] | None = None

    def __init__(self, **options: Any):
        self.options = getattr(self, "Options", OptionModel).of(options)

    # The private methods: what an augmenter writes. What they are given stays unchanged.

    def _augment(self, representations: Tensor, labels: Tensor, *, rng: torch.Generator) -> Tensors:
        """Extra pairs [Q,d], [Q,R] for the positive pairs [P,d], [P,R] of a batch, of at least
        float32 precision.

        Any Q is allowed, 0 included; most augmenters return one pair for each pair. Gradients are
        on only if the class is `differentiable`.
        """
        methods = ", ".join(f"_{thing}" for thing in THINGS)
        raise NotImplementedError(f"{type(self).__name__} implements none of {methods}")

    def _view(self, encoded: Encoded, batch: Batch, *, rng: torch.Generator) -> Encoded:
        """Another view of the encoded text, which the backbone represents again: states [D,L,d]
        and attention rows [M,heads,L] or None, of the same shapes; `kept`, to hide tokens from
        single pairs. What it leaves as it is must be a copy, too: start from
        `encoded.changed(Tensor.clone)`. A batch has the optional fields that the backbone or the
        encoder needs, and no others.
        """
        raise NotImplementedError

    def _perturb(self, representations: Tensor, labels: Tensor, *, rng: torch.Generator) -> Tensor:
        """The representations [P,d] of all real pairs of a batch, changed, as the classifier will
        see them; gradients flow through.
        """
        raise NotImplementedError

    def _adjust(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The logits [P,R] of the real pairs as the loss will see them; gradients flow through."""
        raise NotImplementedError

    def _weigh(self, labels: Tensor) -> Tensor:
        """A weight [P] of at least 0 for the loss of each real pair, given the labels [P,R]; the
        loss still divides by P.
        """
        raise NotImplementedError

    def _documents(self, documents: list[Document], *, rng: torch.Generator) -> list[Document]:
        """Further training documents, once before stage 3, given those of the corpus.

        A step then takes as many of them as of its own documents, and all their pairs enter the
        loss. They are checked by the rules of `data validate` before they are used.
        """
        raise NotImplementedError

    def _prepare(self, label_sets: Tensor, *, rng: torch.Generator, progress: Progress) -> None:
        """Before stage 3, always: make ready for the label sets [N,R] of all positive training
        pairs, on the device that stage 3 runs on; gradients are off.
        """

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
        """Stage 2: train on all positive training pairs, float32 [N,d], [N,R].

        Args:
            held_out: positive pairs of the dev split, to choose a checkpoint by; None if it has
                none.
            progress: to be called as `progress(done, total, **numbers)`.

        Returns one dict of numbers per epoch.
        """
        return []

    # The public methods: what the benchmark calls. They raise AugmenterError where the contract is
    # broken, and return the dtype and device that they are given.

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
        progress: Progress = silent,
    ) -> list[dict[str, Any]]:
        """Stage 2, by `_fit`."""
        check_pairs(self._says, representations, labels)
        require(len(labels), f"{self._says}there is no positive pair to learn from")
        self.fitted_shape = (representations.shape[1], labels.shape[1])
        if held_out is not None:
            check_pairs(f"{self._says}held_out ", *held_out, shape=self.fitted_shape)
            held_out = Pairs(*plain(*held_out)) if len(held_out.labels) else None
        given = plain(representations, labels)
        with self._working("fit", rng, labels.device):
            self._build(*self.fitted_shape)
            self._modules().to(labels.device)
            return self._fit(*given, rng=rng, held_out=held_out, progress=progress)

    def prepare(
        self, label_sets: Tensor, *, rng: torch.Generator, progress: Progress = silent
    ) -> None:
        """What precedes stage 3, by `_prepare`."""
        with self._working("prepare", rng, label_sets.device, gradient=False):
            self._prepare(label_sets.detach().float(), rng=rng, progress=progress)

    def augment(self, representations: Tensor, labels: Tensor, *, rng: torch.Generator) -> Tensors:
        """Extra pairs, by `_augment`."""
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
        """Another view of an encoded batch, by `_view`."""
        given = encoded
        if not self.differentiable:
            given = encoded.changed(Tensor.detach)
        with self._working("view", rng, encoded.states.device, gradient=self.differentiable):
            result = self._view(given, batch, rng=rng)
        is_view = isinstance(result, Encoded)
        require(is_view, f"{self._says}_view must return an Encoded, got {describe(result)}")
        if result.kept is not None:
            documents, tokens = encoded.states.shape[:2]
            cells = (documents, batch.largest, batch.largest, tokens)
            like = batch.positive.new_ones((), dtype=torch.bool).expand(cells)
            encoded = encoded._replace(kept=like)
        parts = zip(Encoded._fields, result, encoded, strict=True)
        return Encoded(*(self._like("_view", *part) for part in parts))

    def perturb(self, representations: Tensor, labels: Tensor, *, rng: torch.Generator) -> Tensor:
        """The representations of all pairs of a batch, by `_perturb`."""
        with self._working("perturb", rng, representations.device):
            result = self._perturb(representations, labels, rng=rng)
        return self._like("_perturb", "representations", result, representations)

    def adjust(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The logits of a batch's pairs, by `_adjust`."""
        self._require_fitted("adjust")
        return self._like("_adjust", "logits", self._adjust(logits, labels), logits)

    def weigh(self, labels: Tensor) -> Tensor:
        """The weights of a batch's pairs, by `_weigh`."""
        self._require_fitted("weigh")
        return self._like("_weigh", "weights", self._weigh(labels), labels[:, 0])

    def documents(self, documents: list[Document], *, rng: torch.Generator) -> list[Document]:
        """Further training documents, by `_documents`."""
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
        learned = self._modules().state_dict().items()
        copies = {key: value.detach().cpu().clone().contiguous() for key, value in learned}
        return {"fitted_shape": torch.tensor(self.fitted_shape), **copies}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state_dict` returned, into an augmenter with the same options."""
        if not state and not self.needs_fitting:
            return
        learned = dict(state)
        require("fitted_shape" in state, f"{self._says}the stored state has no 'fitted_shape'")
        self.fitted_shape = tuple(learned.pop("fitted_shape").tolist())
        # the initial weights are overwritten
        with isolated(torch.Generator().manual_seed(0), CPU):
            self._build(*self.fitted_shape)
        modules = self._modules()
        for key, buffer in modules.named_buffers():
            # how many pairs a buffer keeps is known only after fitting
            if key in learned and learned[key].shape != buffer.shape:
                owner, _, leaf = key.rpartition(".")
                setattr(modules.get_submodule(owner), leaf, torch.empty_like(learned[key]))
        try:
            modules.load_state_dict(learned)
        except RuntimeError as error:
            raise AugmenterError(
                f"{self._says}the stored state does not fit; "
                f"was it fitted with other options? {error}"
            ) from error

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
            self._modules().to(device)
            yield

    def _modules(self) -> nn.Module:
        """All modules among the attributes, as one."""
        together = nn.Module()
        for name, value in vars(self).items():
            if isinstance(value, nn.Module):
                setattr(together, name, value)
        return together

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
