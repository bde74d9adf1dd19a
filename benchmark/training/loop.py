"""The training loop of stages 1 and 3 (the outer loop of Algorithm 1).

Everything random is a function of (seed, purpose, epoch or step), never of what ran before: a run
continues from a checkpoint as if it had not stopped, and runs of one seed that differ in their
augmenter alone share initial weights, data order and dropout masks.
"""

from __future__ import annotations

import itertools
import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate.data_loader import prepare_data_loader
from torch import Tensor

from augmenters.base import AugmenterError
from benchmark import processes, signals
from benchmark.progress import Bar
from benchmark.seeds import derive
from benchmark.store.cleaning import BRANCH, BRANCH_BEST, CHECKPOINT
from benchmark.training import tracking
from benchmark.training.augmentation import Augmentation
from benchmark.training.checkpoints import link, load_state, save_state, save_weights
from benchmark.training.objective import Mixing
from benchmark.training.session import Session

REPORT_EVERY = 10  # steps between two looks at the loss: looking makes a GPU wait
SCHEDULES = {  # factor on the rate, by the share left of the steps after the warm-up
    "linear": lambda left: left,
    "constant": lambda left: 1.0,
    "cosine": lambda left: (1 - math.cos(math.pi * left)) / 2,
}


class TrainingError(RuntimeError):
    """Training cannot go on: the loss or the weights are not finite."""

    met_by_all = True  # the processes have agreed on it


@dataclass
class Trained:
    """Where training stands."""

    epoch: int = 0  # epochs done
    step: int = 0  # steps done of the next one
    loss: float = 0.0  # their sum, a float32
    spent: float = 0.0  # seconds that they took
    best_epoch: int = 0  # 1-based; 0: none yet
    best_score: float = -1.0
    history: list[dict[str, Any]] = field(default_factory=list)

    def __str__(self) -> str:
        if self.step:
            return f"after step {self.step} of epoch {self.epoch + 1}"
        return f"after epoch {self.epoch}"


class Loop:
    """Trains a session's model and keeps the weights of the epoch with the best dev score.

    With several processes, each has its part of every batch (`DocumentBatches.share`), all take the
    same steps, and the main one writes. They agree before they act on what only one may have met: a
    signal, the time to save, a fault.

    Args:
        save_every: seconds of an epoch that may be lost.
        augmentation: what stage 3 adds to the steps.
        branch_epoch: keep the state after so many epochs in a file of its own.
    """

    def __init__(
        self,
        session: Session,
        save_every: float,
        augmentation: Augmentation | None = None,
        branch_epoch: int | None = None,
    ):
        self.session, self.save_every = session, save_every
        self.augmentation, self.branch_epoch = augmentation, branch_epoch
        self.model, self.accelerator = session.model, session.accelerator
        self.config, self.folder = session.run.train, session.directory.path
        self.state, self.last_save = Trained(), time.monotonic()
        self.saved = "from the beginning: no state was saved yet"  # where the next start continues

    def run(self, start_from: Path | None = None) -> Trained:
        """Train to the end, from the training state `start_from` or from the beginning."""
        config, state, run = self.config, self.state, self.session.run
        optimizer = torch.optim.AdamW(
            self.model.parameter_groups(config), eps=config.adam_epsilon, fused=True
        )
        self.rates = [group["lr"] for group in optimizer.param_groups]
        self.wrapped, self.optimizer = self.accelerator.prepare(self.model, optimizer)
        loader = self.session.loader("train", training=True)
        self.batches = loader.batch_sampler
        # the sampler gives each process its part; the accelerator would deal out whole batches, and
        # documents twice at the end
        alone = {"num_processes": 1, "process_index": 0, "put_on_device": True}
        alone["non_blocking"] = self.accelerator.non_blocking
        self.loader = prepare_data_loader(loader, self.accelerator.device, **alone)
        if start_from is not None:
            facts = load_state(start_from, self.model, optimizer)
            if start_from == self.folder / CHECKPOINT:  # not the `none` run's
                self.session.earlier = facts.get("seconds", 0.0)
            vars(state).update((name, facts[name]) for name in vars(state) if name in facts)
            self.saved = f"from {start_from} ({state})"
            self.session.progress.message(f"continues {self.saved}")
        self._write_history()
        steps = len(self.loader)
        what = f"{run.backbone.name} + {run.augmenter.name}, seed {run.seed}"
        with self.session.progress.task(what, total=config.epochs * steps) as bar:
            bar.resume_at(state.epoch * steps + state.step)
            while state.epoch < config.epochs:
                with signals.held_back():
                    self._epoch(bar)
                    self._require_finite_weights()
                    self._save_and_stop(*self._due())
                self._close_epoch()
        return state

    def _epoch(self, bar: Bar) -> None:
        """The rest of an epoch. Saves the state where that is due, and stops where asked to."""
        state, steps, epoch = self.state, len(self.loader), self.state.epoch
        began = time.perf_counter() - state.spent
        mixing = self.augmentation.mixing(epoch) if self.augmentation else Mixing()
        process = [processes.rank()] if processes.rank() else []
        self.model.train()
        self.loader.set_epoch(epoch)
        self.batches.skip = state.step
        unseen: list[Tensor] = []  # losses since the last look
        total = torch.tensor(state.loss, device=self.accelerator.device)
        # Algorithm 1, lines 1-2: a batch is drawn
        for index, batch in enumerate(self.loader, start=state.step):
            number = epoch * steps + index
            torch.manual_seed(derive(self.session.run.seed, "dropout", number, *process))
            for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
                group["lr"] = rate * self._schedule(number)
            step = self.augmentation.at(epoch, number) if self.augmentation else None
            with self.accelerator.accumulate(self.wrapped):
                try:
                    loss = self.wrapped(batch, step, mixing)
                except AugmenterError as error:
                    error.met_by_all = True  # processes augment the whole batch alike
                    if unseen:  # its cause may lie in an earlier step
                        self._require_finite_losses(unseen)
                        self._require_finite_weights()
                    raise
                self.accelerator.backward(loss)
                if self.accelerator.sync_gradients:
                    self.accelerator.clip_grad_norm_(self.wrapped.parameters(), self.config.clip)
                self.optimizer.step()  # Algorithm 1, lines 36-37
                self.optimizer.zero_grad()
            total += loss.detach()
            unseen.append(loss.detach())
            state.step = index + 1
            asked, late = self._due()
            due = (asked or late) and self.accelerator.sync_gradients and state.step < steps
            if due or state.step == steps or state.step % REPORT_EVERY == 0:
                last = self._require_finite_losses(unseen)
                bar.advance(len(unseen), loss=last)
                groups = enumerate(self.optimizer.param_groups)
                numbers = {"loss": last} | {f"rate_{i}": group["lr"] for i, group in groups}
                tracking.log(self.accelerator, "train/", numbers, number + 1)
                unseen.clear()
            if due:
                state.loss, state.spent = float(total), time.perf_counter() - began
                self._save_and_stop(asked, late)
        state.loss, state.spent = float(total), time.perf_counter() - began

    def _due(self) -> tuple[str | None, bool | None]:
        """A signal that some process was sent, and whether to save: the same in all processes."""
        now = [signals.received(), time.monotonic() - self.last_save > self.save_every]
        votes = zip(*processes.exchanged(now), strict=True)
        return tuple(next(filter(None, of_all), None) for of_all in votes)

    def _save_and_stop(self, asked: str | None, late: bool | None) -> None:
        if asked or late:
            self._save()
        if asked:
            raise signals.Preempted(asked)

    def _require_finite_losses(self, losses: list[Tensor]) -> float:
        """The last of these losses. Raises TrainingError naming the first that is not finite."""
        values = torch.stack(losses).tolist()
        faults = [number for number, value in enumerate(values) if not math.isfinite(value)]
        first = min(itertools.chain(*processes.exchanged(faults)), default=None)
        if first is not None:
            index = self.state.step - len(values) + first
            raise self._fault(f"the loss is {values[first]}", index)
        return values[-1]

    def _require_finite_weights(self) -> None:
        """Raises TrainingError: the gradient of a finite loss may be infinite."""
        finite = torch.stack([weights.isfinite().all() for weights in self.model.parameters()])
        if not all(processes.exchanged(bool(finite.all()))):
            raise self._fault("the weights are not finite", self.state.step - 1)

    def _fault(self, what: str, index: int) -> TrainingError:
        """An error naming what was found after step `index` of the epoch, and where to go on."""
        epoch, batches = self.state.epoch, self.batches.batches(self.state.epoch)
        known = self.session.corpus.train["title"]
        titles = ", ".join(f"'{known[row]}'" for row in batches[index])
        return TrainingError(
            f"{what} after step {epoch * len(batches) + index + 1} (epoch {epoch + 1}, its step "
            f"{index + 1}; documents {titles}). The next start continues {self.saved}"
        )

    def _schedule(self, step: int) -> float:
        """The share of its rate that a step has: linear warm-up, then `train.schedule`, counted in
        optimiser steps.
        """
        accumulation, epochs = self.config.accumulation, self.config.epochs
        epoch, batch = divmod(step, len(self.loader))
        per_epoch = -(-len(self.loader) // accumulation)
        now, total = epoch * per_epoch + batch // accumulation, epochs * per_epoch
        warmup = int(self.config.warmup * total)
        if now < warmup:
            return now / warmup
        return SCHEDULES[self.config.schedule]((total - now) / max(1, total - warmup))

    def _close_epoch(self) -> None:
        """Evaluate, and save. If interrupted here, only the evaluation is repeated."""
        state, began = self.state, time.perf_counter()
        try:
            dev = self.session.dev_score()
            processes.stop_if_asked()
        except KeyboardInterrupt as stopped:
            # Ctrl-C reaches several processes at different points: they cannot save together
            if processes.count() == 1 or isinstance(stopped, signals.Preempted):
                with signals.held_back():
                    self._save()
            raise
        steps, score = len(self.loader), dev["f1"] or 0.0
        state.epoch += 1
        epoch = {"epoch": state.epoch, "loss": state.loss / steps, "dev": dev}
        spent = {"seconds": state.spent, "evaluation_seconds": time.perf_counter() - began}
        state.history.append(epoch | spent)
        tracking.log(self.accelerator, "dev/", dev, state.epoch * steps)
        state.step, state.loss, state.spent = 0, 0.0, 0.0
        best = self.folder / "best.safetensors"
        with signals.held_back():
            if score > state.best_score:
                state.best_epoch, state.best_score = state.epoch, score
                processes.on_main(lambda: save_weights(self.model, best))
            if state.epoch == self.branch_epoch:
                self._save(BRANCH)
                processes.on_main(lambda: link(best, self.folder / BRANCH_BEST))
            self._save()
            self._write_history()

    def _write_history(self) -> None:
        processes.on_main(lambda: self.session.directory.write_history(self.state.history))

    def _save(self, name: str = CHECKPOINT) -> None:
        """Replace the training state, in one step. A state that is not finite is never saved."""
        self._require_finite_weights()
        path, session = self.folder / name, self.session
        facts = vars(self.state) | {"identity": session.identity, "seconds": session.spent()}
        optimizer = self.optimizer.optimizer
        processes.on_main(lambda: save_state(path, self.model, optimizer, facts))
        if name == CHECKPOINT:
            self.last_save = time.monotonic()
            self.saved = f"from {path} ({self.state})"
