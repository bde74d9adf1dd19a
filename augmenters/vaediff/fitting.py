"""What the training loops of stage 2 share."""

import copy
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from augmenters.base import Progress
from augmenters.soundness import AugmenterError


def run_epochs(
    epochs: int, train: Callable[[int], dict[str, float]], progress: Progress
) -> list[dict[str, float]]:
    """The history of `train(epoch)`, from epoch 1 on. Raises AugmenterError when it diverges."""
    history = []
    for epoch in range(1, epochs + 1):
        numbers = train(epoch)
        for name, value in numbers.items():
            if not math.isfinite(value):
                raise AugmenterError(
                    f"stage 2 diverged: {name} is {value} in epoch {epoch}; lower the learning "
                    "rate (lr; for the prior of vaediff, lr_prior)"
                )
        history.append({"epoch": epoch, **numbers})
        progress(epoch, epochs, **numbers)
    return history


def batches(pairs: int, size: int, rng: torch.Generator) -> tuple[Tensor, ...]:
    """Row numbers of one shuffled epoch, in batches of nearly equal length, at most `size`."""
    return torch.randperm(pairs, generator=rng).tensor_split(math.ceil(pairs / size))


class Descent:
    """AdamW with clipped gradients and a learning rate that follows a cosine from `lr` to `lr_min`.

    Args:
        total: steps of the run.
        cycles: how often the cosine runs down in that time; more than 1 are warm restarts (SGDR).
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        lr: float,
        lr_min: float,
        total: int,
        cycles: int = 1,
        weight_decay: float = 0.01,
        clip: float = 1.0,
    ):
        self.parameters = list(module.parameters())
        self.optimiser = torch.optim.AdamW(
            self.parameters, lr=lr, eps=1e-6, weight_decay=weight_decay, fused=True
        )
        self.lr, self.lr_min, self.total, self.cycles, self.clip = lr, lr_min, total, cycles, clip
        self.done, self.rate = 0, lr

    def rate_of(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        phase = (step * self.cycles % self.total) / self.total
        return self.lr_min + 0.5 * (self.lr - self.lr_min) * (1 + math.cos(math.pi * phase))

    def step(self, loss: Tensor) -> None:
        """One update of these parameters alone. Gradients are zeroed (official stage 2: never)."""
        self.optimiser.zero_grad()
        loss.backward(inputs=self.parameters)
        nn.utils.clip_grad_norm_(self.parameters, self.clip)
        self.rate = self.rate_of(self.done)
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate
        self.optimiser.step()
        self.done += 1


class Best:
    """Keeps the parameters of the epoch with the lowest held-out loss."""

    def __init__(self, module: nn.Module):
        self.module, self.loss, self.state = module, math.inf, None

    def offer(self, loss: float) -> None:
        if loss < self.loss:
            self.loss, self.state = loss, copy.deepcopy(self.module.state_dict())

    def restore(self) -> None:
        """Go back to it; stay at the last epoch if none was offered."""
        if self.state is not None:
            self.module.load_state_dict(self.state)


class Averages:
    """Means over the rows of an epoch, gathered on the device and read once."""

    def __init__(self):
        self.sums, self.rows = {}, {}

    def add(self, **per_row: Tensor) -> None:
        """One value per row of the batch, by name."""
        for name, values in per_row.items():
            self.sums.setdefault(name, []).append(values.detach().sum())
            self.rows[name] = self.rows.get(name, 0) + len(values)

    def read(self) -> dict[str, float]:
        return {
            name: float(torch.stack(sums).cpu().double().sum()) / self.rows[name]
            for name, sums in self.sums.items()
        }
