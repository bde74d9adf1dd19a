"""leaderboard: from folders of results to a file."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from command_line import invoke
from reports.render.test_page import rows_of
from stored_runs import counted, run, write

from benchmark.commands.options import reference_of
from benchmark.scoring.counts import score

DATA = Path(__file__).parents[1] / "parity" / "data"
MADE_UP = json.loads((DATA / "metrics_made_up.json").read_text())  # by the official scorer


def store_made_up(folder):
    """Runs of `none` and `vae` in folder/results, with ever fewer of the example's predictions.

    Returns the paths of the files gold, train and predictions.
    """
    files = {name: folder / f"{name}.json" for name in ("gold", "train", "predictions")}
    for name, path in files.items():
        path.write_text(json.dumps(MADE_UP[name]))
    reference = reference_of(files["gold"], files["train"], None, "re-docred", False)
    for number, augmenter in enumerate(("none", "vae")):
        counts = reference.count(MADE_UP["predictions"][number + 1 :])
        stored = run(folder / "results", augmenter, 0, 0.5)
        stored.metrics["test"] = score(counts)
        write(stored, files={"counts_test.json": counts.to_json()})
    return SimpleNamespace(**files)


def leaderboard(*arguments):
    return invoke("leaderboard", *arguments)


def page_of(folder, *options):
    done = leaderboard(folder, "--out", folder / "page.html", *options)
    assert done.exit_code == 0, done.stderr
    return (folder / "page.html").read_text(encoding="utf-8")


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


def test_a_damaged_run_is_left_out_and_named(results):
    (results / "demo" / "atlop" / "vae" / "seed-0" / "metrics.json").write_text("{}")
    text = page_of(results)
    assert "Left out" in text and "vae/seed-0/metrics.json: changed after" in text
    assert "53.00" not in text


def test_cells_that_have_not_run_are_counted_not_shown(lab):
    lab("run CONFIG --seeds 0 --backbones left --augmenters none")
    text = page_of(lab.results)
    assert text.count("<tr data-backbone") == 1 and "Not run yet, and not shown:" in text


def test_a_torn_experiment_file_hides_only_what_is_missing(results):
    (results / "demo" / "experiment.json").write_text("{")
    done = leaderboard(results, "--out", results / "page.html")
    assert done.exit_code == 0 and "experiment.json: not valid JSON" in done.stderr


def test_part_of_an_experiment_asks_for_nothing_else(results):
    assert page_of(results / "demo" / "atlop" / "vae").count("<tr data-backbone") == 1


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["nowhere"], "no such folder"),
        (["empty"], "no finished run to show"),
        (["results", "--out", "nowhere/page.html"], "expected a file in a folder that exists"),
        (["results", "--out", "a.pdf"], "expected a name that ends in .html, .md, .tex, .csv"),
        (["results", "--add-predictions", "mine.json"], "expected NAME=FILE"),
        (["results", "--add-predictions", "a=b.json"], "needs --gold"),
        (["results", "--gold", "b.json"], "go with --add-predictions"),
        (["results", *["--add-predictions", "a=b"] * 2, "--gold", "g"], "and each name once"),
    ],
)
def test_mistakes(results, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    done = leaderboard(*arguments)
    assert done.exit_code == 2 and message in done.stderr
    assert not (tmp_path / "leaderboard.html").exists()


def test_ranks_marks_and_intervals_are_shown(tmp_path):
    for seed, points in enumerate((1, 1, 1, 1, 1, 10)):
        counted(tmp_path, "none", seed, 0.5)
        counted(tmp_path, "vae", seed, 0.5 + points / 100)
    text = page_of(tmp_path)
    rows = [cells for _, cells in rows_of(text)]
    assert [(cells[0], cells[2]) for cells in rows] == [
        ("1", "atlop + vae seeds: 6"),
        ("2", "atlop + none seeds: 6"),
    ]
    assert "+2.50 ± 3.67*" in rows[0][5]
    assert "95%, crossed bootstrap over seeds and documents" in text
    assert "Rank 1: <code>atlop + vae</code>" in text


def test_predictions_of_a_system_that_ran_elsewhere_are_an_entry_without_rank(tmp_path):
    files = store_made_up(tmp_path)
    options = ["--gold", files.gold, "--train", files.train, "--frequent", "re-docred"]
    added = ("--add-predictions", f"Mine <b>={files.predictions}", *options)
    text = page_of(tmp_path / "results", *added)
    (cells,) = [cells for _, cells in rows_of(text) if cells[1] == "Mine <b>"]
    # rank, system, kind, seeds, F1, difference, LTail F1, Freq F1, Ign F1, dev, minutes, device
    names = ("f1", "ltail_f1", "freq_f1", "ign_f1")
    scores = [f"{100 * MADE_UP['expected'][key]:.2f}" for key in names]
    kind = "Mine <b> + predictions only"
    assert cells == ["", "Mine <b>", kind, "n/a", scores[0], "", *scores[1:], "", "", ""]
    assert "made elsewhere, scored here on the test documents of our runs" in text
    done = leaderboard(tmp_path / "results", "--out", tmp_path / "board.md", *added)
    assert done.exit_code == 0 and scores[0] in (tmp_path / "board.md").read_text()


def test_what_the_given_files_do_not_tell_is_not_shown(tmp_path):
    files = store_made_up(tmp_path)
    options = ("--add-predictions", f"Mine={files.predictions}", "--gold", files.gold)
    text = page_of(tmp_path / "results", *options)
    (cells,) = [cells for _, cells in rows_of(text) if cells[1] == "Mine"]
    assert cells[6:9] == ["n/a"] * 3 and "no Ign F1 and no Freq and LTail F1." in text


@pytest.mark.parametrize(
    "change, message",
    [
        ({"title": "elsewhere"}, "documents are in only one of"),
        ({"labels": []}, "different gold facts"),
    ],
)
def test_other_test_documents_are_refused(tmp_path, change, message):
    files = store_made_up(tmp_path)
    documents, other = json.loads(files.gold.read_text()), tmp_path / "other.json"
    other.write_text(json.dumps([documents[0] | change, *documents[1:]]))
    options = ["--add-predictions", f"Mine={files.predictions}", "--gold", other]
    done = leaderboard(tmp_path / "results", "--out", tmp_path / "page.html", *options)
    assert done.exit_code == 2 and message in done.stderr, done.output
    assert "not the documents that the runs were tested on" in done.stderr


def test_published_scores_stand_below_the_board_on_request(tmp_path):
    for dataset in ("dwie", "toy"):
        for augmenter in ("none", "vae"):
            counted(tmp_path, augmenter, 0, 0.5, dataset=dataset, experiment=dataset)
    plain, text = page_of(tmp_path), page_of(tmp_path, "--with-published")
    assert "Reported" not in plain and len(rows_of(plain)) == len(rows_of(text)) == 4
    dwie, toy = text.split('<section class="board"')[1:3]
    assert "Reported, not run here: dwie, Table 2 of Tran et al. (2025)" in dwie
    assert "No published scores are kept here for toy" in toy
    assert "RSMAN" in dwie and "RSMAN" not in toy
    for dataset in ("dwie", "toy"):  # whose summary is told
        assert f">{dataset}: <code>atlop</code> on {dataset} (the whole model" in plain


@pytest.mark.parametrize(
    "ending, start",
    [(".md", "### toy: leaderboard"), (".tex", "\\documentclass"), (".csv", "table,backbone")],
)
def test_the_same_rows_as_tables(results, tmp_path, ending, start):
    done = leaderboard(results, "--out", tmp_path / f"board{ending}")
    assert done.exit_code == 0, done.stderr
    text = (tmp_path / f"board{ending}").read_text(encoding="utf-8")
    assert start in text and "53" in text and "vae" in text
