"""Published tables: the files agree with an independent transcription; in a report they stand
beside our rows and never mix.
"""

import csv
import io
import json

import pytest

from benchmark.errors import UserError
from benchmark.reports.ablation import ablation_table
from benchmark.reports.published import PUBLISHED, read_published, reported_beside
from benchmark.reports.render.text import csv_text, markdown, terminal
from benchmark.store.runs import RunDirectory, find_runs

FOUR = ("ign_f1", "f1", "freq_f1", "ltail_f1")

# An independent transcription, made when the paper was first read: table, encoder, method, scores.
HEADLINES = [
    (
        1,
        "BERT-base",
        "VaeDiff-DocRE",
        {"dev.f1": 75.89, "test.f1": 75.07, "dev.ign_f1": 74.96, "test.ign_f1": 74.13},
    ),
    (
        1,
        "BERT-base",
        "VaeDiff-DocRE",
        {
            "dev.freq_f1": 79.18,
            "test.freq_f1": 78.32,
            "dev.ltail_f1": 71.12,
            "test.ltail_f1": 70.06,
        },
    ),
    (1, "BERT-base", "KD-DocRE", {"dev.f1": 75.31, "test.f1": 74.88}),
    (1, "RoBERTa-large", "VaeDiff-DocRE", {"dev.f1": 79.19, "test.f1": 79.03}),
    (1, "RoBERTa-large", "KD-DocRE", {"dev.f1": 78.51, "test.f1": 78.28}),
    (
        2,
        "BERT-base",
        "VaeDiff-DocRE",
        {"dev.f1": 67.77, "dev.ign_f1": 61.51, "test.f1": 73.07, "test.ign_f1": 66.44},
    ),
    (2, "BERT-base", "ATLOP", {"test.f1": 69.94, "test.ign_f1": 62.09}),
    (2, "BERT-base", "Correl", {"test.f1": 71.56, "test.ign_f1": 65.64}),
    (
        4,
        "BERT-base",
        "- No Aug",
        {"dev.f1": 75.20, "dev.ign_f1": 74.23, "dev.freq_f1": 78.74, "dev.ltail_f1": 69.97},
    ),
    (
        4,
        "BERT-base",
        "- Gaus Noise",
        {"dev.f1": 75.44, "dev.ign_f1": 74.51, "dev.freq_f1": 78.80, "dev.ltail_f1": 70.61},
    ),
]


@pytest.fixture(scope="module")
def tables():
    return {table.table: table for table in read_published()}


def row(table, encoder, method):
    (found,) = [row for row in table.rows if (row.encoder, row.method) == (encoder, method)]
    return found


# ---- the data


def test_there_are_the_papers_three_tables_of_scores(tables):
    assert {number: (table.dataset, len(table.rows)) for number, table in tables.items()} == {
        1: ("re-docred", 21),
        2: ("dwie", 11),
        4: ("re-docred", 4),
    }
    assert [column.key for column in tables[1].columns] == [
        f"{split}.{key}" for split in ("dev", "test") for key in FOUR
    ]
    assert [column.key for column in tables[2].columns] == [
        "dev.ign_f1",
        "dev.f1",
        "test.ign_f1",
        "test.f1",
    ]
    assert [column.key for column in tables[4].columns] == [f"dev.{key}" for key in FOUR]
    assert all(
        "COLING 2025" in table.source.citation and table.caption for table in tables.values()
    )


@pytest.mark.parametrize(("number", "encoder", "method", "expected"), HEADLINES)
def test_headline_numbers(tables, number, encoder, method, expected):
    scores = row(tables[number], encoder, method).scores
    assert {key: scores[key].mean for key in expected} == expected


def test_spreads_and_runs_are_the_papers_own_only(tables):
    own = row(tables[1], "BERT-base", "VaeDiff-DocRE")
    spreads = [score.spread for score in own.scores.values()]
    assert (own.runs, spreads) == (10, [0.21, 0.2, 0.22, 0.38, 0.21, 0.2, 0.15, 0.29])
    for number in (1, 2):
        for found in tables[number].rows:
            assert {score.spread is not None for score in found.scores.values() if score} == {
                found.own
            }
            assert (found.runs == 10) == found.own
    assert {found.runs for found in tables[4].rows} == {None}  # its caption says nothing of runs


def test_scores_agree_with_each_other(tables):
    for table in tables.values():
        for found in table.rows:
            scores = {key: score.mean for key, score in found.scores.items() if score}
            assert scores, found.method
            for split in {column.split for column in table.columns}:
                ign, f1, freq, ltail = (scores.get(f"{split}.{key}") for key in FOUR)
                assert ign is None or ign < f1, found.method  # Ign F1 takes true positives away
                assert None in (freq, ltail) or ltail < f1 < freq, found.method


def test_bold_is_the_best_of_its_column_and_encoder(tables):
    """The captions say "best performance": it is meant within an encoder, over all columns."""
    for number in (1, 2, 4):
        for column in tables[number].columns:
            for encoder in ("BERT-base", "RoBERTa-large"):
                cells = [
                    found.scores[column.key]
                    for found in tables[number].rows
                    if found.encoder == encoder
                ]
                means = [cell.mean for cell in cells if cell]
                assert [cell.mean for cell in cells if cell and cell.mark == "bold"] == (
                    [max(means)] if means else []
                )


def test_table_4_repeats_dev_of_table_1(tables):
    for method in ("VaeDiff-DocRE", "KD-DocRE"):
        long, short = (row(tables[number], "BERT-base", method).scores for number in (1, 4))
        assert {key: score.mean for key, score in short.items()} == {
            key: long[key].mean for key in short
        }


def test_gains_that_the_papers_text_names(tables):
    """Section 3.3: F1 over the best other, 0.58 and 0.68 on dev, 0.19 and 0.75 on test; section
    3.4: 0.69 over no augmentation.
    """
    gains = {}
    for encoder in ("BERT-base", "RoBERTa-large"):
        ours, other = (
            row(tables[1], encoder, method).scores for method in ("VaeDiff-DocRE", "KD-DocRE")
        )
        gains[encoder] = [
            round(ours[key].mean - other[key].mean, 2) for key in ("dev.f1", "test.f1")
        ]
    assert gains == {"BERT-base": [0.58, 0.19], "RoBERTa-large": [0.68, 0.75]}
    full, none = (
        row(tables[4], "BERT-base", method).scores["dev.f1"].mean
        for method in ("VaeDiff-DocRE", "- No Aug")
    )
    assert round(full - none, 2) == 0.69


def test_what_was_copied_from_where(tables):
    first = tables[1]
    assert row(first, "BERT-base", "ATLOP").copied_from == {
        "dev": "Jiang et al. (2022)",
        "test": "Tan et al. (2023)",
    }
    assert row(first, "BERT-base", "KD-DocRE").copied_from == {"dev": None, "test": None}
    assert {
        found.copied_from["test"] for found in first.rows if found.encoder == "RoBERTa-large"
    } == {None, "Tan et al. (2022b)"}
    assert all(
        (found.copied_from["dev"] == "Han et al. (2024)") != found.own for found in tables[2].rows
    )
    for table in tables.values():
        assert {
            origin for found in table.rows for origin in found.copied_from.values() if origin
        } == table.references.keys()


def test_counterparts_are_registered(tables):
    from benchmark.registry import AUGMENTERS, BACKBONES

    found = {
        (row.backbone, row.augmenter)
        for table in tables.values()
        for row in table.rows
        if row.backbone
    }
    assert {
        ("baseline", "vaediff"),
        ("baseline", "gaussian"),
        ("baseline", "none"),
        ("atlop", "none"),
        ("kd_docre", "none"),
    } == found
    assert all(backbone in BACKBONES and augmenter in AUGMENTERS for backbone, augmenter in found)


def test_a_file_that_is_no_table_is_named(tmp_path):
    values = json.loads((PUBLISHED / "tran2025_table4.json").read_text())
    values["rows"][1]["scores"]["dev.f1"]["mean"] = 754.4
    (tmp_path / "mine.json").write_text(json.dumps(values))
    with pytest.raises(
        UserError,
        match=r"mine.json: not a published table: rows.1.scores.dev.f1.mean: Input should be less",
    ):
        read_published(tmp_path)
    del values["rows"][1]["scores"]["dev.f1"]
    (tmp_path / "mine.json").write_text(json.dumps(values))
    with pytest.raises(
        UserError, match=r"mine.json: not a published table: .*scores of - Gaus Noise"
    ):
        read_published(tmp_path)


# ---- beside our rows


def ours(
    folder,
    *,
    dataset="re-docred",
    encoder="google-bert/bert-base-cased",
    freeze="none",
    notes=(),
    backbone="baseline",
    **of_data,
):
    score = dict.fromkeys((*FOUR, "precision", "recall", "macro_f1", "intra_f1", "inter_f1"), 0.5)
    for seed in (0, 1):
        run = RunDirectory.of(folder, "mine", backbone, "none", seed)
        config = {
            "dataset": {"name": dataset, "options": of_data},
            "encoder": {"name": encoder, "options": {}, "freeze": freeze},
            "backbone": {"name": backbone, "options": {}},
            "augmenter": {"name": "none", "options": {}},
            "augment": None,
            "train": {"epochs": 3},
            "seed": seed,
        }
        run.start(config, facts={"corpus": dataset, "corpus_notes": list(notes)})
        run.write_json("metrics.json", {"dev": score, "test": {**score, "f1": 0.4 + 0.1 * seed}})
        run.finish()
    return [run.read() for run in find_runs(folder)]


def caption(table):
    return "\n".join(table.notes)


def test_the_tables_of_the_dataset_are_marked_as_reported(tmp_path):
    reported = reported_beside(ours(tmp_path), ["baseline", "kd_docre", "atlop"])
    assert [table.title for table in reported.tables] == [
        f"Reported, not run here: re-docred, Table {number} of Tran et al. (2025)"
        for number in (1, 4)
    ]
    text = markdown(reported.tables)
    assert text.startswith("### Reported, not run here: re-docred, Table 1 of Tran et al. (2025)")
    assert "|  | VaeDiff-DocRE | 10 | 74.96 ± 0.21 | 75.89 ± 0.20 |" in text
    assert "| BERT-base | GAIN (Zeng et al., 2020) |  | 71.99 | 73.49 | - | - |" in text
    assert "**" not in text and "Δ" not in text
    for table in reported.tables:
        assert "nothing of them was run here" in table.notes[0] and "COLING 2025" in caption(table)
        assert not any(cell.best or cell.values for row in table.rows for cell in row.cells)


def test_rows_of_backbones_that_the_experiment_lacks_are_left_out_and_named(tmp_path):
    reported = reported_beside(ours(tmp_path, backbone="atlop"), ["atlop"])
    (table,) = reported.tables  # the ablation has no row of atlop
    methods = [row.label for row in table.rows]
    assert "ATLOP (Zhang et al., 2021)" in methods and "JEREX (Eberts and Ulges, 2021)" in methods
    assert not any(method.startswith(("VaeDiff", "KD-DocRE")) for method in methods)
    assert (
        "Rows left out, of backbones that this experiment does not have: KD-DocRE, VaeDiff-DocRE."
        in table.notes
    )
    assert "Counterparts here: ATLOP = atlop/none." in table.notes


def test_the_same_setting_needs_no_warning(tmp_path):
    table = reported_beside(ours(tmp_path), ["baseline"]).tables[1]  # Table 4: BERT-base only
    assert "Not comparable" not in caption(table) and "Our encoder" not in caption(table)


@pytest.mark.parametrize("name", ["FacebookAI/roberta-large", "/models/roberta-large"])
def test_rows_of_another_encoder_are_named(tmp_path, name):
    table = reported_beside(ours(tmp_path, encoder=name), ["baseline"]).tables[0]
    assert (
        "Our encoder is roberta-large: rows of another encoder than RoBERTa-large are not "
        "comparable with ours." in table.notes
    )


def test_settings_that_no_row_has_are_named(tmp_path):
    notes = ["trained on 400 documents, not the 3,053 of the published training split"]
    runs = ours(
        tmp_path, encoder="encoders/all-MiniLM-L6-v2", freeze="all", notes=notes, dev_documents=100
    )
    for table in reported_beside(runs, ["baseline"]).tables:
        assert (
            "Not comparable with ours: our encoder is all-MiniLM-L6-v2, which no row of this table "
            "has." in table.notes
        )
        assert "Not comparable with ours: our encoder was not trained." in table.notes
        assert (
            "Dev is not comparable with ours: 100 documents out of our training file, not the "
            "published dev split." in table.notes
        )
        assert f"Of our data: {notes[0]}." in table.notes


def test_a_dataset_without_published_scores_gets_a_plain_sentence(tmp_path):
    reported = reported_beside(ours(tmp_path, dataset="biored"), ["baseline"])
    sentence = (
        "No published scores are kept here for biored and these backbones; there are tables of "
        "dwie, re-docred."
    )
    assert (reported.tables, reported.instead) == ([], sentence)


def test_csv_keeps_published_numbers_out_of_our_columns(tmp_path):
    runs = ours(tmp_path, dataset="dwie")
    reported = reported_beside(runs, ["baseline", "atlop"]).tables
    plain, text = (csv_text([ablation_table(runs)], tables) for tables in ([], reported))
    before, after = (list(csv.DictReader(io.StringIO(part))) for part in (plain, text))
    assert [{key: line[key] for key in before[0]} for line in after[: len(before)]] == before
    assert all(line["reported"] == "" for line in after[: len(before)])
    published = after[len(before) :]
    assert len(published) == 11 * 4
    assert all(
        not line[key]
        for line in published
        for key in ("backbone", "augmenter", "mean", "sd", "n", "best", "seed 0")
    )
    (line,) = [
        line
        for line in published
        if (line["method"], line["score"]) == ("VaeDiff-DocRE", "test.f1")
    ]
    assert line["table"] == "Reported, not run here: dwie, Table 2 of Tran et al. (2025)"
    assert [line[key] for key in ("reported", "reported spread", "reported runs")] == [
        "73.07",
        "0.37",
        "10",
    ]
    assert (line["encoder"], line["counterpart"], line["copied from"]) == (
        "BERT-base",
        "baseline/vaediff",
        "",
    )


@pytest.mark.parametrize("width", [80, 120, 200])
def test_terminal_cuts_nothing_off(tmp_path, width):
    from rich.console import Console

    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    terminal(reported_beside(ours(tmp_path), ["baseline", "kd_docre", "atlop"]).tables, console)
    text = console.file.getvalue()
    assert "…" not in text and max(map(len, text.splitlines())) <= width
    assert all(
        value in text
        for value in (
            "Reported, not run here",
            "75.89",
            "± 0.38",
            "74.73",
            "LLaMA2-13B-Chat",
            "- Gaus Noise",
        )
    )
