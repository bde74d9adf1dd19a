"""The sentences at the head of a report, against numbers that are known."""

import pytest
from stored_runs import counted

from benchmark.reports.ablation import TO_CONTROL, ablation_table
from benchmark.reports.board_table import across_sentence, across_settings
from benchmark.reports.cells import best_control, expected_of, has_calibrated
from benchmark.reports.evidence import Evidence
from benchmark.reports.significance import FURTHER, significance
from benchmark.reports.summary import summary
from benchmark.store.runs import find_runs

GAINS = {"none": 0.0, "copies": 0.02, "gaussian": 0.05, "vae": -0.03}


@pytest.fixture
def runs(tmp_path):
    for seed in range(6):
        for augmenter, gain in GAINS.items():
            counted(tmp_path, augmenter, seed, 0.5 + gain, spread=10 + seed)
    return [found.read() for found in find_runs(tmp_path)]


def said(runs):
    evidence = Evidence(runs)
    plain = significance(runs, expected_of(runs), evidence)
    further = None
    if has_calibrated(runs):
        further = significance(runs, expected_of(runs), evidence, FURTHER)
    return summary(runs, plain, further, evidence), plain


def test_the_best_augmenter_is_named_with_its_gain_over_none_and_over_the_best_control(runs):
    (paragraph,), _ = said(runs)
    assert "6 seeds" in paragraph and "of 2 augmenters `gaussian` gains most on dev" in paragraph
    assert "differs from `none` by +5.00 F1" in paragraph
    assert "Against the best control on dev, `copies`: +3.00 F1" in paragraph


def test_controls_are_no_augmenters_of_the_summary(runs):
    (paragraph,), _ = said([run for run in runs if run.augmenter != "copies"])
    assert "No control has run" in paragraph
    only_controls = [run for run in runs if run.augmenter in ("none", "copies")]
    assert said(only_controls)[0] == []


def test_k_hat_speaks_of_augmenters_tested_in_several_settings(runs):
    _, plain = said(runs)
    assert across_sentence(across_settings([plain])) == []
    (sentence,) = across_sentence(across_settings([plain, plain]))
    assert "`gaussian` in at least" in sentence and "of 2" in sentence


def test_the_table_has_a_column_for_the_best_control(runs):
    table = ablation_table(runs)
    assert table.columns[-1] == TO_CONTROL
    last = {row.label: row.cells[-1].mean for row in table.rows}
    assert last["gaussian"] == pytest.approx(3.0) and last["vae"] == pytest.approx(-5.0)
    assert last["none"] is None and last["copies"] is None


def test_the_best_control_is_chosen_on_dev(runs):
    cells = {}
    for run in runs:
        cells.setdefault((run.backbone, run.augmenter), {})[run.seed] = run
    assert best_control("atlop", cells) == "copies"
    assert best_control("unknown", cells) is None
