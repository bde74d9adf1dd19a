"""A result file that is torn, gone, edited or exchanged makes its run `damaged`, and is named."""

import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from stored_runs import run, write
from typer.testing import CliRunner

from benchmark.commands.app import app
from benchmark.errors import UserError
from benchmark.grid.status import status_of_directory
from benchmark.store.packed import ARCHIVE, pack
from benchmark.store.runs import RunDirectory

COLLECT = Path(__file__).parents[2] / "docs/results/collect.py"
FILES = ("config.json", "metrics.json", "history.jsonl", "predictions_test.json")


@pytest.fixture
def directory(tmp_path):
    return stored(tmp_path, "none", 0)


def stored(folder, augmenter, seed):
    fact = {"title": f"t{seed}", "h_idx": 0, "t_idx": 1, "r": "P1", "score": 0.5}
    found = run(folder, augmenter, seed, 0.5 + seed / 100)
    directory = write(found, files={"predictions_test.json": [fact]})
    directory.write_history({"epoch": n, "dev": {"f1": 0.1 * n + seed / 100}} for n in (1, 2, 3))
    directory.finish()
    assert status_of_directory(directory).state == "done"
    return directory


def damage(directory):
    status = status_of_directory(directory)
    assert status.state == "damaged"
    return status.detail


def changed(content: bytes) -> dict[str, bytes]:
    digit = next(bytes([byte]) for byte in reversed(content) if chr(byte).isdigit())
    before, _, after = content.rpartition(digit)
    return {
        "cut": content[:-5],
        "emptied": b"",
        "one digit": before + (b"8" if digit == b"9" else b"9") + after,
    }


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("how", ["cut", "emptied", "one digit", "gone", "another run's"])
def test_a_changed_file_is_named(tmp_path, directory, name, how):
    path = directory.path / name
    other = (stored(tmp_path, "none", 1).path / name).read_bytes()
    contents = changed(path.read_bytes()) | {"another run's": other}
    path.unlink()
    if how != "gone":
        path.write_bytes(contents[how])
    found = damage(directory)
    assert str(path) in found and ("missing" if how == "gone" else "SHA-256") in found


@pytest.mark.parametrize("augmenter, seed", [("vae", 0), ("none", 1)])
def test_a_whole_run_in_the_folder_of_another(tmp_path, directory, augmenter, seed):
    other = RunDirectory.of(tmp_path, "demo", "atlop", augmenter, seed)
    shutil.copytree(directory.path, other.path)
    assert f"{other.path}: holds the run atlop/none/seed-0" in damage(other)


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ("[", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("[]", "holds no digests"),
        ('{"sha256": ["config.json"]}', "holds no digests"),
        ('{"sha256": {}}', "holds no digest of config.json"),
    ],
)
def test_a_marker_that_tells_nothing(directory, marker, message):
    (directory.path / "DONE").write_text(marker)
    assert str(directory.path / "DONE") in damage(directory) and message in damage(directory)


@pytest.mark.parametrize("name", ["../../secret.json", "/etc/hostname"])
def test_a_marker_cannot_point_out_of_its_folder(directory, name):
    marker = directory.read_json("DONE")
    marker["sha256"][name] = "00"
    (directory.path / "DONE").write_text(json.dumps(marker))
    assert f"'{name}' is no file of this folder" in damage(directory)


@pytest.mark.parametrize("content", ["[]", "{}"])
def test_files_of_another_form_with_a_marker_that_fits(directory, content):
    (directory.path / "config.json").write_text(content)
    directory.finish()
    assert "not the configuration" in damage(directory)


def test_the_commands_name_what_is_damaged_and_leave_it_out(tmp_path, directory):
    other = stored(tmp_path, "none", 1)
    with open(other.path / "history.jsonl", "r+b") as file:
        file.truncate(30)

    def invoke(command, *options):
        arguments = [command, str(tmp_path / "demo"), *map(str, options)]
        return CliRunner().invoke(app, arguments, env={"COLUMNS": "300"})

    status = invoke("status")
    assert "1 done, 1 damaged of 2 runs" in status.stdout
    assert f"{other.path}/history.jsonl: changed" in status.stdout
    report = invoke("report")
    assert report.exit_code == 0 and f"left out: {other.path}/history.jsonl" in report.stderr
    assert "1/2" in (tmp_path / "demo" / "report.md").read_text()
    board = invoke("leaderboard", "--out", tmp_path / "board.md")
    assert board.exit_code == 0 and f"left out: {other.path}/history.jsonl" in board.stderr
    assert "(1 run)" in board.stderr and "1/2" in (tmp_path / "board.md").read_text()


def test_a_published_copy_lacks_its_large_files_and_is_sound(tmp_path):
    directory = stored(tmp_path / "full", "none", 0)
    copied = [sys.executable, str(COLLECT), str(tmp_path / "full"), str(tmp_path / "copy")]
    for new in (b"1 new runs\n", b"0 new runs\n"):
        assert subprocess.run(copied, check=True, capture_output=True).stdout == new
    copy = RunDirectory(tmp_path / "copy" / directory.path.relative_to(tmp_path / "full"))
    assert not (copy.path / "predictions_test.json").exists()
    assert status_of_directory(copy).state == "done"
    found = run(tmp_path / "anew", "none", 0, 0.7)
    write(found).finish()
    copied[2] = str(tmp_path / "anew")
    told = subprocess.run(copied, check=True, capture_output=True, text=True).stdout
    assert told == f"0 new runs\n{copy.path}: holds another run, and was left as it is\n"
    (copy.path / "metrics.json").unlink()
    assert "metrics.json" in damage(copy)


def published(tmp_path, name):
    """A run with counts, and its copy in the folder `name`."""
    directory = stored(tmp_path / "full", "none", 0)
    directory.write_json("counts_test.json", {"groups": {"all": [[1, 2, 3, 0]]}})
    directory.finish()
    arguments = [sys.executable, str(COLLECT), str(tmp_path / "full"), str(tmp_path / name)]
    subprocess.run(arguments, check=True)
    copy = RunDirectory(tmp_path / name / directory.path.relative_to(tmp_path / "full"))
    assert status_of_directory(copy).state == "done"
    return directory, copy


def test_packed_files_are_read_like_any_other(tmp_path):
    directory, copy = published(tmp_path, "copy")
    assert not copy.path.joinpath("counts_test.json").exists() and copy.has("counts_test.json")
    assert copy.read_json("counts_test.json") == directory.read_json("counts_test.json")
    assert copy.read_history() == directory.read_history() != []
    assert not copy.has("predictions_test.json") and not copy.has("anything.json")
    with pytest.raises(UserError, match="anything.json: no such file"):
        copy.read_json("anything.json")
    whole = RunDirectory(tmp_path / "whole" / copy.path.relative_to(tmp_path / "copy"))
    copy.copy_results(whole.path)  # unpacked again
    assert whole.path.joinpath("counts_test.json").is_file() and whole.is_sound()
    assert not whole.path.joinpath(ARCHIVE).exists()


def test_the_same_files_make_the_same_archive(tmp_path):
    first, second = (published(tmp_path / folder, "copy")[1] for folder in ("a", "b"))
    assert first.path.joinpath(ARCHIVE).read_bytes() == second.path.joinpath(ARCHIVE).read_bytes()


def test_a_link_in_an_archive_is_no_file(tmp_path):
    _, copy = published(tmp_path, "copy")
    link = tarfile.TarInfo("history.jsonl")
    link.type, link.linkname = tarfile.SYMTYPE, "../../secret.jsonl"
    with tarfile.open(copy.path / ARCHIVE, "w:xz") as archive:
        archive.addfile(link)
    assert "missing, although the run is done" in damage(copy) and not copy.has("history.jsonl")


@pytest.mark.parametrize("how", ["cut", "emptied", "gone", "another file", "not an archive"])
def test_a_damaged_archive_is_named(tmp_path, how):
    _, copy = published(tmp_path, "copy")
    archive = copy.path / ARCHIVE
    content = archive.read_bytes()
    history = {"history.jsonl": b"{}\n", "counts_test.json": copy.read_bytes("counts_test.json")}
    archive.unlink()
    if how == "another file":
        pack(copy.path, history)
    elif how != "gone":
        archive.write_bytes(
            {"cut": content[: len(content) // 2], "emptied": b""}.get(how, b"text " * 100)
        )
    found = damage(copy)
    named = {"gone": "counts_test.json: missing", "another file": "history.jsonl: changed"}
    assert str(copy.path / named.get(how, f"{ARCHIVE}: cannot be read")) in found
