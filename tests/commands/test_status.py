"""How far an experiment is, from its file or from its folder alone."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


def test_an_added_none_is_remembered_as_part_of_the_grid(lab):
    lab("run CONFIG --set", "augmenters=[noisy, learned]", "--seeds", "0", "--backbones", "left")
    grid = json.loads((lab.results / "toy" / "experiment.json").read_text())
    assert [choice["name"] for choice in grid["augmenters"]] == ["none", "noisy", "learned"]
    assert "3 done, 9 missing of 12 runs" in lab("status", lab.results / "toy").stdout


def test_status_names_failures_and_counts_states(lab):
    lab.raises["left noisy 0"] = ValueError("the loss is not a number")
    lab("run CONFIG --backbones left --seeds 0")
    for target in ("CONFIG", lab.results / "toy"):
        result = lab("status", target)
        assert result.exit_code == 0
        assert "2 done, 1 failed, 9 missing of 12 runs" in result.stdout
        text = f"failed: {lab.folder('left noisy 0')}: ValueError: the loss is not a number"
        assert text in result.stdout


def test_a_folder_takes_no_changes_of_an_experiment_file(lab):
    lab("run CONFIG --backbones left --seeds 0")
    for command in ("status", "report"):
        result = lab(command, lab.results / "toy", "--set", "train.epochs=9")
        assert result.exit_code == 2 and "--set changes an experiment file; " in result.stderr


def test_status_of_a_folder_without_the_experiment_and_of_what_is_none(lab, tmp_path):
    lab("run CONFIG --backbones left")
    (lab.results / "toy" / "experiment.json").unlink()
    assert "6 done of 6 runs" in lab("status", lab.results / "toy").stdout
    assert lab("status", tmp_path / "nothing.yaml").exit_code == 2
    empty = tmp_path / "empty"
    empty.mkdir()
    for folder in (empty, lab.folder("left none 0"), lab.folder("left none 0").parent):
        result = lab("status", folder)
        told = f"{folder}: no experiment's folder, which has BACKBONE/AUGMENTER/seed-K below it"
        assert result.exit_code == 2 and told in result.stderr


def test_status_of_a_folder_of_experiments_shows_each(lab):
    lab("run CONFIG --backbones left --seeds 0")
    lab("run CONFIG --backbones left --seeds 0 --set name=other")
    text = lab("status", lab.results).stdout
    first, second = (text.index(f"{lab.results / name}\n") for name in ("other", "toy"))
    assert first < second and text.count("3 done, 9 missing of 12 runs") == 2


def test_a_torn_record_and_a_folder_that_is_no_run_stop_no_status(lab):
    lab.raises["left noisy 0"] = ValueError("bad")
    lab("run CONFIG --seeds 0")
    (lab.folder("left noisy 0") / "FAILED").write_text('{"error": "Val')
    stray = lab.results / "toy" / "left" / "none" / "seed-abc"
    stray.mkdir()
    (stray / "config.json").write_text("{}")
    for target in ("CONFIG", lab.results / "toy"):
        result = lab("status", target)
        assert result.exit_code == 0 and "FAILED is torn" in result.stdout.replace("\n", " ")


def test_what_the_command_line_adds_changes_no_expectation(lab):
    lab("run CONFIG --seeds 7 --backbones left --augmenters spare")
    assert "1 done, 12 missing of 13 runs" in lab("status", lab.results / "toy").stdout
    assert "1 done, 12 missing of 13 runs" in lab("status CONFIG").stdout
    lab("run CONFIG --seeds 0 --backbones left --augmenters none")
    assert "2 done, 11 missing of 13 runs" in lab("status", lab.results / "toy").stdout
    lab("report CONFIG")
    from_file = (lab.results / "toy" / "report.md").read_text()
    lab("report", lab.results / "toy")
    assert (lab.results / "toy" / "report.md").read_text() == from_file
    # of the seeds that `none` is to have, and its own
    assert "| spare | 1/3 |" in " ".join(from_file.split())


@pytest.mark.parametrize("content", ["{}", "[]", '{"backbones": 3}'])
def test_a_grid_file_that_is_none_is_named(lab, content):
    lab("run CONFIG --seeds 0 --augmenters none")
    (lab.results / "toy" / "experiment.json").write_text(content)
    result = lab("status", lab.results / "toy")
    assert result.exit_code == 2
    assert "experiment.json: not the grid of an experiment" in result.stderr


def test_a_grid_with_none_is_looked_up_without_torch(tmp_path):
    code = "import sys; from benchmark.commands.app import app; app(standalone_mode=False); "
    code += "assert 'torch' not in sys.modules"
    command = [sys.executable, "-c", code, "status", "configs/demo.yaml", "--results", tmp_path]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[2])
