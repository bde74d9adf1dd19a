"""leaderboard: from folders of results to a file."""

import pytest
from stored_runs import run, write
from typer.testing import CliRunner

from benchmark.commands.app import app


def leaderboard(*arguments):
    return CliRunner().invoke(app, ["leaderboard", *map(str, arguments)])


@pytest.fixture
def results(tmp_path):
    for augmenter, f1 in (("none", 0.5), ("vae", 0.53)):
        write(run(tmp_path / "results", augmenter, 0, f1))
    return tmp_path / "results"


def test_finished_runs_become_a_page(results, tmp_path):
    done = leaderboard(results, "--out", tmp_path / "page.html")
    assert done.exit_code == 0, done.stderr
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "53.00" in text and "+3.00" in text and "run_benchmark.py leaderboard" in text
    assert done.stderr == f"written: {tmp_path / 'page.html'} (2 runs)\n"


def test_by_default_results_become_leaderboard_html(results, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert leaderboard().exit_code == 0 and (tmp_path / "leaderboard.html").is_file()


def test_a_damaged_run_is_left_out_and_named(results, tmp_path):
    (results / "demo" / "atlop" / "vae" / "seed-0" / "metrics.json").write_text("{}")
    done = leaderboard(results, "--out", tmp_path / "page.html")
    assert done.exit_code == 0 and "vae/seed-0/metrics.json: changed after the run was done" in done.stderr
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Left out" in text and "vae/seed-0/metrics.json: changed" in text and "53.00" not in text


def test_cells_that_the_experiment_asks_for_are_missing_not_absent(lab, tmp_path):
    lab("run", "CONFIG", "--seeds", "0", "--backbones", "left", "--augmenters", "none")
    done = leaderboard(lab.results, "--out", tmp_path / "page.html")
    assert done.exit_code == 0, done.stderr
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    stored = (lab.results / "toy" / "experiment.json").is_file()
    assert stored and text.count("<tr data-entry") == text.count(" class=missing>") + 1


def test_a_torn_experiment_file_hides_only_what_is_missing(results, tmp_path):
    (results / "demo" / "experiment.json").write_text("{")
    done = leaderboard(results, "--out", tmp_path / "page.html")
    assert done.exit_code == 0 and "experiment.json: not valid JSON" in done.stderr


def test_part_of_an_experiment_asks_for_nothing_else(results, tmp_path):
    done = leaderboard(results / "demo" / "atlop" / "vae", "--out", tmp_path / "page.html")
    assert done.exit_code == 0 and (tmp_path / "page.html").read_text(encoding="utf-8").count("<tr data-entry") == 1


@pytest.mark.parametrize("folder, message", [("nowhere", "no such folder"), ("empty", "no finished run to show")])
def test_nothing_to_show_is_an_error(tmp_path, folder, message):
    (tmp_path / "empty").mkdir()
    done = leaderboard(tmp_path / folder, "--out", tmp_path / "page.html")
    assert done.exit_code == 2 and message in done.stderr and not (tmp_path / "page.html").exists()


def test_a_folder_that_is_not_there_to_write_into_is_named(results, tmp_path):
    done = leaderboard(results, "--out", tmp_path / "nowhere" / "page.html")
    assert done.exit_code == 2 and "page.html: its folder does not exist" in done.stderr
