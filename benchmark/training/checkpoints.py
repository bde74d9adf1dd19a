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

from benchmark.data.pairs import Pairs
from benchmark.errors import UserError
from benchmark.store.files import written_atomically

DIGEST = "digest of the content"  # its key among the facts of a file
UMASK = os.umask(0)  # it can only be read by setting it
os.umask(UMASK)


def write_tensors(
    path: Path, tensors: dict[str, Tensor], facts: dict[str, Any] | None = None
) -> None:
    """Write `tensors`, and `facts` as JSON in the file's header, to `path`, replacing it in one
    step.

    Raises:
        UserError: the disk is full or the folder cannot be written; an earlier file of that name is
        left as it was.
    """
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with written_atomically(path) as part:
        known = (facts or {}) | {DIGEST: _digest(contiguous, facts or {})}
        save_file(
            contiguous, part, metadata={"facts": json.dumps(known, allow_nan=False)}
        )  # one key: the order of several varies
        part.chmod(0o666 & ~UMASK)  # safetensors lets nobody else read it


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and facts of a file written by `write_tensors`.

    Raises UserError when it is missing, damaged, or was changed since (as far as it has a digest:
    other programs' files do not).
    """
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {}).get("facts", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (a safetensors handle is no mapping)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except (OSError, SafetensorError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: damaged or not a safetensors file ({error})") from error
    digest = facts.pop(DIGEST, None) if isinstance(facts, dict) else ""
    if digest not in (None, _digest(tensors, facts)):
        raise UserError(
            f"{path}: damaged: its content is not what was written (the digest in it differs)"
        )
    return tensors, facts


def _digest(tensors: Mapping[str, Tensor], facts: Any) -> str:
    """SHA-256 over names, types, shapes and bytes of the tensors, and the facts."""
    sha = hashlib.sha256(json.dumps(facts).encode())
    for name, tensor in sorted(tensors.items()):
        sha.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        sha.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return sha.hexdigest()


def is_sound(path: Path) -> bool:
    """Whether the file is there and holds what was written."""
    try:
        read_tensors(path)
    except UserError:
        return False
    return True


def read_facts(path: Path) -> dict[str, Any]:
    """The facts alone, without reading the tensors."""
    return {key: value for key, value in _header(path).items() if key != DIGEST}


def digest_of(path: Path) -> str:
    """The digest of a file's content that is stored in it, without reading the tensors."""
    return str(_header(path).get(DIGEST))


def _header(path: Path) -> dict[str, Any]:
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {}).get("facts", "{}"))
    except (OSError, SafetensorError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: missing, damaged or not a safetensors file ({error})") from error
    return facts if isinstance(facts, dict) else {}


def save_weights(model: nn.Module, path: Path) -> None:
    write_tensors(path, model.state_dict())


def load_weights(model: nn.Module, path: Path) -> None:
    """Raises UserError when names or shapes differ from the model's."""
    tensors, _ = read_tensors(path)
    _load(model, tensors, path)


def save_state(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, facts: dict[str, Any]
) -> None:
    """All that training needs to go on as if it had never stopped; random states are functions of
    (seed, step) and need no storing.
    """
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {
            f"optimizer.{index}.{key}": torch.as_tensor(value) for key, value in state.items()
        }
    write_tensors(path, tensors, facts)


def load_state(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Restore `save_state`'s file; returns its facts."""
    tensors, facts = read_tensors(path)
    _load(
        model,
        {
            name.removeprefix("model."): t
            for name, t in tensors.items()
            if name.startswith("model.")
        },
        path,
    )
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".", 2)
            state.setdefault(int(index), {})[key] = tensor
    _require_fitting(state, optimizer, path)
    optimizer.load_state_dict(
        {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}
    )
    return facts


def _require_fitting(
    state: dict[int, dict[str, Tensor]], optimizer: torch.optim.Optimizer, path: Path
) -> None:
    """A fused optimiser would read beyond the end of a state of another shape."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for index, values in state.items():
        for key, tensor in values.items():
            fits = 0 <= index < len(parameters) and tensor.shape in (
                parameters[index].shape,
                torch.Size([]),
            )
            if not fits:
                raise UserError(
                    f"{path}: optimiser state {index}.{key} does not fit this model; remove the "
                    "file to begin anew"
                )


def link(source: Path, target: Path) -> None:
    """A second name for a file, which is never rewritten but only replaced; a copy where the file
    system has no such names.
    """
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(source)
    except OSError:
        with written_atomically(target) as part:
            shutil.copyfile(source, part)


def _load(model: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise UserError(
            f"{path} does not fit this model: {str(error).splitlines()[1].strip()}"
        ) from error


def read_pairs(file: Path) -> Pairs:
    """Stored positive pairs."""
    tensors, _ = read_tensors(file)
    return Pairs(tensors["representations"], tensors["labels"].float())
