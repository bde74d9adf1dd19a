"""The ablation table from stored runs: means by hand, marks, and what is shown where runs lack."""

import csv
import io
import math
from dataclasses import replace

import pytest
from rich.console import Console
from stored_runs import run as made

from benchmark.errors import UserError
from benchmark.reports.ablation import (
    CALIBRATED,
    DETAIL,
    FUSION,
    STAGE1,
    ablation_table,
    with_stage1,
)
from benchmark.reports.render.text import csv_text, markdown, terminal
from benchmark.reports.study import Study
from benchmark.reports.tables import Cell


def store(folder, augmenter, seed, f1, *, backbone="atlop", facts=None, width=4, **changes):
    """A finished run; `changes` to its test scores, its configuration or its metrics."""
    run = made(folder, augmenter, seed, f1, backbone=backbone, best_epoch=changes.pop("best", 9))
    run.metrics["test"] |= changes.pop("test", {})
    run.config["augmenter"]["options"] = {"width": width}
    run.config["augment"] = None if augmenter == "none" else {"copies": 2}
    run.config.update(changes)
    run.facts.update(facts or {})
    return run


@pytest.fixture
def grid(tmp_path):
    """Of kd_docre, vae lacks seed 1."""
    values = {
        ("atlop", "none"): {0: 50, 1: 52, 2: 54},
        ("atlop", "vae"): {0: 53, 1: 54, 2: 58},
        ("kd_docre", "none"): {0: 60, 1: 62, 2: 64},
        ("kd_docre", "vae"): {0: 66, 2: 70},
    }
    return [
        store(tmp_path, augmenter, seed, percent / 100, backbone=backbone)
        for (backbone, augmenter), percents in values.items()
        for seed, percent in percents.items()
    ]


EXPECTED = {
    (backbone, augmenter): (0, 1, 2)
    for backbone in ("kd_docre", "atlop")
    for augmenter in ("none", "gaussian", "vae")
}


def table_of(runs, expected=None, *, description="", **options):
    return ablation_table(Study.of(runs, expected, description), **options)


def cell(table, backbone, augmenter, key):
    (row,) = [row for row in table.rows if (row.group, row.label) == (backbone, augmenter)]
    return row.cell(key)


def test_none_alone_has_no_columns_of_differences(grid):
    alone = [run for run in grid if run.augmenter == "none"]
    table = table_of(alone, EXPECTED)
    assert not any(column.difference for column in table.columns)
    assert not any("Δ" in note for note in table.notes)


def test_columns_rows_and_means_over_seeds(grid):
    table = table_of(grid, EXPECTED)
    assert [(row.group, row.label) for row in table.rows] == list(EXPECTED)
    names = ["ign_f1", "f1", "freq_f1", "ltail_f1"]
    keys = [f"{split}.{name}" for split in ("dev", "test") for name in names]
    assert [column.key for column in table.columns] == [*keys, "test.f1.difference"]
    assert table.title == "demo: toy"
    # vae: 53, 54, 58 -> mean 55, deviations -2, -1, 3, sd = sqrt(14 / 2)
    value = cell(table, "atlop", "vae", "test.f1")
    assert (value.mean, value.sd, value.n) == pytest.approx((55, math.sqrt(7), 3))
    assert cell(table, "atlop", "vae", "dev.f1").mean == pytest.approx(65)


def test_the_stage_1_models_stand_above_their_backbone(grid):
    """atlop's head was trained anew: its `none` runs hold the scores of the whole models."""
    study = Study.of(grid, EXPECTED)
    table = ablation_table(study)
    assert with_stage1(table, study) is table
    for seed, run in study.cells["atlop", "none"].items():
        run.metrics["stage1"] = run.metrics["test"] | {"f1": (70 + seed) / 100}
    found = with_stage1(table, study)
    labels = [(row.group, row.label) for row in found.rows]
    assert labels == [*list(EXPECTED)[:3], ("atlop", STAGE1), *list(EXPECTED)[3:]]
    row = found.rows[3]
    assert row.complete and row.cell("test.f1").mean == pytest.approx(71)
    assert row.cell("dev.f1") == row.cell("test.f1.difference") == Cell()
    assert found.notes[-1].startswith(f"{STAGE1}: the whole model before its head was trained anew")


def test_difference_is_paired_by_seed(grid):
    table = table_of(grid, EXPECTED)
    # 53 - 50, 54 - 52, 58 - 54 = 3, 2, 4 -> mean 3, sd 1
    value = cell(table, "atlop", "vae", "test.f1.difference")
    assert value.values == pytest.approx({0: 3, 1: 2, 2: 4})
    assert (value.mean, value.sd) == pytest.approx((3, 1))
    # only seeds 0 and 2 on both sides: 66 - 60, 70 - 64 (not the difference of the means)
    value = cell(table, "kd_docre", "vae", "test.f1.difference")
    assert value.values == pytest.approx({0: 6, 2: 6})
    assert cell(table, "atlop", "none", "test.f1.difference") == Cell()


def test_missing_cells_and_seeds_are_shown(grid):
    table = table_of(grid, EXPECTED)
    coverage = {(row.group, row.label): row.coverage for row in table.rows}
    assert coverage["atlop", "gaussian"] == "missing" and coverage["atlop", "vae"] == "3"
    assert coverage["kd_docre", "vae"] == "2/3"
    assert cell(table, "atlop", "gaussian", "test.f1").absent == "missing"
    assert "gaussian" not in {row.label for _, rows in table.groups for row in rows}
    (note,) = [note for note in table.notes if note.startswith("Not run yet")]
    assert note.endswith("2 of 6 rows: kd_docre (gaussian); atlop (gaussian).")
    assert any(note.startswith("Seeds such as 2/5") for note in table.notes)


def test_best_is_marked_among_complete_rows_of_the_backbone(grid):
    table = table_of(grid, EXPECTED)
    best = {place for place in EXPECTED if cell(table, *place, "test.f1").best}
    # kd_docre's vae is higher but a seed short; alone among the complete, none is no best either
    assert best == {("atlop", "vae")}


def test_equal_as_shown_is_equally_best_and_one_seed_has_no_spread(tmp_path):
    runs = [store(tmp_path, name, 0, f1) for name, f1 in (("none", 0.500001), ("vae", 0.500002))]
    table = table_of(runs)
    values = [cell(table, "atlop", name, "test.f1") for name in ("none", "vae")]
    assert all(value.best and value.sd is None for value in values)
    assert "±" not in markdown([table]) and "one seed (0)" in table.notes[0]


def test_undefined_is_neither_zero_nor_averaged_over(tmp_path):
    runs = [store(tmp_path, name, seed, 0.5) for name in ("none", "vae") for seed in (0, 1)]
    runs[0].metrics["test"]["ltail_f1"] = None
    table = table_of(runs)
    value = cell(table, "atlop", "none", "test.ltail_f1")
    assert value.absent == "undefined" and value.mean is None
    assert "n/a" in markdown([table]) and any("undefined" in note for note in table.notes)


def test_without_an_experiment_every_cell_is_expected_to_have_every_seed(grid):
    assert [row.coverage for row in table_of(grid).rows] == ["3", "3", "3", "2/3"]


def test_without_runs_there_is_no_table():
    with pytest.raises(UserError, match="no finished run"):
        Study.of([])


def test_caption_opens_with_the_experiments_words_and_tells_encoder_and_corpus(tmp_path):
    encoder = {"name": "/models/MiniLM", "freeze": "all"}
    facts = {"corpus_notes": ["400 training documents."]}
    run = store(tmp_path, "none", 0, 0.5, facts=facts, encoder=encoder)
    notes = table_of([run], description="A small encoder.").notes
    assert notes[0] == "A small encoder." and notes[-1] == "400 training documents."
    assert any("Encoder: MiniLM, frozen." in note for note in notes)


def test_detail_columns(grid):
    table = table_of(grid, EXPECTED, columns=DETAIL)
    for key in ("bucket_f1.1-10", "macro_f1"):
        assert cell(table, "atlop", "vae", f"test.{key}").mean == pytest.approx(55)
    assert table.title == "demo: toy, test in detail"


def calibrated(run, **scores):
    run.metrics["test"] |= {"calibrated": {"f1": 0.5, "ltail_f1": 0.4}, **scores}
    run.metrics["test"]["average_precision"] = dict.fromkeys(("all", "frequent", "tail"), 0.3)
    return run


def test_fused_scores_stand_beside_the_calibrated_ones_where_a_run_has_them(grid):
    runs = [calibrated(run) for run in grid]
    without = table_of(runs, EXPECTED, columns=CALIBRATED)
    assert without.columns == CALIBRATED and not any("Fused" in note for note in without.notes)
    for run in runs:
        if run.backbone == "atlop":
            f1 = run.metrics["test"]["f1"] + 0.01
            calibrated(run, fused={"f1": f1, "ltail_f1": f1})
    table = table_of(runs, EXPECTED, columns=CALIBRATED)
    assert table.columns == CALIBRATED + FUSION and any("Fused" in note for note in table.notes)
    assert cell(table, "atlop", "vae", "fused.f1").mean == pytest.approx(56)
    assert cell(table, "atlop", "vae", "fused.f1").best
    assert cell(table, "atlop", "vae", "fused.f1.difference").mean == pytest.approx(3)
    for place in (("kd_docre", "vae"), ("atlop", "gaussian")):
        assert cell(table, *place, "fused.f1") == Cell()
    assert "fused F1" in markdown([table]) and csv_text([table])
    assert table_of(runs, EXPECTED).columns == table_of(grid, EXPECTED).columns


def test_without_frequent_relations_their_average_precision_is_not_available(grid):
    for run in grid:
        calibrated(run).metrics["test"]["average_precision"] = {"all": 0.3}
    table = table_of(grid, EXPECTED, columns=CALIBRATED)
    for key in ("ap.frequent", "ap.tail", "ap.tail.difference"):
        assert cell(table, "atlop", "vae", key).absent == "undefined"
    assert cell(table, "atlop", "vae", "ap.all").mean == pytest.approx(30)
    grid[0].metrics["test"]["average_precision"] = {}
    with pytest.raises(UserError, match=r"the key test.average_precision.all is missing"):
        table_of(grid, EXPECTED, columns=CALIBRATED)


def test_older_runs_are_left_out_of_calibrated_tables_and_named(grid):
    known = lambda run: run.backbone == "atlop" and (run.augmenter, run.seed) != ("none", 0)
    for run in filter(known, grid):
        calibrated(run)
    held = Study.of(grid, EXPECTED).holding("calibrated", "average_precision")
    table = ablation_table(held, CALIBRATED)
    (none,) = [row for row in table.rows if (row.group, row.label) == ("atlop", "none")]
    assert none.coverage == "2/3" and 0 not in none.cell("calibrated.f1").values
    assert 0 not in cell(table, "atlop", "vae", "calibrated.f1.difference").values
    (note,) = [note for note in table.notes if note.startswith("Older runs")]
    assert "no calibrated scores and average precision: kd_docre/none (seeds 0, 1, 2), kd" in note
    assert note.endswith("kd_docre/vae (seeds 0, 2), atlop/none (seed 0).")
    (note,) = [note for note in table.notes if note.startswith("Not run")]
    assert note.startswith("Not run with these scores yet") and "kd_docre (all)" in note
    assert Study.of(grid, EXPECTED).holding("per_relation") is None


@pytest.mark.parametrize(
    "change, message",
    [
        ({"train": {"epochs": 4}}, r"train.epochs is 3 in .*seed-0, and 4 in .*seed-1"),
        ({"augment": {"copies": 3}}, r"augment.copies is 2 in .*, and 3 in"),
        ({"width": 8}, r"augmenter.options.width is 4 in .*, and 8 in"),
        ({"facts": {"corpus_digest": "bb"}}, r'corpus_digest is "aa" in .*, and "bb" in'),
    ],
)
def test_runs_with_other_settings_cannot_share_a_table(tmp_path, change, message):
    runs = [store(tmp_path, "vae", 0, 0.5), store(tmp_path, "vae", 1, 0.5, **change)]
    with pytest.raises(UserError, match=message):
        table_of(runs)


def test_two_runs_of_one_cell_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"two runs of atlop, none, seed 0: .*a.*and .*b"):
        table_of([store(tmp_path / folder, "none", 0, 0.5) for folder in ("a", "b")])


def test_a_metric_that_is_not_there_is_named(tmp_path):
    run = store(tmp_path, "none", 0, 0.5)
    del run.metrics["test"]["ign_f1"]
    with pytest.raises(UserError, match=r"metrics.json: the key test.ign_f1 is missing"):
        table_of([run])


def test_a_model_chosen_during_warm_up_is_named(tmp_path):
    augment = {"copies": 2, "warmup_epochs": 3}
    vae = [store(tmp_path, "vae", n, 0.5, augment=augment, best=4 - n) for n in (0, 1)]
    runs = [store(tmp_path, "none", 0, 0.5, best=2), store(tmp_path, "none", 1, 0.5), *vae]
    early = lambda runs: [note for note in table_of(runs).notes if "had no part in the" in note]
    assert early(runs[:3]) == []
    assert early(runs)[0].endswith("scored model: atlop/vae (seed 1, epoch 3).")
    assert cell(table_of(runs), "atlop", "vae", "test.f1.difference").mark == "†"


# ---- rendering


def test_markdown(grid):
    lines = markdown([table_of(grid, EXPECTED)]).splitlines()
    assert lines[0] == "### demo: toy" and lines[2].endswith("| test Δ F1 |")
    assert lines[2].startswith("| Backbone | Augmenter | seeds | dev Ign F1 | dev F1 |")
    rows = [[field.strip() for field in line.split("|")[1:-1]] for line in lines[2:8]]
    assert {len(row) for row in rows} == {12} and "gaussian" not in {row[1] for row in rows}
    scores = ["78.00 ± 2.83"] * 4 + ["68.00 ± 2.83"] * 4
    assert rows[3] == ["", "vae", "2/3", *scores, "+6.00 ± 0.00"]
    scores = ["**65.00 ± 2.65**"] * 4 + ["**55.00 ± 2.65**"] * 4
    assert rows[5] == ["", "vae", "3", *scores, "+3.00 ± 1.00"]


def test_a_difference_over_fewer_pairs_says_so(grid):
    # none lacks seed 2, which vae has: the row has 2 seeds, the difference 1
    lacking = lambda run: (run.backbone, run.augmenter, run.seed) == ("kd_docre", "none", 2)
    runs = [run for run in grid if not lacking(run)]
    assert "+6.00 (n=1)" in markdown([table_of(runs, EXPECTED)])


def test_csv_keeps_every_digit_and_seed(grid):
    lines = list(csv.DictReader(io.StringIO(csv_text([table_of(grid, EXPECTED)]))))
    by_cell = {(line["backbone"], line["augmenter"], line["score"]): line for line in lines}
    line = by_cell["atlop", "vae", "test.f1"]
    assert float(line["sd"]) == pytest.approx(math.sqrt(7), abs=1e-12)
    assert line["n"] == line["expected"] == "3" and line["best"] == "1"
    seeds = [float(line[f"seed {seed}"]) for seed in range(3)]
    assert seeds == [100 * f1 for f1 in (0.53, 0.54, 0.58)]
    short = by_cell["kd_docre", "vae", "test.f1"]
    assert short["n"] == "2" and short["expected"] == "3" and short["seed 1"] == ""
    missing = by_cell["atlop", "gaussian", "test.f1"]
    assert missing["absent"] == "missing" and missing["mean"] == missing["sd"] == ""
    assert len(lines) == 6 * 9 - 2  # all cells but the difference of `none` to itself


@pytest.mark.parametrize("width", [60, 80, 200])
def test_terminal_cuts_nothing_off(grid, width):
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    terminal([table_of(grid, EXPECTED)], console)
    text = console.file.getvalue()
    assert "…" not in text and max(map(len, text.splitlines())) <= width
    for value in ("65.00", "55.00", "± 2.65", "+3.00", "± 1.00", "Not run yet", "2/3"):
        assert value in text


def test_the_terminal_shows_as_many_columns_at_a_time_as_fit(grid):
    table = table_of(grid, EXPECTED)
    wide = lambda columns: replace(table, columns=columns, notes=())

    def shown(table, width):
        console = Console(width=width, file=io.StringIO(), force_terminal=False)
        terminal([table], console)
        return console.file.getvalue()

    three = wide(table.columns[:3])
    width = max(map(len, shown(three, 200).splitlines()[2:]))
    assert shown(three, width).count("Backbone") == 1  # bold costs no room
    assert shown(three, width - 1).count("Backbone") == 2
