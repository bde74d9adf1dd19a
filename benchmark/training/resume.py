"""Where a run goes on from: its own training state, or the `none` run's at the end of the warm-up."""

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
from benchmark.store.runs import RunDirectory
from benchmark.training.checkpoints import is_sound, link, read_tensors


def starting_point(
    run: RunConfig, directory: RunDirectory, corpus: Corpus, stage1: Path | None
) -> Path | None:
    """The training state to go on from: the run's own, if it was killed; else the `none` run's at
    the end of warm-up, if kept.

    A state that was made under another configuration or with other data is removed: it must not
    meet the weights of this run.
    """
    own = directory.path / CHECKPOINT
    if own.is_file():
        facts = facts_of(own)
        chosen = not facts.get("best_epoch") or is_sound(directory.path / "best.safetensors")
        if facts.get("identity") == state_identity(run, corpus) and chosen:
            return own
        own.unlink()
    if run.augment is None or stage1 is None or not run.augment.repeats_stage1:
        return None
    state, best = stage1 / BRANCH, stage1 / BRANCH_BEST
    if not (state.is_file() and is_sound(best)):
        return None
    plain = run.model_copy(update={"augmenter": Choice(name="none"), "augment": None})
    facts = facts_of(state)
    if (
        facts.get("identity") != state_identity(plain, corpus)
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


def state_identity(run: RunConfig, corpus: Corpus) -> str:
    """Identifies what a training state belongs to: the configuration, the data, the encoder, the
    teacher, the augmenter's code.
    """
    try:
        source = inspect.getsource(AUGMENTERS[run.augmenter.name])
    except OSError:  # defined in a session, not in a file
        source = ""
    teacher = teacher_digest(run.backbone.options.get("distill_from"))
    identity = (corpus.digest, encoder_digest(run.encoder.name), teacher, NUMERICS_VERSION)
    parts = (run.model_dump_json(), *map(str, identity), source)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
