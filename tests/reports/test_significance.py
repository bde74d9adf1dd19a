"""Marks, intervals and the table of differences: by hand, and what is said where there are none."""

import csv
import io

import numpy as np
import pytest
from reports.render.test_html import Parsed
from scipy.stats import ttest_1samp
from stored_runs import compared_with_none, counted, counts, run, scored, write

from benchmark.reports.ablation import CALIBRATED, ablation_table
from benchmark.reports.difference_table import difference_table, marked
from benchmark.reports.render.html import html, html_document
from benchmark.reports.render.latex import latex
from benchmark.reports.render.text import csv_text, markdown
from benchmark.reports.significance import Contrast, calibrated_significance, to_controls
from benchmark.reports.tables import Cell
from benchmark.scoring.counts import Counts
from benchmark.statistics.intervals import crossed_interval
from benchmark.statistics.measures import MEASURES, document_counts
from benchmark.statistics.results import Interval

# points; never normal, so the permutation test is taken: 2 of 2^6 patterns are as extreme
SIX = (1, 1, 1, 1, 1, 10)
P_SIX = 2 / 64
F1, TAIL = "test.f1.difference", "test.ltail_f1.difference"


def grid(folder, differences, *, backbone="atlop", base=0.5, tails=None, spread=0):
    """`none` at `base` and augmenters at so many points above it; LTail F1 moves by `tails`."""
    options = {"backbone": backbone}
    runs = []
    for seed in range(max(map(len, differences.values()))):
        runs.append(counted(folder, "none", seed, base, base, spread=spread, **options))
    for name, points in differences.items():
        moved = (tails or {}).get(name, [0] * len(points))
        for seed, (point, tail) in enumerate(zip(points, moved, strict=True)):
            scores = (base + point / 100, base + tail / 100)
            runs.append(counted(folder, name, seed, *scores, spread=-spread, **options))
    return runs


def examined(runs, expected=None, *, resamples=199):
    """The comparisons, the marked ablation table and the table of differences."""
    found = compared_with_none(runs, expected, resamples=resamples)
    return found, marked(ablation_table(found.study), found), difference_table(found)


def marks(table, key=F1):
    return {(row.group, row.label) for row in table.rows if row.cell(key).mark == "*"}


def caption(*tables):
    return "\n".join(note for table in tables for note in table.notes)


def shown(table, backbone="atlop", augmenter="vae"):
    """The cells of a row: key -> mean, or why there is none."""
    (row,) = [row for row in table.rows if (row.group, row.label) == (backbone, augmenter)]
    return {key: cell.absent or cell.mean for key, cell in row.cells.items()}


VAE = {("atlop", "vae")}


# ---- p-values and families


def test_one_comparison_is_significant_by_the_exact_p(tmp_path):
    _, ablation, differences = examined(grid(tmp_path, {"vae": SIX}))
    row = shown(differences)
    assert row[F1] == pytest.approx(2.5) and row[f"{F1}.p"] == row[f"{F1}.p_holm"] == P_SIX
    assert row[f"{F1}.d_z"] == pytest.approx(2.5 / np.std(SIX, ddof=1))
    assert marks(ablation) == marks(differences) == VAE
    assert marks(ablation, "test.ltail_f1") == set() and row[f"{TAIL}.p"] == 1  # it does not move
    assert "`*`: significantly different from `none`, for better or worse" in caption(ablation)
    assert "Taken here: exact sign-flip permutation test." in caption(differences)
    assert "not the methods" not in caption(ablation, differences)  # nothing on single models


def test_holm_counts_all_that_is_declared_and_what_is_missing(tmp_path):
    runs = grid(tmp_path, {"vae": SIX, "gaussian": (1, 1, 1, 1, 1, -10)})
    runs += grid(tmp_path, {"vae": SIX}, backbone="kd_docre")
    names = ("none", "gaussian", "vae")
    expected = {(b, a): range(6) for b in ("atlop", "kd_docre") for a in names}
    found, ablation, differences = examined(runs, expected)
    adjusted = {cell: contrast.adjusted for cell, contrast in found.families["f1"].items()}
    # ascending 1/32, 1/32, 1, (missing: 1), times 4, 3, 2, 1, none smaller than the one before
    assert adjusted == {
        ("atlop", "gaussian"): 1,
        ("atlop", "vae"): 4 * P_SIX,
        ("kd_docre", "gaussian"): None,
        ("kd_docre", "vae"): 4 * P_SIX,
    }
    text = caption(ablation)
    assert marks(ablation) == set()
    assert "is significant, which takes p at most 0.05 (two-sided" in text
    assert "The p speaks of new seeds on these documents, the interval of new seeds and new" in text
    assert "all 4 comparisons" in text
    assert set(shown(differences, "kd_docre", "gaussian").values()) == {"missing"}
    assert "on this dataset, including those without a p (e.g. not run))" in text
    assert "Not run yet, and not shown: 1 of 4 rows: kd_docre (gaussian)." in differences.notes
    # 2 / 64 > .05 / 4: said once for all, and no word then of what a t-test would detect
    assert text.count("nothing can be significant, whatever the difference; it takes 8 seeds.") == 1
    assert "is found by a t-test" not in text


def test_the_tail_is_a_family_of_its_own(tmp_path):
    runs = grid(tmp_path, {"vae": [0] * 6}, tails={"vae": [-point for point in SIX]})
    _, ablation, differences = examined(runs)
    assert marks(ablation) == set() and marks(ablation, "test.ltail_f1") == VAE  # for worse
    row = shown(differences)
    assert row[TAIL] == pytest.approx(-2.5) and row[f"{TAIL}.p_holm"] == P_SIX
    assert row[f"{F1}.p"] == 1 and row[f"{F1}.d_z"] == "undefined"
    # documents and seeds that do not vary leave no width
    assert row[f"{F1}.low"] == pytest.approx(0) == row[f"{F1}.high"]


def test_normal_differences_get_the_t_test_and_the_caption_says_what_it_would_find(tmp_path):
    points = (0.5, 1.2, 0.8, 1.1, 0.9, 0.7, 1.4, 1.0)
    found, ablation, differences = examined(grid(tmp_path, {"vae": points}))
    p = found.families["f1"]["atlop", "vae"].test.p
    assert p == pytest.approx(ttest_1samp(points, 0).pvalue)
    taken = "exact sign-flip permutation test: atlop/vae (LTail F1); paired t-test: every other p."
    assert f"Taken here: {taken}" in caption(differences)
    assert "F1, at the median spread of the differences: With 8 seeds whose" in caption(ablation)
    assert "differences vary by 0.29 points (SD)" in caption(ablation)


def test_a_row_with_two_seeds_does_not_hide_what_the_others_would_find(tmp_path):
    points = (0.5, 1.2, 0.8, 1.1, 0.9, 0.7, 1.4, 1.0)
    tails = {"vae": points, "gaussian": (0.1, 0.9)}
    runs = grid(tmp_path, {"vae": points, "gaussian": (0.1, 0.9)}, tails=tails)
    _, ablation, _ = examined(runs)
    text = caption(ablation)
    assert "Where the permutation test was taken (atlop/gaussian): With 2 seeds" in text
    for score in ("F1", "LTail F1"):
        said = f"\n{score}, at the median spread of the differences: With 8 seeds whose differences"
        assert text.count(f"{said} vary by 0.29 points (SD)") == 1


def test_nothing_is_called_hopeless_that_holm_s_later_thresholds_let_pass(tmp_path):
    """2 / 2^6 lies above .05 / 2 and below .05, the threshold once the other has passed the first;
    where the other fails, nothing helps.
    """
    strong, weak = (2, 2.1, 1.9, 2.05, 1.95, 2.2), (-1, 1.2, 0.8, -0.9, 0.5, -0.7)
    said = "nothing can be significant, whatever the difference"
    for name, others, hopeless in (("strong", strong, False), ("weak", weak, True)):
        points = {"vae": SIX, "gaussian": others}
        runs = grid(tmp_path / name, points, tails=points)
        found, ablation, _ = examined(runs)
        assert found.first["atlop", "vae"].significant is not hopeless
        assert (said in caption(ablation)) is hopeless


def test_what_a_row_with_fewer_seeds_would_find_is_told_too(tmp_path):
    points = (0.5, 1.2, 0.8, 1.1, 0.9)
    _, ablation, _ = examined(grid(tmp_path, {"vae": points, "gaussian": (0.1, 0.9, 0.4)}))
    (note,) = [note for note in ablation.notes if note.startswith("F1, at the median spread")]
    # sd .274; d of .8 power at .025, two-sided, by the noncentral t: 2.05 (n = 5), 4.62 (n = 3)
    assert "a true difference of 0.56 points is found" in note
    assert note.endswith("At this spread it takes 1.27 points with 3 seeds.")


def test_without_a_p_are_those_with_one_seed_and_no_score_is_without_that_has_none(tmp_path):
    points = {"vae": (0.5, 1.2, 0.8), "gaussian": (0.6, 1.0, 0.7)}
    told = "including those without a p (e.g. not run)"
    runs = grid(tmp_path, points)
    assert told not in caption(examined(runs)[1])
    one = [run for run in runs if (run.augmenter, run.seed > 0) != ("gaussian", True)]
    assert told in caption(examined(one)[1])
    for stored in runs:  # a corpus without a tail: every F1 has its p
        stored.metrics["test"]["ltail_f1"] = None
    assert told not in caption(examined(runs)[1])


@pytest.mark.parametrize(
    ("p", "low", "high", "expected"),
    [(0.01, 0.1, 0.3, True), (0.01, -0.1, 0.3, False), (0.2, 0.1, 0.3, False)],
)
def test_the_mark_asks_for_a_small_p_and_an_interval_without_0(p, low, high, expected):
    interval = Interval("made up", 0.1, low, high, 0.95, seeds=5, documents=50)
    contrast = Contrast("atlop", "vae", "f1", Cell({0: 1.0}), interval, adjusted=p)
    assert contrast.significant is expected


# ---- intervals


def test_the_interval_is_the_crossed_one(tmp_path):
    runs = grid(tmp_path, {"vae": (1, 3, 2, 2.5, 0.5, 4)}, spread=60)
    interval = examined(runs, resamples=9999)[0].first["atlop", "vae"].interval
    spread = lambda run: 60 if run.augmenter == "none" else -60
    each = [counts(run.metrics["test"]["f1"], spread=spread(run)) for run in runs]
    tables = document_counts(each, MEASURES["f1"])
    direct = crossed_interval(
        tables[6:], tables[:6], MEASURES["f1"], rng=np.random.default_rng(7), resamples=9999
    )
    assert (interval.low, interval.high) == pytest.approx((direct.low, direct.high), abs=0.002)
    assert interval.high - interval.low > 0.05 and (interval.seeds, interval.documents) == (6, 10)


def test_other_cells_change_no_interval_and_twice_is_the_same(tmp_path):
    few = grid(tmp_path, {"vae": (1, 3, 2)}, spread=50)
    more = few + grid(tmp_path, {"vae": (4, 5, 6)}, backbone="kd_docre", spread=10)
    found = [examined(runs)[0].first["atlop", "vae"].interval for runs in (few, few, more)]
    assert found[0] == found[1] == found[2]


# ---- where something is missing


def test_one_seed_is_told_apart_from_significance(tmp_path):
    _, ablation, differences = examined(grid(tmp_path, {"vae": (5,)}, spread=10))
    assert marks(ablation) == set()
    sentence = "With 1 seed no test across seeds can be made: it takes at least two."
    assert ablation.notes[-1] == f"No difference is marked as significant. {sentence}"
    row, text = shown(differences), caption(differences)
    assert row[f"{F1}.low"] < 5 < row[f"{F1}.high"]
    assert row[f"{F1}.p"] == row[f"{F1}.p_holm"] == "undefined"
    assert "interval, bootstrap over documents (" in text and "not the methods" in text


def test_a_warning_names_the_numbers_of_seeds_it_is_about(tmp_path):
    given = {"vae": (1, 2, 3, 5), "mixup": (1, 2, 3), "gaussian": (1, 2), "flow": (1,)}
    text = caption(examined(grid(tmp_path, given))[2])
    assert "Intervals over 1 seed: the interval holds" in text
    assert "Intervals over 2, 3 or 4 seeds: 10 seeds or fewer show" in text


def test_seeds_that_one_side_lacks_are_left_out_and_named(tmp_path):
    runs = grid(tmp_path, {"vae": SIX})
    lacking = [stored for stored in runs if (stored.augmenter, stored.seed) != ("none", 5)]
    expected = {("atlop", name): range(6) for name in ("none", "vae")}
    found, _, differences = examined(lacking, expected)
    contrast = found.families["f1"]["atlop", "vae"]
    assert contrast.difference.values == pytest.approx(dict.fromkeys(range(5), 1))
    assert contrast.interval.seeds == 5 and differences.rows[0].coverage == "5/6"
    assert "Seeds such as 2/5: the row averages over two of the five" in caption(differences)


def test_a_run_without_a_seed_of_none_is_not_said_to_be_missing(tmp_path):
    runs = grid(tmp_path, {"vae": SIX, "copies": SIX, "gaussian": SIX})
    lacking = [
        stored
        for stored in runs
        if stored.augmenter != "gaussian" and (stored.augmenter == "copies") == (stored.seed > 3)
    ]
    expected = {("atlop", name): range(6) for name in ("none", "vae", "copies", "gaussian")}
    _, _, differences = examined(lacking, expected)
    assert [row.label for row in differences.rows if row.visible] == ["vae"]
    assert "Not run yet, and not shown: 1 of 2 rows: atlop (gaussian)." in differences.notes
    told = "Run, but not shown, since they share no seed with `none`: atlop/copies."
    assert told in differences.notes


def test_runs_without_counts_have_p_values_but_no_intervals_and_no_mark(tmp_path):
    runs = [run(tmp_path, "none", seed, 0.5) for seed in range(6)]
    runs += [run(tmp_path, "vae", seed, 0.5 + point / 100) for seed, point in enumerate(SIX)]
    for stored in runs:
        write(stored)
    _, ablation, differences = examined(runs)
    row = shown(differences)
    assert row[f"{F1}.p"] == P_SIX and row[f"{F1}.low"] == "undefined"
    assert marks(ablation) == set()
    assert "No intervals with any run: there is no counts_test.json." in differences.notes


@pytest.mark.parametrize(
    "content, reason",
    [
        (None, "changed after the run was done"),
        (counts(0.51, documents=9), "has other documents or gold facts than the other runs"),
    ],
)
def test_counts_that_cannot_be_trusted_are_named(tmp_path, content, reason):
    runs = grid(tmp_path, {"vae": (1, 1), "copies": (2, 2)})
    bad = next(stored for stored in runs if (stored.augmenter, stored.seed) == ("vae", 1))
    if content:
        (bad.path / "DONE").unlink()
        write(bad, files={"counts_test.json": content.to_json()})
    else:
        (bad.path / "counts_test.json").write_text("{}")
    found, _, differences = examined(runs)
    (note,) = [note for note in differences.notes if note.startswith("No intervals")]
    assert "atlop/vae (seed 1)" in note and reason in note
    assert {c.augmenter for c in found.first.values() if c.interval} == {"copies"}


def test_without_frequent_relations_there_is_no_second_family(tmp_path):
    runs = [run(tmp_path, name, seed, 0.5) for name in ("none", "vae") for seed in (0, 1)]
    only = vars(counts(0.5))
    groups = {name: only["groups"][name] for name in ("all", "intra", "inter")}
    for stored in runs:
        stored.metrics["test"]["ltail_f1"] = None
        write(stored, files={"counts_test.json": Counts(**only | {"groups": groups}).to_json()})
    found, _, differences = examined(runs)
    assert {column.heading for column in differences.columns} == {"test F1"}
    assert found.first["atlop", "vae"].interval


def test_without_augmenters_nothing_is_added(tmp_path):
    found = compared_with_none([counted(tmp_path, "none", 0, 0.5)])
    table = ablation_table(found.study)
    assert not found and marked(table, found) == table


def test_a_small_p_beside_an_interval_with_0_is_not_called_large(tmp_path):
    found, ablation, differences = examined(grid(tmp_path, {"vae": SIX}, spread=300))
    contrast = found.first["atlop", "vae"]
    assert contrast.adjusted == P_SIX and contrast.bounds[0] < 0 < contrast.bounds[1]
    (note,) = [note for note in ablation.notes if note.startswith("No difference to `none`")]
    assert "is significant, which takes p at most 0.05 (" in note
    assert "and an interval over seeds and documents that excludes 0." in note


def test_average_precision_without_an_interval_has_no_mark_and_the_captions_say_why(tmp_path):
    runs = grid(tmp_path, {"vae": SIX})
    for stored in runs:
        test = stored.metrics["test"]
        precision = dict.fromkeys(("all", "frequent", "tail"), test["f1"])
        test |= {"calibrated": {"f1": 0.5, "ltail_f1": 0.5}, "average_precision": precision}
    plain = compared_with_none(runs)
    found = calibrated_significance(plain.study, plain.evidence)
    assert found.families["ap.all"]["atlop", "vae"].adjusted == P_SIX
    table = marked(ablation_table(found.study, CALIBRATED), found)
    assert marks(table, "ap.all.difference") == set()
    assert "(average precision has none, and so no mark)" in caption(table)
    assert "which has no interval and so no mark" in caption(difference_table(found))
    assert "average precision" not in caption(marked(ablation_table(found.study), plain))


def test_too_few_seeds_are_told_for_each_number_of_seeds(tmp_path):
    few = {"vae": (1, 1, 1, 1, 10), "copies": (2, 9)}
    _, _, differences = examined(grid(tmp_path, few))
    notes = [note for note in differences.notes if "nothing can be significant" in note]
    for n, name in {5: "atlop/vae", 2: "atlop/copies"}.items():
        (note,) = [note for note in notes if f"With {n} seeds" in note]
        assert f" was taken ({name}): " in note


def test_a_model_from_the_warm_up_is_marked_in_the_table_of_differences_too(tmp_path):
    runs = grid(tmp_path, {"vae": (0, 1), "copies": (1, 2)})
    for stored in runs:
        stored.config["augment"] = {"warmup_epochs": 2}
        stored.metrics["best_epoch"] = 2 + (stored.augmenter == "copies")
    _, ablation, differences = examined(runs)
    for table in (ablation, differences):
        of_row = {row.label: row.cell(F1).mark for row in table.rows}
        assert of_row["vae"] == "†" and of_row["copies"] == ""
        assert "scored model: atlop/vae (seed 0, epoch 2), atlop/vae" in caption(table)


# ---- the best control


def with_controls(folder, *, calibrated=True):
    """`vae` against the control `copies`, which has the higher dev F1 of two: +1, +1, +1, +1, +1
    and +10 points F1, -2 LTail F1; calibrated +3 and -1; average precision +4, of the tail +5.
    """
    runs, above = [], {"none": 0, "class_balanced": 1, "copies": 2, "vae": 2}
    for seed, point in enumerate(SIX):
        for name, base in above.items():
            vae, base = name == "vae", 0.5 + base / 100
            stored = run(folder, name, seed, base + vae * point / 100)
            test, tail = stored.metrics["test"], base - 0.02 * vae
            test["ltail_f1"] = tail
            files = {"counts_test.json": counts(test["f1"], tail).to_json()}
            if calibrated:
                f1, tail = base + 0.03 * vae, base - 0.01 * vae
                test["calibrated"] = {"f1": f1, "ltail_f1": tail}
                precision = {"all": 4, "frequent": 9, "tail": 5}
                precision = {key: 0.3 + vae * points / 100 for key, points in precision.items()}
                test["average_precision"] = precision
                files["counts_test_calibrated.json"] = counts(f1, tail).to_json()
            write(stored, files=files)
            runs.append(stored)
    return runs


def test_the_difference_to_the_best_control_on_every_score(tmp_path):
    plain = compared_with_none(with_controls(tmp_path))
    found = to_controls(plain.study, plain.evidence)
    table = difference_table(found)
    assert table.title == "demo: toy, difference to the best control"
    assert [row.shown_label for row in table.rows] == ["class_balanced (control)", "vae"]
    row = shown(table)
    scores = {"test.f1": 2.5, "test.ltail_f1": -2, "calibrated.f1": 3, "calibrated.ltail_f1": -1}
    scores |= {"ap.all": 4, "ap.tail": 5}
    for score, difference in scores.items():
        key = f"{score}.to_control"
        assert row[key] == pytest.approx(difference) and row[f"{key}.p"] == P_SIX
        ends = [row[f"{key}.low"], row[f"{key}.high"]]
        if score.startswith("ap."):
            assert ends == ["undefined"] * 2
        elif score != "test.f1":  # neither seeds nor documents vary
            assert ends == pytest.approx([difference] * 2)
    assert 1 <= row["test.f1.to_control.low"] < 2.5 < row["test.f1.to_control.high"] <= 10
    assert len(row) == len(table.columns) == 4 * len(scores)  # no p (Holm), no d_z
    assert shown(table, augmenter="class_balanced")["test.f1.to_control"] == pytest.approx(-1)
    text = caption(table)
    told = "minus the best control, the one with the highest mean dev F1 of those with the most"
    assert f"{told} seeds: `copies` (atlop), with the same backbone" in text
    assert "p is not corrected" in text and "n/a: average precision has no interval." in text
    assert not any(cell.mark for row in table.rows for cell in row.cells.values())
    assert not any(word in text for word in ("Holm)", "d_z", "confirmatory"))


def test_an_older_run_takes_its_seed_alone_from_the_calibrated_differences_to_the_control(tmp_path):
    runs = with_controls(tmp_path)
    older = next(s for s in runs if (s.augmenter, s.seed) == ("vae", 0))
    del older.metrics["test"]["calibrated"], older.metrics["test"]["average_precision"]
    plain = compared_with_none(runs)
    table = difference_table(to_controls(plain.study, plain.evidence))
    (row,) = [row for row in table.rows if row.label == "vae"]
    assert row.cell("test.f1.to_control").n == 6
    assert list(row.cell("calibrated.f1.to_control").values) == [1, 2, 3, 4, 5]
    assert "have no calibrated scores and average precision: atlop/vae (seed 0)." in caption(table)


def test_without_a_pair_with_a_control_there_is_no_table_of_it(tmp_path):
    runs = with_controls(tmp_path, calibrated=False)
    made = lambda runs: to_controls((found := compared_with_none(runs)).study, found.evidence)
    columns = difference_table(made(runs)).columns  # older runs have the plain scores alone
    assert {column.heading for column in columns} == {"test F1", "test LTail F1"}
    one = difference_table(made([stored for stored in runs if stored.seed == 0]))
    assert "n/a: with one seed there is no p." in one.notes
    assert made([stored for stored in runs if stored.augmenter in ("none", "vae")]) is None
    assert made([stored for stored in runs if stored.augmenter in ("none", "copies")]) is None
    apart = [s for s in runs if s.augmenter == "none" or (s.augmenter == "vae") == (s.seed < 3)]
    apart = [stored for stored in apart if stored.augmenter != "class_balanced"]
    assert made(apart) is None


# ---- every renderer


def test_marks_in_every_renderer(tmp_path):
    tables = examined(grid(tmp_path, {"vae": SIX}))[1:]
    text = markdown(tables)
    assert "+2.50 ± 3.67\\* |" in text and "| 0.0312 | 0.0312 | +0.68 |" in text
    assert r"$+$2.50 {\scriptsize$\pm$\,3.67}\rlap{\textsuperscript{*}}" in latex(tables)
    parsed = Parsed(html_document(tables, "<title>").replace("<!DOCTYPE html>", ""))
    assert [text for _, text in parsed.of("sup")] == ["*", "*"] and not parsed.of("script")
    assert parsed.of("title")[0][1] == "<title>"
    lines = list(csv.DictReader(io.StringIO(csv_text(tables))))
    of_table = {(line["table"], line["score"]): line for line in lines}
    assert of_table["demo: toy", F1]["mark"] == "*"
    assert not any(line["mark"] for line in lines if line["score"].startswith("dev"))
    (p,) = [line for line in lines if line["score"] == f"{F1}.p"]
    assert float(p["mean"]) == P_SIX and p["n"] == "6" and p["sd"] == p["seed 0"] == ""


def test_a_small_p_is_smaller_than_not_zero(tmp_path):
    points = np.round(10 + np.random.default_rng(0).standard_normal(12), 1)
    _, _, differences = examined(grid(tmp_path, {"vae": points}))
    assert shown(differences)[f"{F1}.p"] < 1e-6 and "| < 0.0001 |" in markdown([differences])
    assert "$<$ 0.0001" in latex([differences]) and "&lt; 0.0001" in html([differences])


def test_one_comparison_is_not_called_several_and_what_is_not_available_has_its_reason(tmp_path):
    runs = scored(tmp_path, "none", (0.5, 0.5)) + scored(tmp_path, "vae", (0.6, 0.6))
    notes = " ".join(difference_table(compared_with_none(runs)).notes)
    assert "corrected over the one comparison of the experiment" in notes
    assert "n/a: d_z is undefined where the differences do not vary." in notes
    one_seed = compared_with_none([stored for stored in runs if stored.seed == 0])
    assert "n/a: with one seed there is no p and no d_z." in difference_table(one_seed).notes
    for stored in runs:
        calibrated, f1 = dict(stored.metrics["test"]), stored.metrics["test"]["f1"]
        precision = {"all": f1, "frequent": f1, "tail": f1}
        stored.metrics["test"] |= {"calibrated": calibrated, "average_precision": precision}
    found = compared_with_none(runs)
    further = difference_table(calibrated_significance(found.study, found.evidence))
    assert any("average precision has no interval" in note for note in further.notes)
    assert not any("see above" in note for note in further.notes)
