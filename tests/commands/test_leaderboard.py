"""leaderboard: from folders of results to a file."""

import json

import pytest
from elsewhere_files import store_made_up
from reports.render.test_page import rows_of
from stored_runs import counted, run, write
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
    assert (
        done.exit_code == 0
        and "vae/seed-0/metrics.json: changed after the run was done" in done.stderr
    )
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Left out" in text and "vae/seed-0/metrics.json: changed" in text and "53.00" not in text


def test_cells_that_have_not_run_are_counted_not_shown(lab, tmp_path):
    lab("run CONFIG --seeds 0 --backbones left --augmenters none")
    done = leaderboard(lab.results, "--out", tmp_path / "page.html")
    assert done.exit_code == 0, done.stderr
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert text.count("<tr data-entry") == 1 and "Not run yet, and not shown:" in text


def test_a_torn_experiment_file_hides_only_what_is_missing(results, tmp_path):
    (results / "demo" / "experiment.json").write_text("{")
    done = leaderboard(results, "--out", tmp_path / "page.html")
    assert done.exit_code == 0 and "experiment.json: not valid JSON" in done.stderr


def test_part_of_an_experiment_asks_for_nothing_else(results, tmp_path):
    done = leaderboard(results / "demo" / "atlop" / "vae", "--out", tmp_path / "page.html")
    assert (
        done.exit_code == 0
        and (tmp_path / "page.html").read_text(encoding="utf-8").count("<tr data-entry") == 1
    )


@pytest.mark.parametrize(
    "folder, message", [("nowhere", "no such folder"), ("empty", "no finished run to show")]
)
def test_nothing_to_show_is_an_error(tmp_path, folder, message):
    (tmp_path / "empty").mkdir()
    done = leaderboard(tmp_path / folder, "--out", tmp_path / "page.html")
    assert done.exit_code == 2 and message in done.stderr and not (tmp_path / "page.html").exists()


def test_a_folder_that_is_not_there_to_write_into_is_named(results, tmp_path):
    done = leaderboard(results, "--out", tmp_path / "nowhere" / "page.html")
    assert done.exit_code == 2 and "page.html: its folder does not exist" in done.stderr


# ---- significance, and what stands beside the runs


def page_of(folder, *options):
    done = leaderboard(folder, "--out", folder / "page.html", *options)
    assert done.exit_code == 0, done.stderr
    return (folder / "page.html").read_text(encoding="utf-8")


def test_ranks_marks_and_intervals_are_shown(tmp_path):
    for seed, points in enumerate((1, 1, 1, 1, 1, 10)):
        counted(tmp_path, "none", seed, 0.5)
        counted(tmp_path, "vae", seed, 0.5 + points / 100)
    text = page_of(tmp_path)
    rows = [cells for _, cells in rows_of(text)]
    assert [(cells[0], cells[2]) for cells in rows] == [("1", "atlop + vae"), ("2", "atlop + none")]
    assert "+2.50 ± 3.67*" in rows[0][4]
    assert (
        "95%, crossed bootstrap over seeds and documents" in text
        and "Rank 1: <code>atlop + vae</code>" in text
    )


def test_predictions_of_a_system_that_ran_elsewhere_are_an_entry_without_rank(tmp_path):
    files = store_made_up(tmp_path)
    options = ["--gold", files.gold, "--train", files.train, "--frequent", "re-docred"]
    text = page_of(
        tmp_path / "results", "--add-predictions", f"Mine <b>={files.predictions}", *options
    )
    (cells,) = [cells for _, cells in rows_of(text) if cells[1] == "Mine <b>"]
    # rank, system, kind, study, F1, difference, Ign F1, Freq F1, LTail F1, dev, seeds, time, device
    scores = [f"{100 * files.expected[key]:.2f}" for key in ("f1", "ign_f1", "freq_f1", "ltail_f1")]
    kind = ["Mine <b> + predictions only", "predictions only"]
    assert cells == ["", "Mine <b>", *kind, scores[0], "", *scores[1:], "", "n/a", "", ""]
    assert "made elsewhere, scored here on the test documents of our runs" in text


def test_what_the_given_files_do_not_tell_is_not_shown(tmp_path):
    files = store_made_up(tmp_path)
    text = page_of(
        tmp_path / "results", "--add-predictions", f"Mine={files.predictions}", "--gold", files.gold
    )
    (cells,) = [cells for _, cells in rows_of(text) if cells[1] == "Mine"]
    assert cells[6:9] == ["n/a"] * 3 and "Mine: no Ign F1 and no Freq and LTail F1." in text


def test_other_test_documents_are_refused(tmp_path):
    files = store_made_up(tmp_path)
    documents, other = json.loads(files.gold.read_text()), tmp_path / "other.json"
    option = ["--add-predictions", f"Mine={files.predictions}", "--gold", other]
    for change, message in (
        ({"title": "elsewhere"}, "documents are in only one of"),
        ({"labels": []}, "different gold facts"),
    ):
        other.write_text(json.dumps([documents[0] | change, *documents[1:]]))
        done = leaderboard(tmp_path / "results", "--out", tmp_path / "page.html", *option)
        assert (
            done.exit_code == 2 and "not the documents that the runs were tested on" in done.stderr
        ), done.output
        assert message in done.stderr


@pytest.mark.parametrize(
    "options, message",
    [
        (["--add-predictions", "mine.json"], "expected NAME=FILE"),
        (["--add-predictions", "a=b.json"], "needs --gold"),
        (["--gold", "b.json"], "go with --add-predictions"),
        (
            ["--add-predictions", "a=b", "--add-predictions", "a=c", "--gold", "g"],
            "and each name once",
        ),
    ],
)
def test_options_that_lack_others_are_refused(results, options, message):
    done = leaderboard(results, *options)
    assert done.exit_code == 2 and message in done.stderr


def test_published_scores_stand_below_the_board_on_request(tmp_path):
    for dataset in ("dwie", "toy"):
        for augmenter in ("none", "vae"):
            counted(tmp_path, augmenter, 0, 0.5, dataset=dataset, experiment=dataset)
    plain, text = page_of(tmp_path), page_of(tmp_path, "--with-published")
    assert "Reported" not in plain and len(rows_of(plain)) == len(rows_of(text)) == 4
    boards = text.split("<section")[1:]
    assert (
        "Reported, not run here: dwie, Table 2 of Tran et al. (2025)" in boards[0]
        and "RSMAN" in boards[0]
    )
    assert "No published scores are kept here for toy" in boards[1] and "RSMAN" not in boards[1]


@pytest.mark.parametrize(
    "ending, start",
    [(".md", "### toy: leaderboard"), (".tex", "\\documentclass"), (".csv", "table,backbone")],
)
def test_the_same_rows_as_tables(results, tmp_path, ending, start):
    done = leaderboard(results, "--out", tmp_path / f"board{ending}")
    assert done.exit_code == 0, done.stderr
    text = (tmp_path / f"board{ending}").read_text(encoding="utf-8")
    assert start in text and "53" in text and "vae" in text


def test_an_ending_that_is_no_format_is_named(results, tmp_path):
    done = leaderboard(results, "--out", tmp_path / "board.pdf")
    assert (
        done.exit_code == 2 and "expected a name that ends in .html, .md, .tex, .csv" in done.stderr
    )
