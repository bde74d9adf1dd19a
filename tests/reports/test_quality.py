"""The table of generative quality from stored measurements."""

import pytest

from benchmark.errors import UserError
from benchmark.reports.quality import quality_tables
from benchmark.reports.render.text import markdown
from benchmark.reports.study import Study
from benchmark.reports.tables import Cell
from benchmark.store.runs import RunDirectory, find_runs


def group(exact):
    """A group of pairs; generated ones are recognised in the share `exact`."""
    of_all = {"dev": 0.7, "train": 0.9, "noise": 0.1, "generated": exact}
    of_others = {"train": 1.0, "noise": 2.0, "generated": 1.5}
    measures = dict.fromkeys(("mmd", "frechet", "spread", "within_spread"), of_others)
    measures |= dict.fromkeys(("exact_match", "micro_f1", "between_share"), of_all)
    return measures | {"neighbour": {"noise": 3.0, "generated": 0.8}}


def measurement(exact, *, diagnosis=None, flags=None, groups=("all", "tail", "frequent")):
    return {
        "pairs": {},
        "settings": {"components": 32},
        "diagnosis": diagnosis or {},
        "flags": flags or {},
        "groups": {name: group(exact) for name in groups},
    }


def store(folder, augmenter, seed, quality, *, late=False):
    """late: the measurement was added after the run was done."""
    run = RunDirectory.of(folder, "demo", "atlop", augmenter, seed)
    names = {"dataset": "synthetic", "encoder": "tiny", "backbone": "atlop", "augmenter": augmenter}
    config = {key: {"name": name} for key, name in names.items()}
    run.start(config | {"augment": None, "train": {}, "seed": seed})
    run.write_json("metrics.json", {})
    for done in (False, True):
        if quality is not None and late == done:
            run.write_json("quality.json", quality)
        if not done:
            run.finish()
    return run


def flagged(units):
    return {"posterior": f"posterior collapsed: {units} of 384 latent units are active"}


EXPECTED = {("atlop", name): (0, 1) for name in ("none", "gaussian", "vae", "vaediff")}
MEASURES = "`run_benchmark.py quality` measures runs that are done."
VAE = {"reconstruction_explained": 0.5, "active_share": 0.25, "kl": 12.0}


@pytest.fixture
def grid(tmp_path):
    """gaussian was not measured, vae in both seeds, vaediff in seed 1, one of them after the run
    was done.
    """
    for seed in (0, 1):
        store(tmp_path, "none", seed, None)
        store(tmp_path, "gaussian", seed, None)
    store(tmp_path, "vae", 0, measurement(0.5, diagnosis=VAE))
    store(tmp_path, "vae", 1, measurement(0.7, diagnosis=VAE | {"kl": 14.0}), late=True)
    diagnosis = {"prior_explained": 0.4, "active_share": 0.0}
    store(tmp_path, "vaediff", 1, measurement(0.2, diagnosis=diagnosis, flags=flagged(2)))
    return tmp_path


def table_of(folder, expected=EXPECTED):
    (table,) = quality_tables(study_of(folder, expected))
    return table


def study_of(folder, expected=None):
    return Study.of([run.read() for run in find_runs(folder)], expected)


def cell(table, label, key):
    (row,) = [row for row in table.rows if row.label == label]
    return row.cell(key)


def test_rows_are_the_yardsticks_and_the_augmenters(grid):
    table = table_of(grid)
    assert [(row.label, row.coverage) for row in table.rows] == [
        ("(real, dev)", "2"),
        ("(real, train)", "2"),
        ("(noise)", "2"),
        ("gaussian", "missing"),
        ("vae", "2"),
        ("vaediff", "1/2"),
    ]
    assert table.title == "demo: synthetic, generative quality"


def test_shares_are_in_percent_and_averaged_over_seeds(grid):
    of = lambda label, key: cell(table_of(grid), label, key)
    assert of("vae", "exact_match.tail").values == pytest.approx({0: 50, 1: 70})
    means = {
        ("vae", "exact_match.tail"): 60,
        ("vae", "kl"): 13,
        ("vae", "reconstruction_explained"): 50,
        ("vae", "frechet.all"): 1.5,
        ("vae", "neighbour.all"): 80,
        ("(real, dev)", "exact_match.all"): 70,
        ("(noise)", "frechet.all"): 2.0,
    }
    assert {place: of(*place).mean for place in means} == pytest.approx(means)


def test_what_has_no_such_number_is_blank_and_what_was_not_measured_is_missing(grid):
    table = table_of(grid)
    assert cell(table, "(noise)", "kl") == cell(table, "(real, dev)", "frechet.all") == Cell()
    absent = {c.absent for row in table.rows if row.label == "gaussian" for c in row.cells.values()}
    lacking = "Not measured yet, and not shown: 1 of 3 rows: atlop (gaussian)."
    assert table.notes[table.notes.index(lacking) + 2] == MEASURES
    assert absent == {"missing"} and lacking in table.notes


def test_an_undefined_number_is_neither_zero_nor_left_out(grid):
    torn = measurement(0.5)
    torn["groups"]["tail"]["mmd"] = {"train": None, "noise": None, "generated": None}
    store(grid, "vaediff", 0, torn)
    assert cell(table_of(grid), "vaediff", "mmd.tail").absent == "undefined"


def test_a_collapse_is_told_in_words(grid):
    table = table_of(grid)
    assert f"FLAG atlop/vaediff: {flagged(2)['posterior']} (seed 1)." in table.notes
    assert cell(table, "vaediff", "flags").mean == 1 and cell(table, "vae", "flags").mean == 0
    store(grid, "vaediff", 0, measurement(0.2, flags=flagged(3)))
    (note,) = [note for note in table_of(grid).notes if note.startswith("FLAG")]
    assert note.endswith(
        "collapsed: 3 of 384 latent units are active (seeds 0, 1; numbers of seed 0)."
    )


def test_a_control_is_not_flagged_for_repeating_pairs_whatever_its_file_says(tmp_path):
    flagged_once = measurement(0.5, flags={"copies": "generated pairs repeat training pairs"})
    for augmenter in ("copies", "gaussian"):
        store(tmp_path, augmenter, 0, flagged_once)
    table = table_of(tmp_path, None)
    (note,) = [note for note in table.notes if note.startswith("FLAG")]
    assert note.startswith("FLAG atlop/gaussian:")
    assert cell(table, "copies", "flags").mean == 0


def test_a_measure_without_a_column_is_not_explained(tmp_path):
    store(tmp_path, "vae", 0, measurement(0.5, diagnosis=VAE))
    assert "KL (nats)" in table_of(tmp_path, None).notes[0]
    store(tmp_path / "b", "gaussian", 0, measurement(0.5))
    assert "KL" not in table_of(tmp_path / "b", None).notes[0]


def test_columns_that_nobody_has_are_left_out_and_without_measurements_the_table(tmp_path):
    store(tmp_path, "vae", 0, None)
    assert quality_tables(study_of(tmp_path, EXPECTED)) == quality_tables(study_of(tmp_path)) == []
    store(tmp_path, "gaussian", 0, measurement(0.5, groups=("all",)))
    keys = [column.key for column in table_of(tmp_path, {("atlop", "gaussian"): (0,)}).columns]
    assert "exact_match.all" in keys and not {"kl", "exact_match.tail", "mmd.frequent"} & set(keys)


def test_a_file_that_was_changed_after_the_run_is_refused(grid):
    run = RunDirectory.of(grid, "demo", "atlop", "vae", 0)
    run.write_json("quality.json", measurement(0.99))
    with pytest.raises(UserError, match="quality.json: changed after the run was done"):
        table_of(grid)


@pytest.mark.parametrize("text", ["{", "[]", '{"groups": {}}'])
def test_a_torn_file_is_named(grid, text):
    added_later = RunDirectory.of(grid, "demo", "atlop", "vae", 1)  # so it has no digest
    (added_later.path / "quality.json").write_text(text)
    with pytest.raises(UserError, match="seed-1.quality.json"):
        table_of(grid)


def test_rendered(grid):
    text = markdown([table_of(grid)])
    assert "| vae | 2 | 50.0 ± 0.0 | 25.0 ± 0.0 | 13.0 ± 1.4 |" in text
