"""The script that chooses hyper-parameters on dev."""

import importlib.util
from pathlib import Path

import pytest
from stored_runs import run, scores, write

from benchmark.config import read_experiment

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def tuning():
    spec = importlib.util.spec_from_file_location("tuning", ROOT / "docs/results/tuning.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


CHOSEN = {"logit_adjustment": 0.25, "mixup": 0.4}  # results/small/README.md


def test_the_experiment_files_have_what_was_chosen_and_the_defaults_else(tuning):
    for name in ("redocred_400", "biored_400", "dwie_389"):
        experiment = read_experiment(ROOT / f"configs/small/{name}.yaml")
        options = {choice.name: choice.options for choice in experiment.augmenters}
        assert tuning.SEED not in experiment.seeds  # it is not reported
        for augmenter, (key, values) in tuning.GRID.items():
            value = experiment.augment.copies if "." in key else options[augmenter][key]
            assert value == CHOSEN.get(augmenter, values[0])
            assert value in values and len(set(values)) == 3


@pytest.mark.parametrize(
    ("f1", "expected"), [((0.56, 0.57, 0.55), 2), ((0.56, 0.564, 0.55), 1), ((0.5, 0.51, 0.52), 4)]
)
def test_only_a_clear_gain_replaces_the_default(tuning, f1, expected):
    values = (1, 2, 4)
    assert tuning.chosen(dict(zip(values, f1, strict=True)), values) == expected
    assert tuning.chosen(dict(zip(values, f1[:2], strict=False)), values) is None


def test_the_table_has_what_ran_in_the_cheap_protocol(tuning, tmp_path):
    for folder, augmenter, experiment, f1 in (
        ("none", "none", "demo", 0.90),  # stage 1
        ("none", "none", "demo_head", 0.40),
        ("smote neighbours=5", "none", "demo_head", 0.40),
        ("smote neighbours=5", "smote", "demo_head", 0.41),
        ("smote neighbours=20", "smote", "demo_head", 0.42),
        ("gaussian scale=0.1", "gaussian", "demo_head", 0.45),
        ("gaussian scale=0.03", "gaussian", "demo_head", 0.46),
        ("gaussian scale=0.3", "gaussian", "demo_head", 0.44),
    ):
        precision = {"all": f1 + 0.1, "tail": f1 + 0.2}
        dev = scores(f1) | {"calibrated": scores(f1 + 0.01), "average_precision": precision}
        write(run(tmp_path / folder, augmenter, 100, 0.1, experiment=experiment, dev=dev))
    assert tuning.table(tmp_path).splitlines()[2:] == [
        "| `none` |  | 40.00 | 40.00 | 41.00 | 41.00 | 50.00 | 60.00 |",
        "| `gaussian` | `scale` 0.1 (default) | 45.00 | 45.00 | 46.00 | 46.00 | 55.00 | 65.00 |",
        "| `gaussian` | `scale` 0.03 (chosen) | 46.00 | 46.00 | 47.00 | 47.00 | 56.00 | 66.00 |",
        "| `gaussian` | `scale` 0.3 | 44.00 | 44.00 | 45.00 | 45.00 | 54.00 | 64.00 |",
        "| `smote` | `neighbours` 5 (default) | 41.00 | 41.00 | 42.00 | 42.00 | 51.00 | 61.00 |",
        "| `smote` | `neighbours` 20 | 42.00 | 42.00 | 43.00 | 43.00 | 52.00 | 62.00 |",
    ]
