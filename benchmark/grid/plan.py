"""From an experiment to its runs, in the order to run them.

The `none` run of a backbone and seed comes first: its model is stage 1 of every augmenter that is
fitted, and the other runs branch off from it where augmentation begins.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmark.config import LARGEST_SEED, Choice, Experiment, RunConfig, complete_options
from benchmark.errors import ConfigError
from benchmark.registry import AUGMENTERS, BACKBONES, Registry
from benchmark.store.own_facts import own_facts
from benchmark.store.runs import RunDirectory

NONE = "none"


@dataclass(frozen=True)
class Job:
    """One run: what it computes, and where it is stored.

    stage1: the `none` run of the whole model that it is built on; None where the grid has none.
    base: the `none` run of the same protocol, whose state after the warm-up it goes on from; None
        where the grid has none. In the paper's protocol this is stage 1.
    branch_epoch: of a `none` run, the epoch after which the others branch off; None without others.
    shared: it is stage 1 of a grid of the cheap protocol, and lies in another experiment's folder.
    """

    config: RunConfig
    directory: RunDirectory
    stage1: RunDirectory | None = None
    base: RunDirectory | None = None
    branch_epoch: int | None = None
    shared: bool = False

    @property
    def backbone(self) -> str:
        return self.config.backbone.name

    @property
    def augmenter(self) -> str:
        return self.config.augmenter.name

    @property
    def cell(self) -> tuple[str, str, int]:
        """(backbone, augmenter or "stage1", seed): the job's name within its experiment."""
        return self.backbone, "stage1" if self.shared else self.augmenter, self.config.seed

    @property
    def name(self) -> str:
        backbone, augmenter, seed = self.cell
        return f"{backbone} {augmenter} seed {seed}"

    @property
    def needs_stage1(self) -> bool:
        """Whether it cannot run without stage 1. Imports the augmenter, and so torch."""
        return self.stage1 is not None and self.config.augment.needs_stage1(self.augmenter)

    @property
    def earlier(self) -> set[RunDirectory]:
        """The runs that come before it."""
        return {self.stage1, self.base} - {None}

    @property
    def moved(self) -> bool:
        """Whether the stored run read its data or its encoder from another place."""
        stored, asked = self.directory.config(), self.config.model_dump(mode="json")
        of = lambda config: (config.get("dataset"), config.get("encoder", {}).get("name"))
        return of(stored) != of(asked)

    @property
    def facts(self) -> dict[str, Any]:
        """What identifies this job besides its configuration and the facts common to all jobs."""
        return own_facts(self.config)

    def differences(self, **facts: Any) -> list[str]:
        """What sets this job apart from the run stored in its folder."""
        config = self.config.model_dump(mode="json")
        return self.directory.differences(config, facts | self.facts)


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    state: done (now) | kept (done before) | damaged (done before, but a file is torn, gone or
        edited) | failed | blocked (its `none` run is not done) | elsewhere (another process works
        on it) | untried (the disk was full). From a worker (benchmark/launch) also: killed (it
        ended without a word) | stopped (as it was asked to, with its state saved) | submitted |
        queued (submitted before).
    disk_full: why it failed, if it ran in this process. Not the error itself, whose traceback would
        keep the model in memory.
    """

    job: Job
    state: str
    detail: str = ""
    disk_full: bool = False


def plan(experiment: Experiment, results: str | Path) -> list[Job]:
    """All jobs of the experiment in the order to run them, one seed after the other.

    The `none` runs are among them if the experiment names `none` or an augmenter that is fitted,
    or if stage 3 starts from them. In the cheap protocol (`augment.stage3: head`) stage 1 is always
    among them.
    """
    names = [choice.name for choice in experiment.augmenters if choice.name != NONE]
    augment, on_head = experiment.augment, experiment.augment.stage3 == "head"
    with_none = len(names) < len(experiment.augmenters)
    if not on_head and not with_none:
        with_none = any(map(augment.needs_stage1, names))
    branch_epoch = augment.warmup_epochs if names and augment.repeats_stage1 else None
    jobs = []
    for seed in experiment.seeds:
        for backbone in (choice.name for choice in experiment.backbones):
            directory = partial(RunDirectory.of, results, experiment.folder, backbone, seed=seed)
            none, stage1 = experiment.run(backbone, NONE, seed), None
            if on_head:
                stage1 = RunDirectory.of(results, experiment.name, backbone, NONE, seed)
                jobs.append(Job(none.stage1(), stage1, shared=True))
            base = directory(NONE) if with_none else None
            if base is not None:
                jobs.append(Job(none, base, stage1, branch_epoch=branch_epoch))
            jobs += (
                Job(experiment.run(backbone, name, seed), directory(name), stage1 or base, base)
                for name in names
            )
    return jobs


def extend(
    experiment: Experiment,
    *,
    backbones: list[str] | None = None,
    augmenters: list[str] | None = None,
    seeds: list[int] | None = None,
) -> Experiment:
    """The experiment with these names and seeds as well; new names get default hyper-parameters.

    Raises UnknownNameError for a name that no registry holds, ConfigError for an impossible seed
    and for names that do not go with the rest of the experiment.
    """
    if strange := [seed for seed in seeds or () if not 0 <= seed <= LARGEST_SEED]:
        raise ConfigError(
            f"--seeds: a seed is a whole number, 0 or more, got {strange[0]} "
            f"(the largest is {LARGEST_SEED})"
        )
    everything = {
        "backbones": _extended(BACKBONES, experiment.backbones, backbones or ()),
        "augmenters": _extended(AUGMENTERS, experiment.augmenters, augmenters or ()),
        "seeds": list(dict.fromkeys([*experiment.seeds, *(seeds or ())])),
    }
    return experiment.changed(everything)


def _extended(registry: Registry, choices: list[Choice], names: Iterable[str]) -> list[Choice]:
    found = {choice.name: choice for choice in choices}
    for name in names:
        if name not in found:
            found[name] = Choice(name=name, options=complete_options(registry, name, {}))
    return list(found.values())


def select(
    jobs: list[Job],
    *,
    backbones: list[str] | None = None,
    augmenters: list[str] | None = None,
    seeds: list[int] | None = None,
) -> list[Job]:
    """The jobs with these names and seeds (None: all), and the `none` runs that they need."""
    wanted = [
        job
        for job in jobs
        if (backbones is None or job.backbone in backbones)
        and (augmenters is None or job.augmenter in augmenters)
        and (seeds is None or job.config.seed in seeds)
    ]
    chosen = {job.directory for job in wanted}
    chosen |= {job.stage1 for job in wanted if job.stage1 not in chosen and job.needs_stage1}
    return [job for job in jobs if job.directory in chosen]
