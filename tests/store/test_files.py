"""Atomic writes and strict JSON: a full disk, an interruption, numbers that JSON cannot hold."""

import errno
import os

import numpy as np
import pytest
from safetensors import SafetensorError

from benchmark.errors import UserError
from benchmark.store import files
from benchmark.store.files import read_json, write_json, written_atomically


@pytest.fixture
def path(tmp_path):
    write_json(tmp_path / "metrics.json", {"dev": 1})
    return tmp_path / "metrics.json"


@pytest.mark.parametrize(
    "value, key",
    [
        ({"dev": {"f1": float("nan")}}, r"metrics.json: dev.f1 is nan"),
        ({"dev": [0.5, np.float32("inf")]}, r"metrics.json: dev\[1\] is inf"),
        ({"dev": {"f1": np.array([0.0, np.nan])}}, r"metrics.json: dev.f1\[1\] is nan"),
        ([1.0, float("-inf")], r"metrics.json: \[1\] is -inf"),
    ],
)
def test_a_number_that_is_not_finite_is_named(path, value, key):
    with pytest.raises(ValueError, match=key):
        write_json(path, value)
    assert read_json(path) == {"dev": 1}


@pytest.mark.parametrize(
    "value",
    [{}, [], {"a": []}, [{"t": "Škoda \ud800", "h": 0}, {}], {"a": {"b": [1, None]}, "c": 0.1}, 3],
)
def test_json_round_trip(path, value):
    write_json(path, value)
    assert read_json(path) == value


def test_numpy_values_are_written_as_plain_ones(path):
    write_json(path, {"n": np.int64(3), "f1": np.float32(0.5), "counts": np.arange(3)})
    assert read_json(path) == {"n": 3, "f1": 0.5, "counts": [0, 1, 2]}


@pytest.mark.parametrize("content", ['{"test": ', "[" * 100_000])
def test_a_torn_file_is_named(path, content):
    path.write_text(content)
    with pytest.raises(UserError, match="metrics.json: not valid JSON"):
        read_json(path)


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
# the library hides the number in its text
FULL_IN_WORDS = SafetensorError("I/O error: No space left on device (os error 28)")


@pytest.mark.parametrize("error", [FULL, FULL_IN_WORDS])
def test_a_full_disk_names_the_file_and_leaves_the_rest(path, error):
    before = path.read_bytes()
    for name in ("metrics.json", "counts_dev.json"):
        message = rf"{name}: cannot be written: no space left on device"
        with pytest.raises(UserError, match=message), written_atomically(path.with_name(name)):
            raise error
    assert list(path.parent.iterdir()) == [path] and path.read_bytes() == before


def test_an_interrupted_write_keeps_the_old_content(path):
    with pytest.raises(KeyboardInterrupt), written_atomically(path) as temporary:
        temporary.write_text("ne")
        raise KeyboardInterrupt
    assert read_json(path) == {"dev": 1} and list(path.parent.iterdir()) == [path]


def test_processes_of_two_hosts_write_to_different_temporary_files(path, monkeypatch):
    with written_atomically(path) as ours:
        ours.write_text("ours")
        monkeypatch.setattr(files.socket, "gethostname", lambda: "elsewhere")
        with written_atomically(path) as theirs:
            theirs.write_text("theirs")
        assert path.read_text() == "theirs"
    assert path.read_text() == "ours"
