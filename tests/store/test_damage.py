"""A result file that is torn, gone, edited or exchanged makes its run `damaged`, and is named."""

import json
import shutil

import pytest
from stored_runs import run, write
from typer.testing import CliRunner

from benchmark.commands.app import app
from benchmark.grid.status import status_of_directory
from benchmark.store.runs import RunDirectory


@pytest.fixture
def directory(tmp_path):
    return stored(tmp_path, "none", 0)


def stored(folder, augmenter, seed):
    found = run(folder, augmenter, seed, 0.5 + seed / 100)
    directory = RunDirectory(found.path)
    directory.start(found.config, facts=found.facts)
    for epoch in (1, 2, 3):
        directory.append_history({"epoch": epoch, "dev": {"f1": 0.1 * epoch + seed / 100}})
    directory.release()
    shutil.copy(directory.path / "history.jsonl", folder / "history")
    write(
        found,
        files={
            "predictions_test.json": [
                {"title": f"t{seed}", "h_idx": 0, "t_idx": 1, "r": "P1", "score": 0.5}
            ]
        },
    )
    shutil.move(folder / "history", directory.path / "history.jsonl")  # `write` starts the run anew
    directory.finish()
    assert status_of_directory(directory).state == "done"
    return directory


FILES = ("config.json", "metrics.json", "history.jsonl", "predictions_test.json")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("how", ["cut", "emptied", "gone", "one digit", "a line less"])
def test_a_changed_file_is_named(directory, name, how):
    path = directory.path / name
    content = path.read_bytes()
    if how == "gone":
        path.unlink()
    else:
        digit = next(bytes([byte]) for byte in reversed(content) if chr(byte).isdigit())
        other = b"8" if digit == b"9" else b"9"
        lines = content.splitlines(keepends=True)
        before, _, after = content.rpartition(digit)
        changed = {
            "cut": content[:-5],
            "emptied": b"",
            "one digit": before + other + after,
            "a line less": b"".join(lines[:-2] + lines[-1:]),
        }
        path.write_bytes(changed[how])
    status = status_of_directory(directory)
    assert status.state == "damaged" and str(path) in status.detail
    assert ("missing" if how == "gone" else "SHA-256") in status.detail


def test_files_exchanged_between_runs_and_within_one(tmp_path, directory):
    other = stored(tmp_path, "none", 1)
    for name in FILES:
        mine, theirs = directory.path / name, other.path / name
        for_now = tmp_path / "for_now"
        for source, target in ((mine, for_now), (theirs, mine), (for_now, theirs)):
            shutil.move(source, target)
        assert all(
            f"{name}: changed" in status_of_directory(run).detail for run in (directory, other)
        )
        for source, target in ((mine, for_now), (theirs, mine), (for_now, theirs)):
            shutil.move(source, target)
    shutil.copy(directory.path / "metrics.json", directory.path / "predictions_test.json")
    assert "predictions_test.json: changed" in status_of_directory(directory).detail


@pytest.mark.parametrize("augmenter, seed", [("vae", 0), ("none", 1)])
def test_a_whole_run_in_the_folder_of_another(tmp_path, directory, augmenter, seed):
    other = RunDirectory.of(tmp_path, "demo", "atlop", augmenter, seed)
    shutil.copytree(directory.path, other.path)
    status = status_of_directory(other)
    assert (
        status.state == "damaged"
        and f"{other.path}: holds the run atlop/none/seed-0" in status.detail
    )


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ("", "not valid JSON"),
        ("[", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("[]", "holds no digests"),
        ('{"time": "now"}', "holds no digests"),
        ('{"sha256": ["config.json"]}', "holds no digests"),
        ('{"sha256": {}}', "holds no digest of config.json"),
    ],
)
def test_a_marker_that_tells_nothing(directory, marker, message):
    (directory.path / "DONE").write_text(marker)
    status = status_of_directory(directory)
    assert (
        status.state == "damaged"
        and str(directory.path / "DONE") in status.detail
        and message in status.detail
    )


@pytest.mark.parametrize("name", ["../../secret.json", "/etc/hostname", "sub/file.json"])
def test_a_marker_cannot_point_out_of_its_folder(directory, name):
    marker = directory.read_json("DONE")
    (directory.path / "DONE").write_text(
        json.dumps(marker | {"sha256": marker["sha256"] | {name: "00"}})
    )
    assert f"'{name}' is no file of this folder" in status_of_directory(directory).detail


def test_files_of_another_form_with_a_marker_that_fits(directory):
    for content, message in (
        ("[]", "expected an object, found list"),
        ("{}", "not the configuration of a run"),
    ):
        (directory.path / "config.json").write_text(content)
        directory.finish()
        assert message in status_of_directory(directory).detail


def test_the_commands_name_what_is_damaged_and_leave_it_out(tmp_path, directory):
    other = stored(tmp_path, "none", 1)
    with open(other.path / "history.jsonl", "r+b") as file:
        file.truncate(30)
    invoke = lambda *arguments: CliRunner().invoke(
        app, list(map(str, arguments)), env={"COLUMNS": "300"}
    )
    status = invoke("status", tmp_path / "demo")
    assert (
        "1 done, 1 damaged of 2 runs" in status.stdout
        and f"{other.path}/history.jsonl: changed" in status.stdout
    )
    report = invoke("report", tmp_path / "demo")
    assert report.exit_code == 0 and f"left out: {other.path}/history.jsonl" in report.stderr
    assert "1/2" in (tmp_path / "demo" / "report.md").read_text()
