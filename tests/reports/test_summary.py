"""The sentences at the head of a report, against numbers that are known."""

from dataclasses import replace

import pytest
from stored_runs import boards_of, compared_with_none, counted, scores

from benchmark.reports.ablation import CALIBRATED, TO_CONTROL, ablation_table
from benchmark.reports.difference_table import difference_table
from benchmark.reports.leaderboard import board_table
from benchmark.reports.render.html import html
from benchmark.reports.render.page import page
from benchmark.reports.render.text import markdown
from benchmark.reports.significance import calibrated_significance
from benchmark.reports.study import Study
from benchmark.reports.summary import summary

GAINS = {"none": 0.0, "copies": 0.02, "gaussian": 0.05, "vae": -0.03}


@pytest.fixture
def runs(tmp_path):
    return [
        counted(tmp_path, augmenter, seed, 0.5 + gain, spread=10 + seed)
        for seed in range(6)
        for augmenter, gain in GAINS.items()
    ]


def said(runs):
    return summary(compared_with_none(runs), None)


def test_the_best_augmenter_is_named_with_its_gain_over_none_and_over_the_best_control(runs):
    (paragraph,) = said(runs)
    assert "6 seeds" in paragraph and "of 2 augmenters `gaussian` gains most on dev" in paragraph
    assert "differs from `none` by +5.00 F1" in paragraph
    # six equal differences: p = 2 / 2^6, by the permutation test
    expected = "Against the best control on dev, `copies`: +3.00 F1 [+3.00, +3.00] (p = 0.031, unc"
    assert expected in paragraph, paragraph


def test_a_difference_to_the_best_control_within_noise_is_not_significant(tmp_path):
    runs = [
        counted(tmp_path, name, seed, f1 + (name == "vae") * (-1) ** seed / 50)
        for seed in range(6)
        for name, f1 in (("none", 0.4), ("copies", 0.5), ("vae", 0.5))
    ]
    (paragraph,) = said(runs)
    assert "`copies`: +0.00 F1 [" in paragraph and paragraph.endswith(" not significant).")
    (one_seed,) = said([run for run in runs if run.seed == 0])
    assert one_seed.endswith("(one seed: no test across seeds).")


@pytest.mark.parametrize(
    ("tail", "head", "told"),
    [
        (0.03, 0.01, "On average the tail of the distribution gains more than its head (LTail"),
        (0.01, 0.03, "the head of the distribution gains more than its tail"),
        (0.02, 0.02, "gain alike"),
        (0.02, -0.01, "the tail of the distribution gains, its head does not (LTail F1 +2.00, Fr"),
        (0.0, -0.01, "neither the tail nor the head of the distribution gains"),
        (None, 0.01, ""),
    ],
)
def test_the_summary_says_whether_the_tail_or_the_head_gains(tmp_path, tail, head, told):
    none, vae = (counted(tmp_path, name, 0, 0.5) for name in ("none", "vae"))
    ends = {"ltail_f1": None if tail is None else 0.5 + tail, "freq_f1": 0.5 + head}
    vae.metrics["test"] |= ends
    (paragraph,) = said([none, vae])
    assert told in paragraph and ("distribution" in paragraph) == bool(told)


def learnt(tmp_path, dev, silent=()):
    """Runs of seeds 0 and 1 with this F1 on dev by augmenter; 0 with the pairs in `silent`."""
    found = [counted(tmp_path, name, s, f1, tail=f1) for name, f1 in dev.items() for s in (0, 1)]
    for stored in found:
        f1 = dev[stored.augmenter]
        stored.metrics["dev"]["f1"] = 0.0 if (stored.augmenter, stored.seed) in silent else f1
    return found


@pytest.mark.parametrize(
    ("dev", "told"),
    [
        (
            {"none": 0.0, "gaussian": 0.1, "vae": 0.0},
            "`none` predicts no correct fact on dev in any epoch, so differences to it mean noth",
        ),
        (
            {"none": 0.0, "gaussian": 0.0},
            "no run predicts a correct fact on dev in any epoch, so there is nothing to compare:",
        ),
        ({"none": 0.0}, "`none` predicts no correct fact on dev in any epoch: train longer"),
    ],
)
def test_nothing_is_praised_where_none_has_learnt_nothing(tmp_path, dev, told):
    runs = learnt(tmp_path, dev)
    (paragraph,) = said(runs)
    assert paragraph.startswith("`atlop` on toy (the whole model trained anew, 2 seeds): ")
    assert told in paragraph and "gain" not in paragraph and "%" not in paragraph
    for run in runs:
        f1 = run.metrics["test"]["f1"]
        precision = {"all": f1, "frequent": f1, "tail": f1}
        run.metrics["test"] |= {"calibrated": scores(f1), "average_precision": precision}
    caption = " ".join(ablation_table(Study.of(runs), CALIBRATED).notes)
    assert "learning" not in caption and "differences to it mean nothing" in caption


def test_a_seed_with_which_none_has_learnt_nothing_is_named(tmp_path):
    runs = learnt(tmp_path, {"none": 0.1, "gaussian": 0.2}, silent=[("none", 1)])
    (paragraph,) = said(runs)
    assert "With seed 1 `none` predicts no correct fact on dev" in paragraph
    assert "`gaussian` is the only augmenter" in paragraph


def test_average_precision_is_not_said_to_have_a_threshold(runs):
    for run in runs:
        f1 = run.metrics["test"]["f1"]
        precision = {"all": f1, "frequent": f1, "tail": f1 / 2}
        left = scores(f1 - 0.02 * (run.augmenter == "gaussian"))
        run.metrics["test"] |= {"calibrated": left, "average_precision": precision}
    plain = compared_with_none(runs)
    (paragraph,) = summary(plain, calibrated_significance(plain.study, plain.evidence))
    assert paragraph.endswith("uncorrected, significant); with one tuned threshold +1.00 F1.")
    assert (
        "With one threshold tuned on dev for both, what is left is +3.00 F1, +3.00 LTail F1; "
        "average precision of the tail, which has no threshold: +2.50."
    ) in paragraph


def test_the_augmenter_that_loses_least_does_not_gain(runs):
    (paragraph,) = said([run for run in runs if run.augmenter in ("none", "vae")])
    assert "`vae` is the only augmenter" in paragraph
    worse = [replace(run, metrics=run.metrics | {"dev": scores(0.1)}) for run in runs]
    worse = [run for run in worse if run.augmenter != "none"]
    (paragraph,) = said([*worse, *(run for run in runs if run.augmenter == "none")])
    assert "of 2 augmenters `gaussian` does best on dev." in paragraph


def test_a_lucky_single_seed_does_not_lead(runs, tmp_path):
    lucky = counted(tmp_path, "mixup", 0, 0.9)
    (paragraph,) = said([*runs, lucky])
    assert "of 2 augmenters with 6 seeds `gaussian` gains most on dev." in paragraph
    (paragraph,) = said([lucky, *(run for run in runs if run.augmenter != "vae")])
    assert "`gaussian` is the only augmenter that has run with 6 seeds." in paragraph


@pytest.mark.parametrize(
    ("early", "told"),
    [(range(6), "With every seed the"), ([1, 4], "With seeds 1, 4 the"), ([], "")],
)
def test_models_from_before_augmentation_are_told(runs, early, told):
    for run in runs:
        run.config["augment"] = {"warmup_epochs": 2}
        run.metrics["best_epoch"] = 2 if run.seed in early else 3
    (paragraph,) = said(runs)
    told = told and f"{told} best epoch on dev came before augmentation began, so `gaussian` had"
    assert told in paragraph and ("augmentation began" in paragraph) == bool(told)


def test_seeds_that_have_calibrated_scores_are_told_where_older_runs_have_none(runs):
    for run in runs:
        f1 = run.metrics["test"]["f1"]
        precision = dict.fromkeys(("all", "frequent", "tail"), f1)
        if run.seed > 1 or run.augmenter == "gaussian":
            run.metrics["test"] |= {"calibrated": scores(f1), "average_precision": precision}
    plain = compared_with_none(runs)
    text = lambda: summary(plain, calibrated_significance(plain.study, plain.evidence))[0]
    assert "for both (seeds 2, 3, 4, 5 alone), what is left is +5.00 F1" in text()
    assert text().endswith("with one tuned threshold (seeds 2, 3, 4, 5 alone) +3.00 F1.")
    for run in runs:
        if run.augmenter == "gaussian":
            del run.metrics["test"]["calibrated"]
    assert "threshold" not in text()


def test_controls_are_no_augmenters_of_the_summary(runs):
    (paragraph,) = said([run for run in runs if run.augmenter != "copies"])
    assert "No control has run" in paragraph
    only_controls = [run for run in runs if run.augmenter in ("none", "copies")]
    assert said(only_controls) == []


def test_the_table_has_a_column_for_the_best_control(runs):
    study = Study.of(runs)
    assert study.best_controls == {"atlop": "copies"}
    table = ablation_table(study)
    assert table.columns[-1] == TO_CONTROL
    last = {row.label: row.cell(TO_CONTROL.key).mean for row in table.rows}
    assert last["gaussian"] == pytest.approx(3.0) and last["vae"] == pytest.approx(-5.0)
    assert last["none"] is None and last["copies"] is None


def test_tables_and_the_leaderboard_show_controls_as_a_kind_of_their_own(runs):
    found, (board,) = compared_with_none(runs), boards_of(runs)
    tables = ablation_table(found.study), difference_table(found), board_table(board)
    texts = [*(markdown([table]) for table in tables), html(tables), page([board])]
    for text in texts:
        assert "copies (control)" in text
        assert text.count("(control)") == text.count("copies (control)")
