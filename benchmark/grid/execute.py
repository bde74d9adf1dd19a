"""Running a grid: check everything first, then run what is not done.

A run that fails is recorded, and the others go on.
"""

from __future__ import annotations

import errno
import gc
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmark import processes
from benchmark.config import HEAD, with_revision
from benchmark.errors import UserError
from benchmark.grid import identity
from benchmark.grid.plan import NONE, Job, Outcome
from benchmark.progress import Progress, duration
from benchmark.store.cleaning import BASIS, ENCODINGS, LEFTOVERS, TEMPORARIES, WEIGHTS, discard
from benchmark.store.files import system_error
from benchmark.store.runs import IDENTIFYING_FACTS, RunDirectory


def run_jobs(
    jobs: list[Job],
    *,
    grid: list[Job],
    save_every: float = 600.0,
    progress: Progress,
    **checks: Any,
) -> Iterator[Outcome]:
    """Run what is not done, one job after the other in this process; yields each outcome at once.

    Args:
        grid: all jobs of the experiment. A `none` run keeps what the runs that start from it need
            until all of them are done.
        save_every: seconds between two checkpoints within an epoch.
        checks: the other arguments of `prepare`.

    Raises:
        UserError: as `prepare`.
    """
    checked = prepare(jobs, grid=grid, progress=progress, **checks)
    shared = {job.directory.experiment for job in jobs} | {job.directory.cache for job in jobs}
    for folder in shared:  # several runs write there
        discard(folder, *TEMPORARIES, idle=24 * 3600)
    if checked is None:
        yield from kept(jobs, grid)
        return
    with progress.task("runs", total=checked.left) as bar:
        disk_full, elsewhere = False, set[RunDirectory]()
        for job in jobs:
            if disk_full and job.directory.state() != "done":
                outcome = Outcome(job, "untried", "the disk was full")
            elif (outcome := outcome_without_running(job, elsewhere)) is None:
                progress.message(f"run {bar.done + 1} of {bar.total}: {job.name}")
                outcome = _run(job, checked, save_every, progress)
                disk_full = outcome.disk_full
                if outcome.state == "failed":
                    gc.collect()  # else its model stays on the GPU
            if outcome.state == "elsewhere":
                elsewhere.add(job.directory)
            if outcome.state in ("done", "kept"):
                _clean_up(job, grid)
            bar.advance(outcome.state != "kept")
            yield outcome


def kept(jobs: list[Job], grid: list[Job]) -> Iterator[Outcome]:
    """The outcomes of jobs that were all done before; removes what is not needed now."""
    for job in jobs:
        _clean_up(job, grid)
        yield Outcome(job, "kept")


@dataclass(frozen=True)
class Checked:
    """A grid that can be run, with its documents; `left`: how many of its jobs are not done, or
    are damaged."""

    corpus: Any
    facts: dict[str, Any]
    left: int


def prepare(
    jobs: list[Job],
    *,
    grid: list[Job],
    load_corpus: Callable[[], Any],
    when_checked: Callable[[], Any] = lambda: None,
    progress: Progress,
    restart: bool = False,
) -> Checked | None:
    """Check all that can be wrong with the experiment as a whole; None when every job is done.

    Args:
        load_corpus: called once, and only if there is something to run.
        when_checked: called once, when nothing was found wrong.
        restart: discard a saved training state that does not fit the experiment, and begin that
            run anew. Without it such a state is kept, and an error raised.

    Raises:
        UserError: the corpus cannot be loaded; a finished run (of another seed, too) or a saved
            training state was made with another configuration, other data or another
            version of the numbers; or a hyper-parameter is refused by its backbone or augmenter, or
            the file of further documents does not fit the corpus.
    """
    earlier = set[RunDirectory]().union(*(job.earlier for job in jobs))
    needed = [*jobs, *(job for job in grid if job.directory in earlier and job not in jobs)]
    finished = [job for job in needed if job.directory.is_sound()]
    left = [job for job in jobs if job not in finished]
    finished += _other_seeds(left)
    _require_same(finished, {})
    if not left and not any(job.moved for job in finished):
        when_checked()
        progress.message("all of these runs are done; their data was not read again")
        return None
    corpus, encoder = load_corpus(), jobs[0].config.encoder
    facts = identity.facts(corpus, encoder)
    _require_same(finished, facts)
    _require_ready(left, restart, facts, corpus)
    for fact, made, told in (("commit", "by commit", _short), ("machine", "on", str)):
        now = str(facts[fact])
        stored = {str(job.directory.facts().get(fact)) for job in finished} - {"None"}
        stored -= {now, now.split(",")[0]}  # older runs name no processor
        if others := sorted(map(told, stored)):
            progress.message(
                f"note: the runs that are done were made {made} {', '.join(others)}, the others "
                f"will be made {made} {told(now)}"
            )
    for note in corpus.notes:
        progress.message(f"note on {corpus.name}: {note}")
    if encoder.freeze == "all" and encoder.mention == "marker":
        progress.message(
            "encoder.freeze: all with encoder.mention: marker: a frozen encoder has never learned "
            'to gather anything at the markers "*"; mention: first_piece scores higher'
        )
    when_checked()
    return Checked(corpus, facts, len(left))


def _short(commit: str) -> str:
    """A commit as `identity.commit` gives it, for a message."""
    return commit[:12] + (" with changes" if commit.endswith("+") else "")


def _other_seeds(left: list[Job]) -> Iterator[Job]:
    """For each cell with runs left, a finished run of another seed as a job of this grid: new runs
    must have the same settings.
    """
    for job in {job.directory.path.parent: job for job in left}.values():
        if other := next(filter(RunDirectory.is_sound, job.directory.other_seeds()), None):
            config = job.config.model_copy(update={"seed": other.seed})
            yield replace(job, config=config, directory=other)


def _require_same(finished: list[Job], facts: dict[str, Any]) -> None:
    for job in finished:
        if differences := job.differences(**facts):
            head = f"{job.directory.path} holds a finished run of another configuration:"
            raise UserError(
                "\n  ".join([head, *differences]) + "\nNothing is overwritten: give the experiment "
                "another name (--set name=...) or another folder (--results)."
            )


def _require_ready(left: list[Job], restart: bool, facts: dict[str, Any], corpus: Any) -> None:
    """Refuse hyper-parameters that a backbone or an augmenter refuses, further documents that do
    not fit the corpus, and saved states that do not fit their jobs. With `restart`, discard such
    states.
    """
    if not left:
        return
    from benchmark.training.tried_first import require_buildable, require_fitting_documents

    runs = [job.config.model_copy(update={"seed": 0}) for job in left]
    for run in {run.model_dump_json(): run for run in runs}.values():
        require_buildable(run)
    for choice in {run.augmenter.model_dump_json(): run for run in runs}.values():
        require_fitting_documents(choice, corpus)
    for job in left:
        if job.directory.state() in ("killed", "failed"):  # else its state is in use or left over
            from benchmark.training.resume import require_fitting_state, with_stage1

            stage1 = job.stage1 and job.stage1.path
            known = with_stage1(job.config, _identifying(facts | job.facts), stage1)
            require_fitting_state(job.config, job.directory, known, restart=restart)


def outcome_without_running(job: Job, elsewhere: Collection[RunDirectory] = ()) -> Outcome | None:
    """The outcome of a job that is not to be run now; None if it is to be run.

    elsewhere: runs that other processes worked on a while ago.
    """
    state = job.directory.state()
    if state == "done":
        damage = job.directory.damage()
        advice = f"{damage}. Move the folder away to run it again"
        return Outcome(job, "damaged", advice) if damage else Outcome(job, "kept")
    if state == "running":
        return Outcome(job, "elsewhere", "another process works on it")
    if job.stage1 is None or job.stage1.is_sound():
        return None
    found = job.stage1.state()
    found = "damaged" if found == "done" else found
    if found == "running" or (found != "damaged" and job.stage1 in elsewhere):
        return Outcome(job, "elsewhere", "another process works on its `none` run")
    if not job.needs_stage1:
        return None
    return Outcome(job, "blocked", f"its stage 1 is {found}: {job.stage1.path}")


def _run(job: Job, checked: Checked, save_every: float, progress: Progress) -> Outcome:
    """Claim the job's folder, run the job, and declare it done or failed."""
    started, directory = time.monotonic(), job.directory
    facts = checked.facts | job.facts
    try:
        directory.start(job.config.model_dump(mode="json"), facts=facts)
        with processes.in_step(), directory.beating():
            order = {
                "run": str(directory.path),
                "facts": _identifying(facts),
                "stage1": _if_done(job.stage1),
                "base": _if_done(job.base),
                "encoder_revision": facts["encoder_revision"],
            }
            processes.start_run(order)
            _train(job, order, corpus=checked.corpus, save_every=save_every, progress=progress)
            if directory.is_others():
                raise UserError(f"{directory.path}: another process has taken over this run")
            directory.finish()
    except KeyboardInterrupt:
        directory.release()
        raise
    # whatever a backbone or an augmenter raises must not stop the other runs
    except Exception as error:
        if directory.is_others():
            state = "kept" if directory.state() == "done" else "elsewhere"
            return Outcome(job, state, "another process has just taken it")
        directory.fail(error)
        if not processes.met_by_all(error):
            raise  # the other processes wait for this one: the launcher ends them
        reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        return Outcome(job, "failed", reason, _is_disk_full(error))
    return Outcome(job, "done", f"in {duration(time.monotonic() - started)}")


def _if_done(run: RunDirectory | None) -> str | None:
    return str(run.path) if run is not None and run.state() == "done" else None


def _identifying(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: facts[name] for name in IDENTIFYING_FACTS}


def _train(job: Job, order: dict[str, Any], **settings: Any) -> None:
    """Train the run as `order` says: it is the same in all processes."""
    from benchmark.training import stages

    stages.train_run(
        with_revision(job.config, order["encoder_revision"]),
        job.directory,
        facts=order["facts"],
        stage1=order["stage1"] and Path(order["stage1"]),
        base=order["base"] and Path(order["base"]),
        branch_epoch=job.branch_epoch,
        **settings,
    )


def follow(grid: list[Job], *, load_corpus: Callable[[], Any], save_every: float = 600.0) -> None:
    """What the other processes of a launcher do: take part in every run of the main process.

    Raises what a run raises, unless all processes met the same error; UserError when this process
    reads other documents than the main one.
    """
    jobs, corpus = {str(job.directory.path): job for job in grid}, None
    with processes.in_step():
        while order := processes.next_run():
            job, corpus = jobs[order["run"]], corpus or load_corpus()
            if corpus.digest != order["facts"]["corpus_digest"]:
                raise UserError(
                    f"process {processes.rank()} reads other documents than the main process: "
                    "all need the same files"
                )
            silent = Progress.silent()
            try:
                _train(job, order, corpus=corpus, save_every=save_every, progress=silent)
            # as in `_run`; the main process has recorded it
            except Exception as error:
                if not processes.met_by_all(error):
                    raise


def _clean_up(done: Job, grid: list[Job]) -> None:
    """Remove files of a finished job, and of those before it, that no run needs any more.

    Called whenever a job is found done: its own process may have been killed first.
    """
    done.directory.discard(*LEFTOVERS)
    for job in grid:
        if job.directory in {done.directory, *done.earlier} and _is_over(job, grid):
            if job.shared:  # its own experiment decides on the rest
                job.directory.discard(ENCODINGS)
            else:
                weights = WEIGHTS if job.config.train.keep_weights == "none" else ()
                job.directory.discard(*BASIS, *weights)


def _is_over(job: Job, grid: list[Job]) -> bool:
    """Whether a job and all runs that start from it are done.

    Besides those of the grid, these are runs of other augmenters in the same folder and, if the
    job is stage 1, in that of the cheap protocol.
    """
    family = [job.directory]
    family += [other.directory for other in grid if job.directory in other.earlier]
    if job.augmenter == NONE:
        folder, (backbone, _, seed) = job.directory.experiment, job.cell
        of_head = RunDirectory.of(folder.parent, f"{folder.name}{HEAD}", backbone, NONE, seed)
        family += of_head.all_augmenters()
        if not job.shared:
            family += job.directory.all_augmenters()
    return all(member.state() == "done" for member in family)


def _is_disk_full(error: BaseException | None) -> bool:
    while error is not None:
        if system_error(error) in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__
    return False
