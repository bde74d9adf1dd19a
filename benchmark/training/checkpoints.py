"""Weights and training states on disk: safetensors only, each file written whole or not at all,
with a digest of its content.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from benchmark.errors import UserError
from benchmark.store.files import written_atomically

DIGEST = "digest of the content"  # its key among the facts of a file
UMASK = os.umask(0)  # reading it means setting it
os.umask(UMASK)


class CannotBeOpenedError(UserError):
    """A file is there and cannot be opened, so nothing is known of its content."""


def write_tensors(
    path: Path, tensors: dict[str, Tensor], facts: dict[str, Any] | None = None
) -> None:
    """Write `tensors`, and `facts` as JSON in the file's header, replacing `path` in one step.

    Raises UserError as `written_atomically`.
    """
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    known = (facts or {}) | {DIGEST: _digest(contiguous, facts or {})}
    with written_atomically(path) as part:
        # all facts under one key: safetensors writes several in any order
        save_file(contiguous, part, metadata={"facts": json.dumps(known, allow_nan=False)})
        part.chmod(0o666 & ~UMASK)  # safetensors lets nobody else read it


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and facts of a file written by `write_tensors`.

    Raises UserError when it is missing, damaged or changed, CannotBeOpenedError among others. Other
    programs' files have no digest to tell a change by.
    """
    tensors, facts = _read(path)
    if facts.pop(DIGEST, None) not in (None, _digest(tensors, facts)):
        raise UserError(
            f"{path}: damaged: its content is not what was written (the digest in it differs)"
        )
    return tensors, facts


def read_facts(path: Path) -> dict[str, Any]:
    """The facts alone, and under DIGEST that of the content; the tensors are not read."""
    return _read(path, with_tensors=False)[1]


def _read(path: Path, *, with_tensors: bool = True) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with open(path, "rb"):  # safetensors says "no such file" whatever the reason
            pass
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except OSError as error:
        raise CannotBeOpenedError(f"{path}: cannot be opened: {error.strerror}") from error
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {}).get("facts", "{}"))
            names = file.keys() if with_tensors else ()
            return {name: file.get_tensor(name) for name in names}, dict(facts)
    except (OSError, SafetensorError, ValueError, TypeError, RecursionError) as error:
        raise UserError(f"{path}: damaged or not a safetensors file ({error})") from error


def _digest(tensors: Mapping[str, Tensor], facts: Any) -> str:
    """SHA-256 over names, types, shapes and bytes of the tensors, and the facts."""
    sha = hashlib.sha256(json.dumps(facts).encode())
    for name, tensor in sorted(tensors.items()):
        sha.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        sha.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return sha.hexdigest()


def is_sound(path: Path) -> bool:
    """Whether the file is there and holds what was written. Raises CannotBeOpenedError."""
    return sound_facts(path) is not None


def sound_facts(path: Path) -> dict[str, Any] | None:
    """The facts in a file; None if it is missing or damaged.

    Raises CannotBeOpenedError: the file may be sound, and a new attempt would replace it.
    """
    try:
        return read_tensors(path)[1]
    except CannotBeOpenedError:
        raise
    except UserError:
        return None


def save_weights(model: nn.Module, path: Path) -> None:
    write_tensors(path, model.state_dict())


def load_weights(model: nn.Module, path: Path) -> None:
    """Load stored weights. Raises UserError if names or shapes differ."""
    _load(model, read_tensors(path)[0], path)


def save_state(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, facts: dict[str, Any]
) -> None:
    """All that training needs to go on as if it had never stopped. Random states are functions of
    (seed, step) and need no storing.
    """
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        for key, value in state.items():
            tensors[f"optimizer.{index}.{key}"] = torch.as_tensor(value)
    write_tensors(path, tensors, facts)


def load_state(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Restore `save_state`'s file; returns its facts."""
    tensors, facts = read_tensors(path)
    weights: dict[str, Tensor] = {}
    state: dict[int, dict[str, Tensor]] = {}
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for name, tensor in tensors.items():
        whose, _, rest = name.partition(".")
        if whose == "model":
            weights[rest] = tensor
            continue
        index, key = rest.split(".", 1)
        # a fused optimiser would read beyond the end of a state of another shape
        fits = [torch.Size([]), *(p.shape for p in parameters[int(index) :][:1])]
        if tensor.shape not in fits:
            raise UserError(
                f"{path}: optimiser state {rest} does not fit this model; remove the file to begin "
                "anew"
            )
        state.setdefault(int(index), {})[key] = tensor
    _load(model, weights, path)
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    return facts


def _load(model: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip()
        raise UserError(f"{path} does not fit this model: {reason}") from error


def link(source: Path, target: Path) -> None:
    """Hard-link `target` to `source`, which is safe since files are replaced, never rewritten; copy
    it where that fails.
    """
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(source)
    except OSError:
        with written_atomically(target) as part:
            shutil.copyfile(source, part)
