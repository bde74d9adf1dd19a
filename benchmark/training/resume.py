"""Where a run continues: its own training state, or that of the `none` run after the warm-up."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark.config import RunConfig
from benchmark.errors import UserError
from benchmark.registry import AUGMENTERS
from benchmark.store.cleaning import AUGMENTER, BRANCH, BRANCH_BEST, CHECKPOINT
from benchmark.store.differences import difference_lines, differing
from benchmark.store.runs import RunDirectory
from benchmark.training.checkpoints import is_sound, link, read_facts, read_tensors


def require_fitting_state(
    run: RunConfig, directory: RunDirectory, facts: Mapping[str, Any]
) -> None:
    """Refuse what an earlier attempt saved for another configuration, other data or other code.

    Raises:
        UserError: the run's training state or fitted augmenter does not fit. It is kept.
    """
    if differences := state_differences(run, directory, facts):
        raise UserError(
            f"{directory.path}: what an earlier attempt saved does not fit this run:\n  "
            + "\n  ".join(differences)
            + "\nIt is kept. `run` with --restart discards it and begins the run anew."
        )


def starting_point(
    run: RunConfig, directory: RunDirectory, facts: Mapping[str, Any], base: Path | None
) -> Path | None:
    """The training state to go on from, if there is one.

    It is the run's own if it was killed, else that of `base`, the `none` run, at the end of
    warm-up. The run's own state must have passed `require_fitting_state`.
    """
    own, best = directory.path / CHECKPOINT, directory.path / "best.safetensors"
    if (saved := facts_of(own)) and (not saved.get("best_epoch") or is_sound(best)):
        return own
    # A state that is torn, or whose best weights are, is of no use. It must go: it would match the
    # best weights of the new attempt.
    own.unlink(missing_ok=True)
    if run == run.plain() or base is None or not run.augment.repeats_stage1:
        return None
    state, best = base / BRANCH, base / BRANCH_BEST
    if not (state.is_file() and is_sound(best)):
        return None
    saved = facts_of(state)
    if (
        differing(_identity_in(saved), state_identity(run.plain(), facts))
        or saved["epoch"] != run.augment.warmup_epochs
    ):
        return None
    link(best, directory.path / "best.safetensors")
    return state


def facts_of(state: Path) -> dict[str, Any]:
    """What a file says of itself; nothing if it was damaged, and then it counts as not there."""
    try:
        return read_tensors(state)[1]
    except UserError:
        return {}


def state_differences(
    run: RunConfig, directory: RunDirectory, facts: Mapping[str, Any]
) -> list[str]:
    """What sets the run's training state or its fitted augmenter apart from it, a sentence per key.

    Empty if they fit. A file that is torn or not there does not count.
    """
    asked = state_identity(run, facts)
    for name in (CHECKPOINT, AUGMENTER):
        with contextlib.suppress(UserError):
            saved = _identity_in(read_facts(directory.path / name))
            if differences := difference_lines(saved, asked):
                return differences
    return []


def _identity_in(saved: Mapping[str, Any]) -> dict[str, Any]:
    """The identity stored with a state; earlier versions of the code stored a digest."""
    identity = saved.get("identity")
    return identity if isinstance(identity, dict) else {"saved by": "an earlier version"}


def state_identity(run: RunConfig, facts: Mapping[str, Any]) -> dict[str, Any]:
    """What a training state belongs to: configuration, identifying facts, augmenter's code."""
    try:
        source = inspect.getsource(AUGMENTERS[run.augmenter.name])
    except OSError:  # defined in a session, not in a file
        source = ""
    code = hashlib.sha256(source.encode()).hexdigest()[:16]
    # another revision of the encoder with the same content is the same encoder
    aside = {"encoder": {"revision"}, "train": {"trackers"}}
    config = run.model_dump(mode="json", exclude=aside)
    return {**config, **facts, "augmenter_code": code}
