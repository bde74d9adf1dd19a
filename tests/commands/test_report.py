"""`report`: all of its files, the same each time; published scores on request only."""

import itertools
import json
import time

import pytest
from command_line import invoke
from reports.test_quality import measurement
from stored_runs import counted

BACKBONES = ("atlop", "kd_docre", "baseline")


def report(folder, *options):
    return invoke("report", folder, *options)


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
        files = (tmp_path / "demo").glob("report.*")
        written.append({path.suffix: path.read_text(encoding="utf-8") for path in files})
    assert written[0] == written[1] and set(written[0]) == {".md", ".csv", ".tex", ".html"}
    marks = {".md": "\\*", ".tex": r"\textsuperscript{*}", ".html": "<sup>*</sup>"}
    starts = {".md": "", ".tex": "\\begin{document}", ".html": "<!DOCTYPE html>"}
    for ending, mark in marks.items():
        told = (mark, starts[ending], "difference to none", "generative quality")
        assert all(text in written[0][ending] for text in told)
    assert "0.0312" in written[0][".md"]
    assert "+12.50" in done.stdout and "VAE expl." not in done.stdout
    assert "also in the files: scores on dev; difference to none" in done.stderr
    lacking = "calibrated scores, average precision, scores with a threshold for each relation."
    assert f"because all runs are older and lack them: {lacking}" in written[0][".md"]


def test_differences_to_the_best_control_are_in_all_files(tmp_path):
    for augmenter, f1 in {"none": 0.5, "copies": 0.51, "vae": 0.54}.items():
        for seed in (0, 1):
            counted(tmp_path, augmenter, seed, f1)
    done = report(tmp_path / "demo")
    assert "difference to none; difference to the best control" in " ".join(done.stderr.split())
    for path in (tmp_path / "demo").glob("report.*"):
        assert "difference to the best control" in path.read_text(encoding="utf-8")


@pytest.mark.long
def test_120_runs_of_500_documents_take_less_than_five_seconds(tmp_path):
    of = itertools.product(BACKBONES, ("none", "gaussian", "vae", "vaediff"), range(10))
    for backbone, augmenter, seed in of:
        f1 = round(0.5 + 0.01 * ((seed * 7 + len(augmenter)) % 5), 3)
        settings = {"backbone": backbone, "spread": seed + 10, "documents": 500}
        counted(tmp_path, augmenter, seed, f1, **settings)
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
    title = "Reported, not run here: dwie, Table 2 of Tran et al. (2025)"
    assert f"### {title}".encode() in markdown[len(plain[0]) :]
    assert table == plain[1]  # whoever averages over its numbers meets none of a paper
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
    done = report(tmp_path / "results")
    assert done.exit_code == 0, done.output
    assert all((tmp_path / "results" / name / "report.tex").is_file() for name in ("one", "two"))
    assert "Experiment" in (tmp_path / "results" / "leaderboard.html").read_text(encoding="utf-8")


def test_all_experiments_of_a_folder_are_verified_before_any_table(tmp_path):
    for experiment in ("one", "two"):
        metrics = counted(tmp_path, "none", 0, 0.5, experiment=experiment).path / "metrics.json"
        metrics.write_text(metrics.read_text().replace("0.5", "0.9"))
    done = report(tmp_path, "--verify")
    assert done.exit_code == 1 and "verified 2 runs" in done.stderr
    for experiment in ("one", "two"):
        assert f"differs: {tmp_path / experiment}" in done.stderr
    assert not list(tmp_path.rglob("report.md"))


def test_an_experiment_that_cannot_be_reported_keeps_no_other_from_it(tmp_path):
    for experiment in ("one", "two"):
        path = counted(tmp_path, "none", 0, 0.5, experiment=experiment).path / "metrics.json"
        if experiment == "one":
            path.write_text("{")
    done = report(tmp_path)
    assert done.exit_code == 1 and (tmp_path / "two" / "report.md").is_file()
    assert f"error: {tmp_path / 'one'}: nothing to report, no run" in done.stderr
    assert f"damaged: {tmp_path / 'one'}" in done.stderr
    assert (tmp_path / "leaderboard.html").is_file()


def test_tables_of_the_cheap_protocol_stand_in_its_own_folder(lab):
    head = "--set augment.stage3=head"
    lab(f"run CONFIG {head}")
    (lab.results / "toy_head" / "report.md").unlink()
    done = lab(f"report CONFIG {head}")
    assert done.exit_code == 0, done.output
    assert (lab.results / "toy_head" / "report.md").is_file()
    assert not (lab.results / "toy" / "report.md").exists()
