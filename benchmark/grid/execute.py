"""Running a grid: what is done, what is left, and doing it.

A run that fails is recorded, and the others go on.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmark import processes
from benchmark.config import RunConfig
from benchmark.errors import UserError
from benchmark.grid import identity
from benchmark.grid.plan import NONE, Job, Outcome
from benchmark.progress import Progress, duration
from benchmark.store.cleaning import (
    CHECKPOINT,
    discard_basis,
    discard_old_temporaries,
    discard_state,
)
from benchmark.store.files import system_error
from benchmark.store.runs import RunDirectory


def _require_buildable(runs: list[RunConfig]) -> None:
    """Raises UserError for hyper-parameters that no backbone or augmenter can be made with, before
    anything is trained.
    """
    from benchmark.training import stages

    for run in {run.model_copy(update={"seed": 0}).model_dump_json(): run for run in runs}.values():
        stages.require_buildable(run)


def execute(
    jobs: list[Job],
    *,
    grid: list[Job],
    load_corpus: Callable[[], Any],
    when_sound: Callable[[], Any] = lambda: None,
    save_every: float = 600.0,
    progress: Progress,
    restart: bool = False,
) -> Iterator[Outcome]:
    """Run what is not done, one after the other in this process; yields the outcome of each job
    when it is known.

    Args:
        grid: all jobs of the experiment. A `none` run keeps what later ones need until all that
            start from it are done.
        load_corpus: called once, and only if there is something to run.
        save_every: seconds between two checkpoints within an epoch.
        when_sound: called once, when all that can be wrong with the whole experiment has been
            looked at, before the first run.
        restart: see `prepare`.

    Raises:
        UserError: as `prepare`.
    """
    sound = prepare(
        jobs,
        grid=grid,
        load_corpus=load_corpus,
        when_sound=when_sound,
        progress=progress,
        restart=restart,
    )
    discard_old_temporaries(jobs[0].directory.path.parents[2])
    if sound is None:
        for job in jobs:
            _tidy(job, grid)
            yield Outcome(job, "kept")
        return
    with progress.task("runs", total=sound.left) as bar:
        disk_full, elsewhere = False, set[Path]()
        for number, job in enumerate(jobs, start=1):
            if disk_full and job.directory.state() != "done":
                outcome = Outcome(job, "untried", "the disk was full")
            elif (outcome := hindrance(job, elsewhere)) is None:
                progress.message(f"run {number} of {len(jobs)}: {job.name}")
                outcome, disk_full = _run(job, sound.corpus, sound.facts, save_every, progress)
            if outcome.state == "elsewhere":
                elsewhere.add(job.directory.path)
            if outcome.state in ("done", "kept"):
                _tidy(job, grid)
            if outcome.state not in ("kept", "damaged"):
                bar.advance()
            yield outcome


@dataclass(frozen=True)
class Sound:
    """A grid in which all that can be wrong before the first run was looked at; `left`: how many of
    its jobs are not done.
    """

    corpus: Any
    facts: dict[str, Any]
    left: int


def prepare(
    jobs: list[Job],
    *,
    grid: list[Job],
    load_corpus: Callable[[], Any],
    when_sound: Callable[[], Any],
    progress: Progress,
    restart: bool = False,
) -> Sound | None:
    """Look at all that can be wrong with the experiment as a whole; None when every job is done.

    Args:
        restart: unfinished runs of another configuration begin anew; else their training state is
            not thrown away.

    Raises:
        UserError: the corpus cannot be loaded, a finished run (of another seed, too) or a training
            state was made with another configuration, other data or another NUMERICS_VERSION, or a
            backbone or augmenter cannot be made with its hyper-parameters.
    """
    stage1s = {job.stage1 for job in jobs}
    needed = [*jobs, *(job for job in grid if job.directory.path in stage1s and job not in jobs)]
    states = {job.directory.path: job.directory.state() for job in needed}
    finished = [
        job for job in needed if states[job.directory.path] == "done" and not job.directory.damage()
    ]
    done = [job for job in finished if job in jobs]
    left = [job for job in jobs if job not in done]
    finished += _other_seeds(left)
    known = {"numerics_version": identity.NUMERICS_VERSION}
    _require_same(finished, **known)
    _require_continuable(left, restart, **known)
    if len(done) == len(jobs) and not any(job.data_moved for job in done):
        when_sound()
        progress.message("all of these runs are done; their data was not read again")
        return None
    corpus = load_corpus()
    facts = identity.facts(corpus, jobs[0].config.encoder.name)
    _require_same(finished, **facts)
    _require_continuable(left, restart, **facts)
    _require_buildable([job.config for job in left])
    for sentence in _other_commits(finished, facts):
        progress.message(sentence)
    when_sound()
    return Sound(corpus, facts, len(left))


def _other_seeds(left: list[Job]) -> list[Job]:
    """For each cell in which something is left to do, a finished run of it with another seed, as
    the job that it would be here: the new one must fit beside it.
    """
    found = {}
    for job in left:
        cell = job.directory.path.parent
        if cell not in found:
            there = (
                RunDirectory(path)
                for path in sorted(cell.glob("seed-*"))
                if path != job.directory.path
            )
            run = next(
                (
                    directory.read()
                    for directory in there
                    if directory.state() == "done" and not directory.damage()
                ),
                None,
            )
            found[cell] = run and replace(
                job,
                config=job.config.model_copy(update={"seed": run.seed}),
                directory=RunDirectory(run.path),
            )
    return [job for job in found.values() if job]


def _require_continuable(left: list[Job], restart: bool, **facts: Any) -> None:
    """Runs that nobody works on may have a training state, which another configuration cannot go on
    from: with `restart` it is let go of, else that is refused.
    """
    for job in left:
        state = job.directory.path / CHECKPOINT
        if (
            state.is_file()
            and job.directory.state() in ("killed", "failed")
            and job.differences(**facts)
        ):
            if not restart:
                _require_same([job], "an unfinished run", RESTART, **facts)
            state.unlink(missing_ok=True)


def _other_commits(finished: list[Job], facts: dict[str, Any]) -> Iterator[str]:
    """A note where finished runs were made by other code: their numbers may differ for that."""
    stored = {
        job.directory.read_json("config.json").get("facts", {}).get("commit") for job in finished
    }
    if others := sorted(str(commit)[:12] for commit in stored - {facts["commit"], None}):
        yield f"note: the runs that are done were made by commit {', '.join(others)}, those to come by {str(facts['commit'])[:12]}"


def hindrance(job: Job, elsewhere: Collection[Path] = ()) -> Outcome | None:
    """Why a job is not to be run now; None if it is. `elsewhere`: runs that other processes worked
    on a while ago.
    """
    state = job.directory.state()
    if state == "done":
        damage = job.directory.damage()
        return (
            Outcome(job, "damaged", f"{damage}. Move the folder away to run it again")
            if damage
            else Outcome(job, "kept")
        )
    if state == "running":
        return Outcome(job, "elsewhere", "another process works on it")
    stage1 = job.stage1 and RunDirectory(job.stage1)
    if (
        stage1
        and (found := stage1.state()) != "done"
        and (found == "running" or stage1.path in elsewhere)
    ):
        return Outcome(job, "elsewhere", "its `none` run is at work in another process")
    if job.needs_stage1 and ((found := stage1.state()) != "done" or stage1.damage()):
        return Outcome(
            job,
            "blocked",
            f"its stage 1 is {'damaged' if found == 'done' else found}: {stage1.path}",
        )
    return None


RESTART = " Or let go of its state with --restart."


def _require_same(
    stored: list[Job], what: str = "a finished run", remedy: str = "", **facts: Any
) -> None:
    for job in stored:
        if differences := job.differences(**facts):
            raise UserError(
                f"{job.directory.path} holds {what} of another configuration:\n  "
                + "\n  ".join(differences)
                + "\nNothing is overwritten: give the experiment another name (--set name=...) or another folder (--results)."
                + remedy
            )


def _run(
    job: Job, corpus: Any, facts: dict[str, Any], save_every: float, progress: Progress
) -> tuple[Outcome, bool]:
    """Run one job; the outcome, and whether the disk is full."""
    from benchmark.training import stages

    stage1 = (
        job.stage1
        if job.stage1 is not None and RunDirectory(job.stage1).state() == "done"
        else None
    )
    started = time.monotonic()
    try:
        job.directory.start(job.config.model_dump(mode="json"), facts=facts | job.facts)
        with processes.in_step(), job.directory.beating():
            processes.start_run(
                {
                    "run": str(job.directory.path),
                    "stage1": stage1 and str(stage1),
                    "corpus": corpus.digest,
                }
            )
            stages.train_run(
                job.config,
                job.directory,
                corpus=corpus,
                stage1=stage1,
                branch_epoch=job.branch_epoch,
                save_every=save_every,
                progress=progress,
            )
            if job.directory.is_others():
                raise UserError(f"{job.directory.path}: another process took this run over")
            job.directory.finish()
    except KeyboardInterrupt:
        job.directory.release()
        raise
    # whatever a backbone or an augmenter raises must not lose the other runs; it is recorded in
    # full
    except Exception as error:
        if job.directory.is_others():
            state = "kept" if job.directory.state() == "done" else "elsewhere"
            return Outcome(job, state, "another process has just taken it"), False
        job.directory.fail(error)
        if not processes.met_by_all(error):
            raise  # the others wait for this process: their launcher ends them
        reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        return Outcome(job, "failed", reason), _is_disk_full(error)
    return Outcome(job, "done", f"in {duration(time.monotonic() - started)}"), False


def follow(grid: list[Job], *, load_corpus: Callable[[], Any], save_every: float = 600.0) -> None:
    """Take part in every run that the main process starts, until it ends: what the other processes
    of a launcher do.

    Raises what a run raises, unless all processes have met it alike; UserError when this process
    finds other documents.
    """
    from benchmark.training import stages

    jobs, corpus = {str(job.directory.path): job for job in grid}, None
    with processes.in_step():
        while order := processes.next_run():
            job, corpus = jobs[order["run"]], corpus or load_corpus()
            if corpus.digest != order["corpus"]:
                raise UserError(
                    f"process {processes.rank()} reads other documents than the main process: all need the same files"
                )
            try:
                stages.train_run(
                    job.config,
                    job.directory,
                    corpus=corpus,
                    stage1=order["stage1"] and Path(order["stage1"]),
                    branch_epoch=job.branch_epoch,
                    save_every=save_every,
                    progress=Progress.silent(),
                )
            # whatever a backbone or an augmenter raises, as in `_run`: the main process has
            # recorded it
            except Exception as error:
                if not processes.met_by_all(error):
                    raise


def _tidy(done: Job, grid: list[Job]) -> None:
    """Remove what only runs yet to come needed: of a job that is done, and of the `none` run it
    started from.

    Looked at whenever a job is found done: whoever finished it may have been killed before this.
    """
    discard_state(done.directory.path)
    for job in grid:
        if job.directory.path in (done.directory.path, done.stage1) and _is_over(job, grid):
            discard_basis(job.directory.path, keep_weights=job.config.train.keep_weights != "none")


def _is_over(job: Job, grid: list[Job]) -> bool:
    """Whether a job is done, and all that start from it: those of the grid, and others that lie
    beside it.
    """
    family = [
        job.directory,
        *(other.directory for other in grid if other.stage1 == job.directory.path),
    ]
    if job.augmenter == NONE:
        family += map(
            RunDirectory, job.directory.path.parents[1].glob(f"*/{job.directory.path.name}")
        )
    return all(member.state() == "done" for member in family)


def _is_disk_full(error: BaseException | None) -> bool:
    while error is not None:
        if system_error(error) in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__
    return False
