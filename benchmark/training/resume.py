"""Where a run continues: its own training state, or that of the `none` run after the warm-up."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark.config import RunConfig, completed
from benchmark.errors import UserError
from benchmark.registry import AUGMENTERS
from benchmark.store.cleaning import BRANCH, BRANCH_BEST, CHECKPOINT, SAVED_STATE
from benchmark.store.differences import difference_lines
from benchmark.store.own_facts import own_facts
from benchmark.store.runs import RunDirectory
from benchmark.training.checkpoints import DIGEST, is_sound, link, read_facts, sound_facts

STAGE1 = "stage1_weights"  # its key among the facts of a run


def with_stage1(run: RunConfig, facts: Mapping[str, Any], stage1: Path | None) -> dict[str, Any]:
    """The facts, with the digest of the weights of `stage1` if the run is built on them: they may
    have been retrained since it began.
    """
    known = dict(facts)
    if stage1 is not None and run.augment and run.augment.needs_stage1(run.augmenter.name):
        with contextlib.suppress(UserError):  # they may be gone
            known[STAGE1] = read_facts(stage1 / "best.safetensors").get(DIGEST)
    return known


def require_fitting_state(
    run: RunConfig, directory: RunDirectory, facts: Mapping[str, Any], *, restart: bool = False
) -> None:
    """Raises UserError for a training state or a fitted augmenter that an earlier attempt saved for
    another configuration, other data or other code; with `restart`, they are discarded. A file that
    is torn or missing does not count.
    """
    found: list[str] = []
    for name in SAVED_STATE:
        with contextlib.suppress(UserError):
            found = found or differences(read_facts(directory.path / name), run, facts)
    if found and not restart:
        head = f"{directory.path} holds an unfinished run of another configuration:"
        raise UserError(
            "\n  ".join([head, *found]) + "\nNothing is overwritten: give the experiment "
            "another name (--set name=...) or another folder (--results), or discard what is saved "
            "with --restart."
        )
    if found:
        directory.discard(*SAVED_STATE)


def starting_point(
    run: RunConfig, directory: RunDirectory, facts: Mapping[str, Any], base: Path | None
) -> Path | None:
    """The training state to go on from, if there is one: the run's own, which must have passed
    `require_fitting_state`, else that of `base`, the `none` run, at the end of the warm-up.

    Raises UserError for a file that is there and cannot be opened.
    """
    own, best = directory.path / CHECKPOINT, directory.path / "best.safetensors"
    if (saved := sound_facts(own)) and (not saved.get("best_epoch") or is_sound(best)):
        return own
    # A state that is torn, or whose best weights are, is of no use. It must go: it would match the
    # best weights of the new attempt.
    own.unlink(missing_ok=True)
    if run == run.plain() or base is None or not run.augment.repeats_stage1:
        return None
    saved, plain = sound_facts(base / BRANCH) or {}, run.plain()
    facts = {**facts, **own_facts(plain)}
    if (
        saved.get("epoch") != run.augment.warmup_epochs
        or differences(saved, plain, facts)
        or not is_sound(base / BRANCH_BEST)
    ):
        return None
    link(base / BRANCH_BEST, best)
    return base / BRANCH


def differences(saved: Mapping[str, Any], run: RunConfig, facts: Mapping[str, Any]) -> list[str]:
    """What sets a run apart from the one that a state was saved for, a sentence per key. A key that
    the code did not have then counts as its default.
    """
    both = [_with_defaults(saved.get("identity", {})), _with_defaults(state_identity(run, facts))]
    if not all(identity.get(STAGE1) for identity in both):  # unknown, or one lacks it
        both = [{k: v for k, v in identity.items() if k != STAGE1} for identity in both]
    return difference_lines(*both)


def _with_defaults(identity: Mapping[str, Any]) -> dict[str, Any]:
    config = {name: identity[name] for name in RunConfig.model_fields if name in identity}
    return {**identity, **completed(config)}


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
