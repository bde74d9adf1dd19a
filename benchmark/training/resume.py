"""Where a run continues: its own training state, or that of the `none` run after the warm-up."""

from __future__ import annotations

import hashlib
import inspect
from pathlib import Path
from typing import Any

from benchmark.config import Choice, RunConfig
from benchmark.data.documents import Corpus
from benchmark.errors import UserError
from benchmark.grid.identity import NUMERICS_VERSION, encoder_digest, teacher_digest
from benchmark.registry import AUGMENTERS
from benchmark.store.cleaning import BRANCH, BRANCH_BEST, CHECKPOINT
from benchmark.store.runs import RunDirectory, difference_lines, differing
from benchmark.training.checkpoints import is_sound, link, read_facts, read_tensors


def starting_point(
    run: RunConfig, directory: RunDirectory, corpus: Corpus, stage1: Path | None
) -> Path | None:
    """The training state to go on from: the run's own, if it was killed; else the `none` run's at
    the end of warm-up, if kept.

    Raises:
        UserError: the run's own state was made with another configuration, other data or other
            code. It is kept.
    """
    own = directory.path / CHECKPOINT
    if differences := state_differences(run, directory, corpus):
        raise UserError(
            f"{own} does not fit this run:\n  "
            + "\n  ".join(differences)
            + "\nIt is kept. `run` with --restart discards it and begins the run anew."
        )
    best = directory.path / "best.safetensors"
    if (facts := facts_of(own)) and (not facts.get("best_epoch") or is_sound(best)):
        return own
    # A state that is torn, or whose best weights are, is of no use. It must go: it would match the
    # best weights of the new attempt.
    own.unlink(missing_ok=True)
    if run.augment is None or stage1 is None or not run.augment.repeats_stage1:
        return None
    state, best = stage1 / BRANCH, stage1 / BRANCH_BEST
    if not (state.is_file() and is_sound(best)):
        return None
    plain = run.model_copy(update={"augmenter": Choice(name="none"), "augment": None})
    facts = facts_of(state)
    if (
        differing(_mapping(facts.get("identity")), state_identity(plain, corpus))
        or facts["epoch"] != run.augment.warmup_epochs
    ):
        return None
    link(best, directory.path / "best.safetensors")
    return state


def facts_of(state: Path) -> dict[str, Any]:
    """What a file says of itself; nothing when it is torn or not as it was written, and then it
    counts as not there.
    """
    try:
        return read_tensors(state)[1]
    except UserError:
        return {}


def state_differences(run: RunConfig, directory: RunDirectory, corpus: Corpus) -> list[str]:
    """What sets the run's own training state apart from the run, a sentence per key.

    Empty if the state fits, is torn or is not there.
    """
    try:
        facts = read_facts(directory.path / CHECKPOINT)
    except UserError:
        return []
    return difference_lines(_mapping(facts.get("identity")), state_identity(run, corpus))


def _mapping(identity: Any) -> dict[str, Any]:
    """The identity of a state; earlier versions of the code stored a digest."""
    return identity if isinstance(identity, dict) else {"saved by": "an earlier version"}


def state_identity(run: RunConfig, corpus: Corpus) -> dict[str, Any]:
    """What a training state belongs to: configuration, data, encoder, teacher, augmenter's code."""
    try:
        source = inspect.getsource(AUGMENTERS[run.augmenter.name])
    except OSError:  # defined in a session, not in a file
        source = ""
    return {
        **run.model_dump(mode="json"),
        "corpus_digest": corpus.digest,
        "encoder_digest": encoder_digest(run.encoder.name),
        "teacher_digest": teacher_digest(run.train.distill_from),
        "numerics_version": NUMERICS_VERSION,
        "augmenter_code": hashlib.sha256(source.encode()).hexdigest()[:16],
    }
