"""From an experiment to its runs, in the order to run them.

The `none` run of a (backbone, seed) comes before the others of that pair: its model is stage 1 of
every augmenter that is fitted, and the others branch off from it where augmentation sets in.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from benchmark.config import LARGEST_SEED, Choice, Experiment, RunConfig, complete_options
from benchmark.errors import ConfigError, UserError
from benchmark.grid import identity
from benchmark.registry import AUGMENTERS, BACKBONES, DATASETS, Registry
from benchmark.store.runs import RunDirectory

NONE = "none"


@dataclass(frozen=True)
class Job:
    """One run: what it computes, and where it is stored.

    stage1: directory of the `none` run that an augmented one starts from; None where the grid has
        none.
    branch_epoch: for a `none` run, the epoch after which the others branch off; None where there
        are no others.
    """

    config: RunConfig
    directory: RunDirectory
    stage1: Path | None = None
    branch_epoch: int | None = None

    @property
    def backbone(self) -> str:
        return self.config.backbone.name

    @property
    def augmenter(self) -> str:
        return self.config.augmenter.name

    @property
    def name(self) -> str:
        return f"{self.backbone} {self.augmenter} seed {self.config.seed}"

    @property
    def needs_stage1(self) -> bool:
        """Whether it cannot run without the `none` run. Imports the augmenter, and with it
        torch.
        """
        if self.stage1 is None:
            return False
        return self.config.augment.start == "stage1" or _needs_fitting(self.augmenter)

    @property
    def data_moved(self) -> bool:
        """The stored run read its data from other paths."""
        return self.directory.read_json("config.json").get(
            "dataset"
        ) != self.config.dataset.model_dump(mode="json")

    @property
    def facts(self) -> dict[str, Any]:
        """What identifies this job besides its configuration and what all jobs share."""
        return {
            "teacher_digest": identity.teacher_digest(
                self.config.backbone.options.get("distill_from")
            )
        }

    def differences(self, **facts: Any) -> list[str]:
        """What sets this job apart from the run stored in its directory."""
        config = self.config.model_dump(mode="json")
        return self.directory.differences(config, facts=facts | self.facts, completed=_completed)


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    state: done (now) | kept (done before) | damaged (done before, but a file is torn, gone or
        edited) | failed | blocked (its
    `none` run is not done) | elsewhere (another process works on it) | untried (the disk was full).
    Of a worker (benchmark/launch)
    also: killed (it ended without a word) | stopped (it was asked to, and saved its state) |
        submitted | queued (submitted before).
    """

    job: Job
    state: str
    detail: str = ""


def _needs_fitting(augmenter: str) -> bool:
    """False for a class that is no Augmenter: `_require_buildable` says so in due course."""
    return getattr(AUGMENTERS[augmenter], "needs_fitting", False)


def _completed(stored: dict[str, Any]) -> dict[str, Any]:
    """A stored configuration with the settings and hyper-parameters that later versions of the code
    added, at their defaults.
    """
    try:
        config = RunConfig.model_validate(stored).model_dump(mode="json")
    except ValidationError:
        return stored
    for key, registry in (
        ("dataset", DATASETS),
        ("backbone", BACKBONES),
        ("augmenter", AUGMENTERS),
    ):
        with contextlib.suppress(
            UserError
        ):  # an option that is gone, or a plugin's name: as it was stored
            config[key]["options"] = complete_options(
                registry, config[key]["name"], config[key]["options"]
            )
    return config


def plan(experiment: Experiment, results: str | Path) -> list[Job]:
    """All jobs of the experiment in the order to run them, one seed after the other.

    The `none` runs are among them if the experiment names `none` or an augmenter that is fitted, or
    if stage 3 starts from them.
    """
    names = [choice.name for choice in experiment.augmenters if choice.name != NONE]
    with_none = (
        len(names) < len(experiment.augmenters)
        or (names and experiment.augment.start == "stage1")
        or any(_needs_fitting(name) for name in names)
    )
    jobs = []
    for seed in experiment.seeds:
        for backbone in (choice.name for choice in experiment.backbones):
            stage1 = (
                RunDirectory.of(results, experiment.name, backbone, NONE, seed)
                if with_none
                else None
            )
            if stage1 is not None:
                branch_epoch = (
                    experiment.augment.warmup_epochs
                    if names and experiment.augment.repeats_stage1
                    else None
                )
                jobs.append(
                    Job(experiment.run(backbone, NONE, seed), stage1, branch_epoch=branch_epoch)
                )
            for name in names:
                directory = RunDirectory.of(results, experiment.name, backbone, name, seed)
                jobs.append(
                    Job(experiment.run(backbone, name, seed), directory, stage1 and stage1.path)
                )
    return jobs


def extend(
    experiment: Experiment,
    *,
    backbones: list[str] | None = None,
    augmenters: list[str] | None = None,
    seeds: list[int] | None = None,
) -> Experiment:
    """The experiment with these names and seeds as well; names that it lacks get their default
    hyper-parameters.

    Raises UnknownNameError for a name that no registry holds, ConfigError for a seed that is none.
    """
    if strange := [seed for seed in seeds or () if not 0 <= seed <= LARGEST_SEED]:
        raise ConfigError(
            f"--seeds: a seed is a whole number from 0 on, got {strange[0]} (the largest is {LARGEST_SEED})"
        )
    everything = {
        "backbones": _extended(BACKBONES, experiment.backbones, backbones or ()),
        "augmenters": _extended(AUGMENTERS, experiment.augmenters, augmenters or ()),
        "seeds": list(dict.fromkeys([*experiment.seeds, *(seeds or ())])),
    }
    return experiment.model_copy(update=everything)


def _extended(registry: Registry, choices: list[Choice], names: Iterable[str]) -> list[Choice]:
    known = {choice.name for choice in choices}
    new = [name for name in dict.fromkeys(names) if name not in known]
    return [
        *choices,
        *(Choice(name=name, options=complete_options(registry, name, {})) for name in new),
    ]


def select(
    jobs: list[Job],
    *,
    backbones: list[str] | None = None,
    augmenters: list[str] | None = None,
    seeds: list[int] | None = None,
) -> list[Job]:
    """The jobs with these names and seeds (None: all), and the `none` runs that they cannot do
    without.
    """
    wanted = [
        job
        for job in jobs
        if (backbones is None or job.backbone in backbones)
        and (augmenters is None or job.augmenter in augmenters)
        and (seeds is None or job.config.seed in seeds)
    ]
    chosen = {job.directory.path for job in wanted}
    chosen |= {job.stage1 for job in wanted if job.stage1 not in chosen and job.needs_stage1}
    return [job for job in jobs if job.directory.path in chosen]
