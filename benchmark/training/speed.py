"""What a training step costs, as a multiple of the bare encoder's own forward and backward pass
over the same tokens.

Everything is timed in one process and interleaved: in every round each subject takes its turn on
the same batches, a ratio is taken within the round, and the median over the rounds is reported, so
that a machine that is busy for a while cannot fake it. The bare encoder is the Hugging Face model
alone, with fused attention where it has it, at the same precision and dropout, and the gradient of
a sum of its last states. Beside each ratio of times stands that of the arithmetic, counted: no
implementation of the same maths that computes as fast as the encoder can be below it. Stage 2 is
timed in speed_stage2.py.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, disable_caching, enable_caching, is_caching_enabled
from torch import nn

from augmenters.base import Augmenter
from backbones.base import Pairs
from backbones.encoders.huggingface import Encoder
from benchmark.config import AugmentConfig, Experiment, RunConfig
from benchmark.data.batches import Batch, Collator, DocumentBatches, Encoded, Rows
from benchmark.data.documents import Corpus
from benchmark.data.features import featurise
from benchmark.errors import UserError
from benchmark.progress import Progress
from benchmark.registry import AUGMENTERS
from benchmark.seeds import derive
from benchmark.training.arithmetic import operations
from benchmark.training.model import DocreModel, build_model
from benchmark.training.requests import Requests
from benchmark.training.speed_stage2 import Stage2, measure_stage2, shortened

BARE = "bare encoder"

_FROZEN = (
    "the whole encoder is frozen (encoder.freeze): steps are compared with the encoder's own forward and backward pass, and it has "
    "none. Train it, at least in part: --set encoder.freeze=none"
)


@dataclass
class Line:
    """One subject. Times are medians of the rounds; `ratio` is to the bare encoder, with the lowest
    and highest round; `arithmetic` is the same ratio of counted floating-point operations; `memory`
    is the peak of a step above the memory before it, in bytes; `parts` are the seconds of a step's
    parts, each both ways, where the bare encoder's stand for the encoder's. Each part runs alone
    (after every round; medians), so that they need not add up to a step; the optimiser is no part
    of the ratio.
    """

    subject: str
    seconds_per_step: float
    documents_per_second: float
    ratio: float
    lowest: float
    highest: float
    arithmetic: float
    memory: int | None
    parts: dict[str, float] = field(default_factory=dict)


@dataclass
class Speed:
    """All that was measured, and on what."""

    setting: dict[str, Any]
    lines: list[Line]
    stage2: list[Stage2]
    preparation: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        lists = {name: [vars(line) for line in getattr(self, name)] for name in ("lines", "stage2")}
        return {"setting": self.setting, "preparation": self.preparation, **lists}


def measure(
    experiment: Experiment, corpus: Corpus, *, batches: int, rounds: int, progress: Progress
) -> Speed:
    """Time the training steps of an experiment's backbones and augmenters.

    Args:
        corpus: its training documents are used, as far as they fit one window of the encoder.
        batches: how many, the same for every subject; drawn as the experiment's `train.batching`
            says.
        rounds: how often each subject takes its turn, after one that does not count.

    Raises:
        UserError: too few documents fit the window, or the whole encoder is frozen.
    """
    backbones = [choice.name for choice in experiment.backbones]
    plain = experiment.run(backbones[0], "none", experiment.seeds[0])
    torch.set_num_threads(plain.train.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = build_model(plain, corpus)
    if not any(parameter.requires_grad for parameter in model.encoder.model.parameters()):
        raise UserError(_FROZEN)
    began = time.perf_counter()
    with _nothing_stored():
        features = featurise(
            corpus.train,
            corpus,
            model.encoder.tokenizer,
            training=True,
            mention=plain.encoder.mention,
        )
    tokenised = time.perf_counter() - began
    chosen, left_out = _batches(model, features, plain, batches)
    needs = model.backbone.needs
    rows, collate = Rows(features, needs), Collator(model.encoder.windows, needs)
    collate([rows[i] for i in chosen[0]])  # the first one opens files
    began = time.perf_counter()
    collated = [collate([rows[i] for i in numbers]) for numbers in chosen]
    collating = (time.perf_counter() - began) / len(chosen)
    on_device = [batch.to(device) for batch in collated]

    subjects: dict[str, _Subject] = {BARE: _Bare(model.encoder.to(device))}
    with progress.task("preparing", total=len(backbones)) as bar:
        for name in backbones:
            run = experiment.run(name, "none", experiment.seeds[0])
            trained = build_model(run, corpus).to(device)
            subjects[name] = _Step(trained)
            positive = _positive_pairs(trained, on_device, plain, device)
            for choice in experiment.augmenters:
                if choice.name != "none":
                    augment = experiment.run(name, choice.name, experiment.seeds[0]).augment
                    with progress.task(f"preparing {choice.name}", total=1) as pool:
                        drawn = _augmentation(
                            choice.name, choice.options, augment, positive, pool.update_to
                        )
                    mixing = {"combination": augment.combination, "weight": augment.weight}
                    subjects[f"{name} + {choice.name}"] = _Step(trained, drawn, mixing)
            bar.advance()
    with progress.task("timing", total=(rounds + 1) * len(on_device) * len(subjects)) as bar:
        times, parts, counted = _interleaved(
            subjects, on_device, rounds, plain, device, bar.advance
        )
    memory = {name: _peak(subject, on_device, plain, device) for name, subject in subjects.items()}
    fitted = [choice for choice in experiment.augmenters if AUGMENTERS[choice.name].needs_fitting]
    stage2: list[Stage2] = []
    if fitted:
        with progress.task(
            "timing stage 2", total=(rounds + 1) * len(backbones) * len(fitted)
        ) as bar:
            for name in backbones:
                augmenters = {
                    f"{name} + {choice.name}": AUGMENTERS[choice.name](**shortened(choice.options))
                    for choice in fitted
                }
                encode = functools.partial(
                    _positive_pairs, subjects[name].module, on_device, plain, device
                )
                timed = functools.partial(_timed, device=device)
                stage2 += measure_stage2(augmenters, encode, timed, rounds=rounds, done=bar.advance)
    documents = sum(len(numbers) for numbers in chosen)
    lines = []
    for name in subjects:
        arithmetic = counted[name] / counted[BARE]
        lines.append(
            _line(
                name,
                times[name],
                times[BARE],
                len(chosen),
                documents,
                arithmetic,
                memory[name],
                parts[name],
            )
        )
    setting = {
        "encoder": plain.encoder.name,
        "documents": documents,
        "left out": left_out,
        "tokens": int(sum(int(batch.window_mask.sum()) for batch in on_device)),
        "pairs": sum(len(batch.pair_cell) for batch in on_device),
        "batches": len(chosen),
        "batch size": plain.train.batch_size,
        "batching": plain.train.batching,
        "precision": plain.train.precision,
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "torch": torch.__version__,
        "rounds": rounds,
    }
    preparation = {
        "tokenising, ms/document": 1000 * tokenised / len(features),
        "collating, ms/batch": 1000 * collating,
    }
    return Speed(setting, lines, stage2, preparation)


def _batches(
    model: DocreModel, features: Dataset, run: RunConfig, count: int
) -> tuple[list[list[int]], int]:
    """Row numbers of `count` full batches of documents that fit one window; how many documents do
    not.
    """
    lengths, room = features["length"], model.encoder.windows.size - 2
    fitting = [row for row, length in enumerate(lengths) if length <= room]
    drawn = DocumentBatches(
        [lengths[row] for row in fitting],
        run.train.batch_size,
        order=run.train.batching,
        seed=run.seed,
    )
    full = [
        [fitting[i] for i in numbers] for numbers in drawn if len(numbers) == run.train.batch_size
    ][:count]
    if len(full) < count:
        lower = (
            "--batches"
            if full
            else f"the batch size, such as --set train.batch_size={max(1, len(fitting) // count)}"
        )
        raise UserError(
            f"only {len(fitting)} documents fit the encoder's window of {room} tokens: "
            f"{len(full)} batches of {run.train.batch_size}, not {count}. Lower {lower}"
        )
    return full, len(lengths) - len(fitting)


class _Subject:
    """Something that takes a batch forward and backward."""

    module: nn.Module

    def loss(self, batch: Batch) -> torch.Tensor:
        raise NotImplementedError

    def parts(self, batches: list[Batch], run: RunConfig, device: torch.device) -> dict[str, float]:
        """Seconds per step of what a step consists of."""
        return {}

    def step(self, batch: Batch, run: RunConfig, device: torch.device) -> None:
        with _precision(run, device):
            loss = self.loss(batch)
        loss.backward()

    def forget(self) -> None:
        self.module.zero_grad(set_to_none=True)


class _Bare(_Subject):
    def __init__(self, encoder: Encoder):
        self.encoder, self.module = encoder, encoder.model.train()

    def loss(self, batch: Batch) -> torch.Tensor:
        mask = self.encoder.attention_mask(
            batch.window_mask
        )  # the subjects', so that both run the same kernels
        return (
            self.module(input_ids=batch.window_ids, attention_mask=mask)
            .last_hidden_state.float()
            .sum()
        )


class _Step(_Subject):
    """A step of stage 1, or of stage 3 with an augmentation."""

    def __init__(
        self,
        model: DocreModel,
        augment: Callable[[Pairs], Pairs] | None = None,
        mixing: dict[str, Any] | None = None,
    ):
        self.module, self.augment, self.mixing = model.train(), augment, mixing or {}

    def loss(self, batch: Batch) -> torch.Tensor:
        return self.module(batch, self.augment, **self.mixing)

    def parts(self, batches: list[Batch], run: RunConfig, device: torch.device) -> dict[str, float]:
        model, backbone = self.module, self.module.backbone
        seconds = dict.fromkeys(("head", "loss", "augmentation", "optimiser"), 0.0)
        optimiser = torch.optim.AdamW(
            model.parameter_groups(run.train.lr_encoder, run.train.lr_head), fused=True
        )
        for batch in batches:
            with _precision(run, device), torch.no_grad():
                encoded = model.encoder(batch)
                pairs = Pairs(backbone.represent(encoded, batch), batch.labels(model.classes))
                generated, augmenting = None, 0.0
                if self.augment is not None:
                    generated, augmenting = _timed(
                        lambda: self._generated(pairs, batch.positive), device
                    )
                    pairs = pairs.joined_with(generated)
                logits = backbone.classify(pairs.representations)
            gradients, loss = _timed(lambda: self._loss_alone(pairs, logits), device)  # noqa: B023
            head = _timed(
                lambda: self._head_alone(encoded, batch, generated, gradients, run, device), device
            )[1]
            for name, took in (("head", head), ("loss", loss), ("augmentation", augmenting)):
                seconds[name] += took
            self.forget()
        self.step(batches[0], run, device)
        _update(model, optimiser, run.train.clip)  # the first one makes the optimiser's state
        seconds["optimiser"] = (
            len(batches) * _timed(lambda: _update(model, optimiser, run.train.clip), device)[1]
        )
        self.forget()
        return {name: total / len(batches) for name, total in seconds.items()}

    def _loss_alone(self, pairs: Pairs, logits: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Forward and backward pass of the losses; their gradients at the logits and
        representations of all pairs.
        """
        backbone, leaves = (
            self.module.backbone,
            [
                tensor.float().detach().requires_grad_()
                for tensor in (logits, pairs.representations)
            ],
        )
        logits, pairs = leaves[0], Pairs(leaves[1], pairs.labels)
        contrasted = pairs if backbone.contrast_with == "all" else pairs.only_positive()
        loss = backbone.classification_loss(
            logits, pairs.labels
        ).mean() + backbone.contrastive_loss(contrasted)
        return torch.autograd.grad(loss, leaves, materialize_grads=True)

    def _head_alone(
        self,
        encoded: Encoded,
        batch: Batch,
        generated: Pairs | None,
        gradients: tuple[torch.Tensor, ...],
        run: RunConfig,
        device,
    ) -> None:
        """Forward and backward pass of representations and classifier, down to the encoder's
        outputs.
        """
        backbone = self.module.backbone
        leaves = Encoded(*(tensor.detach().requires_grad_() for tensor in encoded))
        with _precision(run, device):
            pairs = Pairs(backbone.represent(leaves, batch), batch.labels(self.module.classes))
            pairs = pairs if generated is None else pairs.joined_with(generated)
            logits = backbone.classify(pairs.representations)
        torch.autograd.backward([logits.float(), pairs.representations.float()], list(gradients))

    def _generated(self, real: Pairs, rows: torch.Tensor) -> Pairs:
        positive = real.at(rows)
        generated = self.augment(Pairs(positive.representations.detach().float(), positive.labels))
        bounds = self.module.backbone.bounds
        return (
            generated
            if bounds is None
            else Pairs(generated.representations.clamp(*bounds), generated.labels)
        )


@torch.no_grad()
def _positive_pairs(
    model: DocreModel, batches: list[Batch], run: RunConfig, device: torch.device
) -> Pairs:
    """What stage 2 is fitted to, as `Evaluator.positive_pairs` has it."""
    model.eval()
    with _precision(run, device):
        found = [
            Pairs(model.represent(batch).float(), batch.labels(model.classes)).at(batch.positive)
            for batch in batches
        ]
    model.train()
    return Pairs(*(torch.cat(tensors) for tensors in zip(*found, strict=True)))


def _augmentation(
    name: str,
    options: dict[str, Any],
    chosen: AugmentConfig,
    positive: Pairs,
    progress: Callable[..., Any],
) -> Callable[[Pairs], Pairs]:
    """An augmenter, fitted for a moment where it needs fitting, with a small pool: what a step
    costs does not depend on what was learned, nor on how many pairs are drawn from.
    """
    options = options | {
        key: value
        for key, value in {"epochs": 2, "warmup_epochs": 1, "draws": 1}.items()
        if key in options
    }
    augmenter: Augmenter = AUGMENTERS[name](**options)
    rng = torch.Generator().manual_seed(derive(0, "speed"))
    if augmenter.needs_fitting:
        augmenter.fit(*positive, rng=rng)
    augmenter.prepare(positive.labels, rng=rng, progress=progress)

    requests = Requests(chosen.copies, chosen.rarity, positive.labels.cpu())

    def augment(real: Pairs) -> Pairs:
        rows = requests.rows(real.labels, rng)
        return Pairs(*augmenter.augment(real.representations[rows], real.labels[rows], rng=rng))

    return augment


def _interleaved(
    subjects: dict[str, _Subject],
    batches: list[Batch],
    rounds: int,
    run: RunConfig,
    device: torch.device,
    done: Callable[[], Any],
) -> tuple[dict[str, list[float]], dict[str, dict[str, float]], dict[str, int]]:
    """Seconds over all batches, one number per round; seconds of a step's parts, medians of the
    rounds; operations over all batches, counted in a round that warms up and is not timed. The
    subjects follow each other on every batch, so that what slows the machine for seconds slows all
    of them.
    """
    times: dict[str, list[float]] = {name: [] for name in subjects}
    parts: dict[str, list[dict[str, float]]] = {name: [] for name in subjects}
    counted = dict.fromkeys(subjects, 0)
    for round_number in range(rounds + 1):
        total = dict.fromkeys(subjects, 0.0)
        for batch in batches:
            for name, subject in subjects.items():
                step = functools.partial(subject.step, batch, run, device)
                if round_number:
                    total[name] += _timed(step, device)[1]
                else:
                    counted[name] += operations(step)
                subject.forget()
                done()
        for name, seconds in total.items() if round_number else ():
            times[name].append(seconds)
            parts[name].append(subjects[name].parts(batches, run, device))
    medians = {
        name: {part: statistics.median(p[part] for p in found) for part in found[0]}
        for name, found in parts.items()
    }
    return times, medians, counted


def _line(
    name: str,
    times: list[float],
    bare: list[float],
    steps: int,
    documents: int,
    arithmetic: float,
    memory: int | None,
    parts: dict,
) -> Line:
    ratios = [mine / its for mine, its in zip(times, bare, strict=True)]
    seconds = statistics.median(times)
    parts = parts and {"encoder": statistics.median(bare) / steps} | parts
    ratio = (statistics.median(ratios), min(ratios), max(ratios), arithmetic)
    return Line(name, seconds / steps, documents / seconds, *ratio, memory, parts)


@contextlib.contextmanager
def _nothing_stored() -> Iterator[None]:
    """Tokenise now: what an earlier call stored would be read in a fraction of the time."""
    before = is_caching_enabled()
    disable_caching()
    try:
        yield
    finally:
        if before:
            enable_caching()


def _timed(work: Callable[[], Any], device: torch.device) -> tuple[Any, float]:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    began = time.perf_counter()
    result = work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return result, time.perf_counter() - began


def _precision(run: RunConfig, device: torch.device):
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=run.train.precision == "bf16")


def _update(model: nn.Module, optimiser: torch.optim.Optimizer, clip: float) -> None:
    nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimiser.step()


def _peak(
    subject: _Subject, batches: list[Batch], run: RunConfig, device: torch.device
) -> int | None:
    """Peak memory of the largest batch's step above what was held before it; None where the system
    does not tell.
    """
    largest = max(batches, key=lambda batch: batch.window_ids.numel() + len(batch.pairs))
    subject.forget()
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        subject.step(largest, run, device)
        peak = torch.cuda.max_memory_allocated(device) - before
    else:
        _return_free_memory()
        before = _resident("VmRSS")
        if before is None or not _reset_peak():
            return None
        subject.step(largest, run, device)
        peak = _resident("VmHWM") - before
    subject.forget()
    return peak


def _return_free_memory() -> None:
    """Give back to the system what the C library keeps of earlier steps: a step that uses it again
    would seem to need none.
    """
    with contextlib.suppress(AttributeError, OSError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)


def _reset_peak() -> bool:
    """Linux: let VmHWM, the peak of resident memory, start over from what is resident now."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _resident(field_name: str) -> int | None:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next(
        (1024 * int(line.split()[1]) for line in lines if line.startswith(f"{field_name}:")), None
    )
