"""`report`: all of its files, the same each time; published scores and other systems on request
only, beside tables that stay.
"""

import json
import time

import pytest
from elsewhere_files import store_made_up
from reports.test_quality import measurement
from stored_runs import counted
from typer.testing import CliRunner

from benchmark.commands.app import app


def report(folder, *options):
    return CliRunner().invoke(
        app, ["report", str(folder), *map(str, options)], env={"COLUMNS": "200"}
    )


def test_four_files_the_same_each_time(tmp_path):
    for seed in range(6):
        counted(tmp_path, "none", seed, 0.5, spread=30)
        counted(tmp_path, "vae", seed, 0.61 + (0.09 if seed == 5 else 0), spread=10)
    quality = tmp_path / "demo" / "atlop" / "vae" / "seed-0" / "quality.json"
    quality.write_text(json.dumps(measurement(0.5)))
    written = []
    for _ in range(2):
        done = report(tmp_path / "demo")
        assert done.exit_code == 0, done.stderr
        written.append(
            {path.name: path.read_bytes() for path in (tmp_path / "demo").glob("report.*")}
        )
    assert written[0] == written[1] and set(written[0]) == {
        "report.md",
        "report.csv",
        "report.tex",
        "report.html",
    }
    for name, mark in {
        "report.md": b"\\*",
        "report.tex": rb"\textsuperscript{*}",
        "report.html": b"<sup>*</sup>",
    }.items():
        assert mark in written[0][name] and b"difference to none" in written[0][name]
        assert b"generative quality" in written[0][name]
    assert (
        b"\\begin{document}" in written[0]["report.tex"]
        and b"<!DOCTYPE html>" in written[0]["report.html"]
    )
    assert (
        "difference to none" in done.stdout
        and "0.0312" in done.stdout
        and "report.tex" in done.stderr
    )


def test_systems_that_ran_elsewhere_get_a_table_of_their_own(tmp_path):
    files = store_made_up(tmp_path)
    plain = report(tmp_path / "results" / "demo").stdout
    options = ["--gold", files.gold, "--train", files.train, "--frequent", "re-docred"]
    done = report(
        tmp_path / "results" / "demo", "--add-predictions", f"Mine={files.predictions}", *options
    )
    assert done.exit_code == 0, done.stderr
    assert "systems that ran elsewhere" in done.stdout and "systems that ran elsewhere" not in plain
    text = (tmp_path / "results" / "demo" / "report.md").read_text()
    (line,) = [line for line in text.splitlines() if line.startswith("| Mine |")]
    # the official scorer's numbers of this file: no dev, Ign F1, F1, Freq F1, LTail F1, no
    # difference
    expected = [
        f"{100 * files.expected[key]:.2f}" for key in ("ign_f1", "f1", "freq_f1", "ltail_f1")
    ]
    assert [field.strip() for field in line.split("|")[2:-1]] == [
        "predictions only",
        "n/a",
        *[""] * 4,
        *expected,
        "",
    ]


@pytest.mark.long
def test_120_runs_of_500_documents_take_less_than_five_seconds(tmp_path):
    for backbone in ("atlop", "kd_docre", "baseline"):
        for augmenter in ("none", "gaussian", "vae", "vaediff"):
            for seed in range(10):
                f1 = round(0.5 + 0.01 * ((seed * 7 + len(augmenter)) % 5), 3)
                counted(
                    tmp_path,
                    augmenter,
                    seed,
                    f1,
                    backbone=backbone,
                    spread=seed + 10,
                    documents=500,
                )
    assert report(tmp_path / "demo").exit_code == 0  # imports
    start = time.process_time()
    assert report(tmp_path / "demo").exit_code == 0
    assert time.process_time() - start < 5  # 1.5 s on a quiet machine


def tables(lab):
    return [(lab.results / "toy" / name).read_bytes() for name in ("report.md", "report.csv")]


def test_published_scores_are_shown_on_request_only(lab, monkeypatch):
    monkeypatch.setattr("benchmark.store.runs.StoredRun.dataset", "dwie")
    lab("run CONFIG")
    plain = tables(lab)
    assert lab("report CONFIG").exit_code == 0 and tables(lab) == plain
    assert b"Reported" not in plain[0] and b"reported" not in plain[1]

    result = lab("report CONFIG --with-published")
    assert result.exit_code == 0, result.output
    markdown, table = tables(lab)
    assert markdown.startswith(plain[0])
    assert (
        b"### Reported, not run here: dwie, Table 2 of Tran et al. (2025)"
        in markdown[len(plain[0]) :]
    )
    assert b'\n"Reported, not run here: dwie, Table 2 of Tran et al. (2025)"' in table
    assert "Reported, not run here: dwie, Table 2" in result.stdout and "RSMAN" in result.stdout
    assert "our encoder is tiny, which no row of this table has" in result.stdout

    lab("report CONFIG")
    assert tables(lab) == plain


def test_a_dataset_without_published_scores(lab):
    lab("run CONFIG")
    plain = tables(lab)
    result = lab("report CONFIG --with-published")
    sentence = (
        "No published scores are kept here for toy-data and these backbones; there are tables of "
        "dwie, re-docred."
    )
    assert result.exit_code == 0 and sentence in result.stdout
    assert tables(lab) == [plain[0] + f"\n{sentence}\n".encode(), plain[1]]


def test_a_folder_of_experiments_gets_the_tables_of_each_and_a_leaderboard(tmp_path):
    for experiment in ("one", "two"):
        for augmenter in ("none", "vae"):
            counted(tmp_path / "results", augmenter, 0, 0.5, experiment=experiment)
    done = CliRunner().invoke(app, ["report", str(tmp_path / "results")])
    assert done.exit_code == 0, done.output
    assert all((tmp_path / "results" / name / "report.tex").is_file() for name in ("one", "two"))
    assert "Experiment" in (tmp_path / "results" / "leaderboard.html").read_text(encoding="utf-8")


def test_tables_of_the_cheap_protocol_stand_in_its_own_folder(lab):
    head = "--set augment.stage3=head"
    lab(f"run CONFIG {head}")
    (lab.results / "toy_head" / "report.md").unlink()
    done = lab(f"report CONFIG {head}")
    assert done.exit_code == 0, done.output
    assert (lab.results / "toy_head" / "report.md").is_file()
    assert not (lab.results / "toy" / "report.md").exists()
