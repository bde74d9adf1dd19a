"""What several settings show together: augmenters across them, and both protocols."""

from dataclasses import replace

import pytest
from stored_runs import compared_with_none, counted, scored

from benchmark.config import AugmentConfig
from benchmark.reports.settings import across_sentence, across_settings, protocols_sentence


def test_across_settings_by_hand(tmp_path):
    """vae: +10 in six seeds but for noise (p < .025), and -1 with one seed, which has no p."""
    runs = scored(tmp_path, "none", (0.40,) * 6)
    runs += scored(tmp_path, "vae", (0.51, 0.49, 0.50, 0.52, 0.48, 0.50))
    other = scored(tmp_path, "none", (0.40,), dataset="b", experiment="b")
    other += scored(tmp_path, "vae", (0.39,), dataset="b", experiment="b")
    found = [compared_with_none(runs), compared_with_none(other)]
    table = across_settings(found)
    (row,) = table.rows
    assert [cell.mean for cell in row.cells.values()] == pytest.approx([2, 4.5, 1, 1, 1])
    assert [column.key for column in table.columns][1:3] == ["mean", "better"]
    assert across_settings(found[:1]) is None
    # twelve documents that say opposite things: a small p, and an interval that includes 0
    wide = scored(tmp_path, "none", (0.40,) * 6, experiment="c")
    wide += scored(
        tmp_path, "vae", (0.51, 0.49, 0.50, 0.52, 0.48, 0.50), experiment="c", spread=400
    )
    (contrast,) = compared_with_none(wide).first.values()
    assert contrast.test.p < 0.01 and not contrast.excludes_zero
    (row,) = across_settings([compared_with_none(wide), found[1]]).rows
    assert row.cells["k_hat"].mean == 0


def test_runs_that_two_experiments_hold_are_one_setting(tmp_path):
    """Of the two the one with more seeds speaks; other options make another setting."""
    f1 = (0.51, 0.49, 0.50, 0.52, 0.48, 0.50)
    found = [
        compared_with_none(
            scored(tmp_path, "none", (0.40,) * len(f1), experiment=name)
            + scored(tmp_path, "vae", f1, experiment=name)
        )
        for name, f1 in (("a", f1[:3]), ("b", f1), ("c", f1[:2]))
    ]
    assert across_settings(found) is None
    for number, augment in enumerate(({}, AugmentConfig().model_dump(mode="json"), {})):
        for run in found[number].study.runs:  # {}: made before those keys came
            run.config["augment"] = augment
    assert across_settings(found) is None
    for run in found[2].study.runs:
        run.config["train"] = {"epochs": 7}
    (row,) = across_settings(found).rows
    assert [row.cells[key].mean for key in ("settings", "mean")] == pytest.approx([2, 10])
    assert len(row.seeds) == 6


def test_k_hat_speaks_of_augmenters_tested_in_several_settings(tmp_path):
    gains = {"none": 0.0, "copies": 0.02, "gaussian": 0.05, "vae": -0.03}
    runs = [
        counted(tmp_path, augmenter, seed, 0.5 + gain, spread=10 + seed)
        for seed in range(6)
        for augmenter, gain in gains.items()
    ]
    plain = compared_with_none(runs)
    assert across_sentence(across_settings([plain])) == []
    assert across_sentence(across_settings([plain, plain])) == []  # the same runs twice
    longer = [replace(run, config={**run.config, "train": {"epochs": 7}}) for run in runs]
    (sentence,) = across_sentence(across_settings([plain, compared_with_none(longer)]))
    assert "`gaussian` in at least" in sentence and "of 2" in sentence


def under(protocol, gains, tmp_path):
    runs = [
        counted(tmp_path, augmenter, seed, 0.5 + gain, experiment=f"demo_{protocol}")
        for seed in (0, 1)
        for augmenter, gain in {"none": 0.0, **gains}.items()
    ]
    for run in runs:
        run.config["augment"] = {"stage3": protocol}
        if protocol == "retrain":  # made later, when there was one more key, with its default
            run.config["train"] = {"epochs": 3, "schedule": "linear"}
    return compared_with_none(runs)


def test_the_leaderboard_says_how_well_the_cheap_protocol_predicts_the_papers(tmp_path):
    head = under("head", {"copies": 0.03, "gaussian": 0.05, "vae": -0.03}, tmp_path)
    whole = under("retrain", {"copies": 0.03, "gaussian": 0.02, "vae": -0.02}, tmp_path)
    (sentence,) = protocols_sentence([head, whole])
    assert "over 3 cells" in sentence
    assert "is +0.50, and they are 1.33 points apart" in sentence  # (0 + 3 + 1) / 3
    two = under("retrain", {"copies": 0.02, "gaussian": 0.04}, tmp_path / "two")
    (sentence,) = protocols_sentence([head, two])
    assert "over 2 cells" in sentence and "is undefined, and they are 1.00 points" in sentence
    assert protocols_sentence([head]) == []
    alone = under("retrain", {"copies": 0.03}, tmp_path / "alone")
    assert protocols_sentence([head, alone]) == []


def test_the_protocols_are_compared_over_equal_backbones_and_the_most_seeds(tmp_path):
    head = under("head", {"copies": 0.03, "gaussian": 0.05}, tmp_path)
    whole = under("retrain", {"copies": 0.03, "gaussian": 0.05}, tmp_path)
    one_seed = [
        counted(tmp_path, name, 0, f1, experiment="further")
        for name, f1 in {"none": 0.5, "copies": 0.6}.items()
    ]
    for run in one_seed:
        run.config["train"] = {"epochs": 3, "schedule": "linear"}
    (sentence,) = protocols_sentence([head, whole, compared_with_none(one_seed)])
    assert "over 2 cells" in sentence and "they are 0.00 points apart" in sentence
    for key, value in (("augment", {"copies": 8}), ("backbone", {"options": {"emb_size": 384}})):
        other = under("retrain", {"copies": 0.03, "gaussian": 0.05}, tmp_path / key)
        for run in other.study.runs:
            run.config[key] |= value
        assert protocols_sentence([head, other]) == []
