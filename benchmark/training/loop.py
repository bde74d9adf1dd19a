"""The training loop of stages 1 and 3 (the outer loop of Algorithm 1).

Everything random is a function of (seed, purpose, epoch or step), never of what ran before: a run continues from a checkpoint
as if it had not stopped, and runs of one seed that differ in their augmenter alone share initial weights, data order and
dropout masks.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader

from benchmark import interrupts
from benchmark.config import TrainConfig
from benchmark.progress import Progress
from benchmark.seeds import derive
from benchmark.training.checkpoints import link, load_state, save_state, save_weights
from benchmark.training.model import Augment, DocreModel

REPORT_EVERY = 10  # steps between two looks at the loss: looking makes a GPU wait


class TrainingError(RuntimeError):
    """Training cannot go on: the loss is not finite."""


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

    Args:
        evaluate: dev metrics of the model as it is; "f1" decides.
        augment_at: the augmentation of a step, or None: (epoch from 0, step from 0) -> function of the batch's positive pairs.
        mixing: what the loss of an epoch (from 0) is made of, as arguments of `Backbone.loss`.
        folder: of the run; gets best.safetensors, checkpoint.safetensors and, after `branch_epoch` epochs, branch.safetensors.
        on_epoch: told the history after every epoch.
        save_every: seconds between two checkpoints within an epoch; one is written at the end of every epoch in any case.
    """

    model: DocreModel
    loader: DataLoader
    config: TrainConfig
    seed: int
    accelerator: Accelerator
    evaluate: Callable[[], dict[str, Any]]
    folder: Path
    progress: Progress
    description: str
    identity: str  # of the run's configuration, stored with its checkpoints
    augment_at: Callable[[int, int], Augment | None] = lambda epoch, step: None
    mixing: Callable[[int], dict[str, Any]] = lambda epoch: {}
    branch_epoch: int | None = None
    on_epoch: Callable[[list[dict[str, Any]]], None] = lambda history: None
    save_every: float = 600.0

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
        model, optimizer, loader = self.accelerator.prepare(self.model, optimizer, self.loader)
        state = Trained()
        if start_from is not None:
            facts = load_state(start_from, self.model, optimizer.optimizer)
            state = Trained(**{name: facts.get(name, value) for name, value in vars(state).items()})
        self.on_epoch(state.history)
        steps = len(loader)
        with self.progress.task(self.description, total=config.epochs * steps) as bar:
            bar.advance(state.epoch * steps + state.step)
            while state.epoch < config.epochs:
                began = time.perf_counter()
                with interrupts.held_back():
                    self._epoch(model, optimizer, loader, state, bar)
                    self._save(optimizer.optimizer, state)
                self._close_epoch(optimizer.optimizer, state, steps, time.perf_counter() - began)
        return state

    def _epoch(self, model, optimizer, loader, state: Trained, bar) -> None:
        """The rest of an epoch. Saves the training state now and then, and where it is asked to stop."""
        epoch, saved = state.epoch, time.monotonic()
        model.train()
        loader.set_epoch(epoch)
        self.loader.batch_sampler.skip = state.step * self.accelerator.num_processes
        total = torch.tensor(state.loss, device=self.accelerator.device)
        for index, batch in enumerate(loader, start=state.step) if state.step < len(loader) else ():  # Algorithm 1, lines 1-2
            step = epoch * len(loader) + index
            torch.manual_seed(derive(self.seed, "dropout", step))
            for group, rate in zip(optimizer.param_groups, self.rates, strict=True):
                group["lr"] = rate * self._schedule(step, len(loader))
            with self.accelerator.accumulate(model):
                loss = model(batch, self.augment_at(epoch, step), **self.mixing(epoch))
                self.accelerator.backward(loss)
                if self.accelerator.sync_gradients:
                    self.accelerator.clip_grad_norm_(model.parameters(), self.config.clip)
                optimizer.step()  # Algorithm 1, lines 36-37
                optimizer.zero_grad()
            total += loss.detach()
            state.step = index + 1
            if index % REPORT_EVERY == REPORT_EVERY - 1 or index == len(loader) - 1:
                if not torch.isfinite(total):
                    raise TrainingError(
                        f"the loss is not finite (epoch {epoch + 1}, step {step + 1} or up to {REPORT_EVERY - 1} before it)"
                    )
                bar.advance(index % REPORT_EVERY + 1, loss=loss.item())
            due = interrupts.requested() or time.monotonic() - saved > self.save_every
            if due and self.accelerator.sync_gradients and state.step < len(loader):
                state.loss = float(total)
                self._save(optimizer.optimizer, state)
                saved = time.monotonic()
                if interrupts.requested():
                    raise interrupts.Preempted
        state.loss = float(total)

    def _schedule(self, step: int, steps_per_epoch: int) -> float:
        """Linear warm-up, then linear decay to zero, counted in optimiser steps."""
        per_epoch = -(-steps_per_epoch // self.config.accumulation)
        total = self.config.epochs * per_epoch
        warmup = int(self.config.warmup * total)
        now = step // steps_per_epoch * per_epoch + step % steps_per_epoch // self.config.accumulation
        return now / warmup if now < warmup else (total - now) / max(1, total - warmup)

    def _close_epoch(self, optimizer: torch.optim.Optimizer, state: Trained, steps: int, seconds: float) -> None:
        """Evaluate. Nothing is held back meanwhile: who is stopped here has only to evaluate again."""
        began = time.perf_counter()
        dev = self.evaluate()
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
        state.step, state.loss = 0, 0.0
        score = dev["f1"] if dev["f1"] is not None else 0.0
        with interrupts.held_back():
            if score > state.best_score:
                state.best_epoch, state.best_score = state.epoch, score
                save_weights(self.model, self.folder / "best.safetensors")
            if state.epoch == self.branch_epoch:
                self._save(optimizer, state, "branch.safetensors")
                link(self.folder / "best.safetensors", self.folder / "branch_best.safetensors")
            self._save(optimizer, state)
            self.on_epoch(state.history)

    def _save(self, optimizer: torch.optim.Optimizer, state: Trained, name: str = "checkpoint.safetensors") -> None:
        """The training state, whole or not at all; it replaces the one before."""
        save_state(self.folder / name, self.model, optimizer, vars(state) | {"identity": self.identity})
