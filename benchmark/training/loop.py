"""The training loop of stages 1 and 3 (the outer loop of Algorithm 1).

Everything random is a function of (seed, purpose, epoch or step), never of what ran before: a run
continues from a checkpoint as if it had not stopped, and runs of one seed that differ in their
augmenter alone share initial weights, data order and dropout masks.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.data_loader import prepare_data_loader
from torch import Tensor
from torch.utils.data import DataLoader

from augmenters.base import AugmenterError
from benchmark import processes, signals
from benchmark.config import TrainConfig
from benchmark.progress import Progress
from benchmark.seeds import derive
from benchmark.store.cleaning import BRANCH, BRANCH_BEST, CHECKPOINT
from benchmark.training import tracking
from benchmark.training.checkpoints import link, load_state, save_state, save_weights
from benchmark.training.model import DocreModel, Step
from benchmark.training.objective import Mixing

REPORT_EVERY = 10  # steps between two looks at the loss: looking makes a GPU wait


class TrainingError(RuntimeError):
    """Training cannot go on: the loss or the weights are not finite."""

    met_by_all = True  # the processes have agreed on it


@dataclass
class Trained:
    """Where training stands."""

    epoch: int = 0  # epochs done
    step: int = 0  # steps done of the next one
    loss: float = 0.0  # their sum, a float32
    best_epoch: int = 0  # 1-based; 0: none yet
    best_score: float = -1.0
    history: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Loop:
    """Trains `model` and keeps the weights of the epoch with the best dev score.

    Of several processes each has its part of every batch (`DocumentBatches.share`), all take the
    same steps, and the main one writes. They agree before each thing that only one may have met: a
    signal, the time to save, a fault.

    Args:
        titles: of the training documents, by row number.
        evaluate: dev metrics of the model as it is; "f1" decides.
        augment_at: the augmentation of a step, or None: (epoch from 0, step from 0) -> function of
            the batch's positive pairs.
        mixing: what the loss of an epoch (from 0) is made of, as arguments of `Backbone.loss`.
        folder: of the run; gets best.safetensors, checkpoint.safetensors and, after `branch_epoch`
            epochs, branch.safetensors.
        on_epoch: told the history after every epoch.
        save_every: seconds of training that may be lost; a checkpoint is written after every
            epoch's evaluation in any case.
    """

    model: DocreModel
    loader: DataLoader
    titles: Sequence[str]
    config: TrainConfig
    seed: int
    accelerator: Accelerator
    evaluate: Callable[[], dict[str, Any]]
    folder: Path
    progress: Progress
    description: str
    identity: dict[str, Any]  # what the run's checkpoints belong to, stored with them
    augment_at: Callable[[int, int], Step | None] = lambda epoch, step: None
    mixing: Callable[[int], Mixing] = lambda epoch: Mixing()
    branch_epoch: int | None = None
    on_epoch: Callable[[list[dict[str, Any]]], None] = lambda history: None
    save_every: float = 600.0
    saved: str = "from the beginning: no state was saved yet"  # where the next start goes on

    def run(self, start_from: Path | None = None) -> Trained:
        """Train to the end, from the training state `start_from` or from the beginning."""
        config = self.config
        optimizer = torch.optim.AdamW(
            self.model.parameter_groups(config.lr_encoder, config.lr_head),
            eps=config.adam_epsilon,
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.rates = [group["lr"] for group in optimizer.param_groups]
        model, optimizer = self.accelerator.prepare(self.model, optimizer)
        # the sampler gives each process its part; the accelerator would deal out whole batches, and
        # documents twice at the end
        loader = prepare_data_loader(
            self.loader,
            self.accelerator.device,
            num_processes=1,
            process_index=0,
            put_on_device=True,
            non_blocking=self.accelerator.non_blocking,
        )
        state, self.last_save = Trained(), time.monotonic()
        if start_from is not None:
            facts = load_state(start_from, self.model, optimizer.optimizer)
            state = Trained(**{name: facts.get(name, value) for name, value in vars(state).items()})
            self.saved = f"from {start_from} ({_standing(state)})"
        processes.on_main(lambda: self.on_epoch(state.history))
        steps = len(loader)
        with self.progress.task(self.description, total=config.epochs * steps) as bar:
            bar.resume_at(state.epoch * steps + state.step)
            while state.epoch < config.epochs:
                began = time.perf_counter()
                with signals.held_back():
                    self._epoch(model, optimizer, loader, state, bar)
                    self._require_finite_weights(state)
                    asked, late = self._due()
                    if asked or late:
                        self._save(optimizer.optimizer, state)
                    if asked:
                        raise signals.Preempted(asked)
                self._close_epoch(optimizer.optimizer, state, steps, time.perf_counter() - began)
        return state

    def _epoch(self, model, optimizer, loader, state: Trained, bar) -> None:
        """The rest of an epoch. Saves the training state now and then, and where it is asked to
        stop.
        """
        epoch = state.epoch
        model.train()
        loader.set_epoch(epoch)
        self.loader.batch_sampler.skip = state.step
        unseen: list[Tensor] = []  # losses since the last look
        total = torch.tensor(state.loss, device=self.accelerator.device)
        for index, batch in (
            enumerate(loader, start=state.step) if state.step < len(loader) else ()
        ):  # Algorithm 1, lines 1-2
            step = epoch * len(loader) + index
            torch.manual_seed(
                derive(
                    self.seed, "dropout", step, *([processes.rank()] if processes.rank() else [])
                )
            )
            for group, rate in zip(optimizer.param_groups, self.rates, strict=True):
                group["lr"] = rate * self._schedule(step, len(loader))
            with self.accelerator.accumulate(model):
                try:
                    loss = model(batch, self.augment_at(epoch, step), self.mixing(epoch))
                except AugmenterError as error:
                    error.met_by_all = True  # processes augment the whole batch alike
                    self._require_sound(
                        unseen, state
                    )  # what an augmenter refuses may come from an earlier step
                    raise
                self.accelerator.backward(loss)
                if self.accelerator.sync_gradients:
                    self.accelerator.clip_grad_norm_(model.parameters(), self.config.clip)
                optimizer.step()  # Algorithm 1, lines 36-37
                optimizer.zero_grad()
            total += loss.detach()
            unseen.append(loss.detach())
            state.step = index + 1
            asked, late = self._due()
            due = (asked or late) and self.accelerator.sync_gradients and state.step < len(loader)
            if due or index % REPORT_EVERY == REPORT_EVERY - 1 or index == len(loader) - 1:
                last = self._require_finite_losses(unseen, state)
                bar.advance(len(unseen), loss=last)
                rates = {f"rate_{i}": group["lr"] for i, group in enumerate(optimizer.param_groups)}
                tracking.log(self.accelerator, "train/", {"loss": last, **rates}, step + 1)
                unseen.clear()
            if due:
                state.loss = float(total)
                self._save(optimizer.optimizer, state)
                if asked:
                    raise signals.Preempted(asked)
        state.loss = float(total)

    def _due(self) -> tuple[str | None, bool | None]:
        """The name of a signal that some process was sent, and whether it is time to save: the same
        in all processes.
        """
        now = [signals.received(), time.monotonic() - self.last_save > self.save_every]
        return tuple(
            next(filter(None, votes), None) for votes in zip(*processes.exchanged(now), strict=True)
        )

    def _require_finite_losses(self, losses: list[Tensor], state: Trained) -> float:
        """The last of these losses, of the last steps. Raises TrainingError naming the first that
        is not finite.
        """
        values = torch.stack(losses).tolist()
        faults = [number for number, value in enumerate(values) if not math.isfinite(value)]
        first = min(itertools.chain(*processes.exchanged(faults)), default=None)
        if first is not None:
            raise self._fault(
                f"the loss is {values[first]}", state, state.step - len(values) + first
            )
        return values[-1]

    def _require_finite_weights(self, state: Trained) -> None:
        """Raises TrainingError: the gradient of a finite loss may be infinite."""
        finite = torch.stack(
            [weights.isfinite().all() for weights in self.model.parameters()]
        ).all()
        if not all(processes.exchanged(bool(finite))):
            raise self._fault("the weights are not finite", state, state.step - 1)

    def _require_sound(self, losses: list[Tensor], state: Trained) -> None:
        if losses:
            self._require_finite_losses(losses, state)
            self._require_finite_weights(state)

    def _fault(self, what: str, state: Trained, index: int) -> TrainingError:
        """What was found after the step `index` (from 0) of the epoch, with its documents, and
        where the next start goes on.
        """
        batches = self.loader.batch_sampler.batches(state.epoch)
        titles = ", ".join(f"'{self.titles[row]}'" for row in batches[index])
        step = state.epoch * len(batches) + index + 1
        return TrainingError(
            f"{what} after step {step} (epoch {state.epoch + 1}, its step {index + 1}; documents "
            f"{titles}). "
            f"The next start goes on {self.saved}"
        )

    def _schedule(self, step: int, steps_per_epoch: int) -> float:
        """Linear warm-up, then linear decay to zero, counted in optimiser steps."""
        per_epoch = -(-steps_per_epoch // self.config.accumulation)
        total = self.config.epochs * per_epoch
        warmup = int(self.config.warmup * total)
        now = (
            step // steps_per_epoch * per_epoch + step % steps_per_epoch // self.config.accumulation
        )
        return now / warmup if now < warmup else (total - now) / max(1, total - warmup)

    def _close_epoch(
        self, optimizer: torch.optim.Optimizer, state: Trained, steps: int, seconds: float
    ) -> None:
        """Evaluate, and save. A signal stops the evaluation at once: who is stopped in it has only
        to evaluate again.
        """
        began = time.perf_counter()
        try:
            dev = self.evaluate()
            processes.stop_if_asked()
        except KeyboardInterrupt as stopped:
            if processes.count() == 1 or isinstance(
                stopped, signals.Preempted
            ):  # several processes meet Ctrl-C each on its own
                with signals.held_back():
                    self._save(optimizer, state)
            raise
        state.epoch += 1
        state.history.append(
            {
                "epoch": state.epoch,
                "loss": state.loss / steps,
                "dev": dev,
                "seconds": seconds,
                "evaluation_seconds": time.perf_counter() - began,
            }
        )
        tracking.log(self.accelerator, "dev/", dev, state.epoch * steps)
        state.step, state.loss = 0, 0.0
        score = dev["f1"] if dev["f1"] is not None else 0.0
        with signals.held_back():
            if score > state.best_score:
                state.best_epoch, state.best_score = state.epoch, score
                processes.on_main(
                    lambda: save_weights(self.model, self.folder / "best.safetensors")
                )
            if state.epoch == self.branch_epoch:
                self._save(optimizer, state, BRANCH)
                processes.on_main(
                    lambda: link(self.folder / "best.safetensors", self.folder / BRANCH_BEST)
                )
            self._save(optimizer, state)
            processes.on_main(lambda: self.on_epoch(state.history))

    def _save(
        self, optimizer: torch.optim.Optimizer, state: Trained, name: str = CHECKPOINT
    ) -> None:
        """The training state, whole or not at all; it replaces the one before. Never one that is
        not finite.
        """
        self._require_finite_weights(state)
        path = self.folder / name
        processes.on_main(
            lambda: save_state(
                path, self.model, optimizer, vars(state) | {"identity": self.identity}
            )
        )
        if name == CHECKPOINT:
            self.last_save = time.monotonic()
            self.saved = f"from {path} ({_standing(state)})"


def _standing(state: Trained) -> str:
    return (
        f"after step {state.step} of epoch {state.epoch + 1}"
        if state.step
        else f"after epoch {state.epoch}"
    )
