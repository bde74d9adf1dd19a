"""Tensors out of a file that `torch.save` wrote, without unpickling it.

Such a file is a zip archive: the numbers as plain bytes, and a pickle program that names them. The
program is not executed: its operations are read one by one, and only those that build a dictionary
of tensors mean anything here; at any other it stops. So no code of the file can run, whatever it
holds.
"""

from __future__ import annotations

import math
import pickletools
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmark.errors import UserError

STORAGES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
DICTIONARY, TENSOR, PARAMETER = (
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
)


class _Name(NamedTuple):
    """A class or function that the program mentions."""

    text: str


class _Storage(NamedTuple):
    dtype: torch.dtype
    key: str


def read_torch_archive(path: Path) -> dict[str, Tensor]:
    """The state dict that `torch.save(model.state_dict(), path)` stored.

    Raises:
        UserError: the file is missing, is no such archive (the format before torch 1.6 among them),
            or holds anything else than a dictionary of tensors.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            (program,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise ValueError("compressed, which torch.save never does")
            folder = program.removesuffix("data.pkl")
            state = _Reader(lambda key: archive.read(f"{folder}data/{key}")).run(
                archive.read(program)
            )
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (
        zipfile.BadZipFile,
        OSError,
        ValueError,
        KeyError,
        IndexError,
        TypeError,
        RuntimeError,
        OverflowError,
    ) as error:
        raise UserError(
            f"{path}: not a state dict that torch.save wrote ({error}). "
            "Expected torch.save(model.state_dict(), ...) of torch 1.6 or later, or a .safetensors file"
        ) from error
    if (
        not isinstance(state, dict)
        or not state
        or not all(isinstance(value, Tensor) for value in state.values())
    ):
        raise UserError(
            f"{path}: holds something else than a dictionary of tensors; expected torch.save(model.state_dict(), ...)"
        )
    return state


class _Reader:
    """Follows a pickle program's operations; knows what a state dict needs, and nothing else."""

    def __init__(self, read_storage: Any):
        self.read_storage = read_storage
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self, program: bytes) -> Any:
        for operation, argument, _ in pickletools.genops(program):
            if operation.name == "STOP":
                return self.stack.pop()
            self.step(operation.name, argument)
        raise ValueError("the program does not end")

    def step(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in ("PROTO", "FRAME"):
            return
        if name in ("BINUNICODE", "SHORT_BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1"):
            stack.append(argument)
        elif name in ("NONE", "NEWTRUE", "NEWFALSE"):
            stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[name])
        elif name == "GLOBAL":
            stack.append(_Name(argument))
        elif name in ("EMPTY_TUPLE", "EMPTY_DICT"):
            stack.append(() if name == "EMPTY_TUPLE" else {})
        elif name == "MARK":
            self.marks.append(len(stack))
        elif name == "TUPLE":
            stack.append(tuple(self._since_mark()))
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            items = tuple(stack[-count:])
            del stack[-count:]
            stack.append(items)
        elif name in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif name == "SETITEM":
            value, key = stack.pop(), stack.pop()
            stack[-1][key] = value
        elif name == "SETITEMS":
            items = self._since_mark()
            stack[-1].update(zip(items[::2], items[1::2], strict=True))
        elif name == "BINPERSID":
            stack.append(_storage(stack.pop()))
        elif name == "REDUCE":
            arguments, function = stack.pop(), stack.pop()
            stack.append(self._call(function, arguments))
        elif name == "BUILD":  # attributes of the dictionary (its version numbers)
            stack.pop()
        else:
            raise ValueError(f"operation {name} has no place in a state dict")

    def _since_mark(self) -> list[Any]:
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def _call(self, function: Any, arguments: tuple) -> Any:
        if function == _Name(DICTIONARY) and arguments == ():
            return {}
        if function == _Name(TENSOR):
            return self._tensor(*arguments[:4])
        if function == _Name(PARAMETER):
            return arguments[0]
        raise ValueError(f"{getattr(function, 'text', function)} has no place in a state dict")

    def _tensor(
        self, storage: _Storage, offset: int, size: tuple[int, ...], stride: tuple[int, ...]
    ) -> Tensor:
        content = bytearray(self.read_storage(storage.key))
        flat = (
            torch.frombuffer(content, dtype=storage.dtype)
            if content
            else torch.empty(0, dtype=storage.dtype)
        )
        if math.prod(size) > len(flat):
            raise ValueError(f"a tensor of the shape {size} over {len(flat)} numbers")
        return flat.as_strided(size, stride, offset).clone()


def _storage(identity: tuple) -> _Storage:
    """("storage", its class, its key, the device, the number of elements)."""
    kind, storage, key, *_ = identity
    if (
        kind != "storage"
        or not isinstance(storage, _Name)
        or storage.text.removeprefix("torch ") not in STORAGES
    ):
        raise ValueError("an unknown kind of storage")
    return _Storage(STORAGES[storage.text.removeprefix("torch ")], str(key))
