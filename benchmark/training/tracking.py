"""Experiment trackers (`train.trackers`), through Accelerate. None by default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.tracking import get_available_trackers
from accelerate.utils import ProjectConfiguration

from benchmark.config import RunConfig
from benchmark.errors import ConfigError
from benchmark.store.differences import flat

FOLDER = "tracking"  # of a run's folder; for trackers that write files


def require_installed(trackers: Sequence[str]) -> None:
    """Raises ConfigError at the first tracker whose package is not here."""
    here = {str(tracker) for tracker in get_available_trackers()}
    for name in trackers:
        if name not in here:
            raise ConfigError(
                f"train.trackers: {name} is not installed: `pip install {name}`, or leave it out"
            )


def tracked(run: RunConfig, folder: Path) -> dict[str, Any]:
    """Arguments of the Accelerator of a run in `folder`."""
    if not run.train.trackers:
        return {}
    files = ProjectConfiguration(project_dir=str(folder), logging_dir=str(folder / FOLDER))
    return {"log_with": list(run.train.trackers), "project_config": files}


def begin(accelerator: Accelerator, run: RunConfig, experiment: str) -> None:
    """Start the trackers, if there are any, with the run's configuration."""
    if run.train.trackers:
        name = f"{run.backbone.name} {run.augmenter.name} seed {run.seed}"
        known = flat(run.model_dump(mode="json"))
        plain = {k: v if isinstance(v, (int, float)) else str(v) for k, v in known.items()}
        accelerator.init_trackers(experiment, plain, {"wandb": {"name": name}})


def log(accelerator: Accelerator, prefix: str, numbers: Mapping[str, Any], step: int) -> None:
    """Hand the numbers among `numbers` to the trackers; anything else is left out."""
    found = {f"{prefix}{key}": n for key, n in numbers.items() if type(n) in (int, float)}
    if accelerator.trackers and found:
        accelerator.log(found, step=step)


def end(accelerator: Accelerator) -> None:
    """Finish the trackers. `end_training` would also end the group of processes, which the next
    runs of the grid need.
    """
    for tracker in accelerator.trackers:
        tracker.finish()
