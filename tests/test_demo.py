"""The demo as a user runs it (`make test-long`): what it must reach, and that a SIGKILL at any
moment costs nothing.
"""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COMMAND = [sys.executable, "run_benchmark.py", "run", "configs/demo.yaml"]

pytestmark = pytest.mark.long


def run(results, *options, timeout=None):
    """The process's exit code, or None when it was killed after `timeout` seconds."""
    arguments, silent = [*COMMAND, "--results", str(results), *options], subprocess.DEVNULL
    process = subprocess.Popen(arguments, cwd=ROOT, stdout=silent, stderr=silent)
    try:
        return process.wait(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return None


def metrics(results, backbone, augmenter):
    file = results / "demo" / backbone / augmenter / "seed-0" / "metrics.json"
    return json.loads(file.read_text())


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    results = tmp_path_factory.mktemp("uninterrupted")
    assert run(results, "--seeds", "0", "--augmenters", "none") == 0
    assert run(results, "--seeds", "0", "--backbones", "atlop") == 0
    return results


@pytest.mark.parametrize("backbone", ["baseline", "kd_docre", "atlop"])
def test_every_backbone_learns_and_the_tail_is_harder(uninterrupted, backbone):
    test = metrics(uninterrupted, backbone, "none")["test"]
    assert 0.70 <= test["f1"] <= 0.95
    assert test["ltail_f1"] <= test["freq_f1"] - 0.05


def test_killed_and_started_again_it_ends_in_the_same_table(uninterrupted, tmp_path):
    options = ("--seeds", "0", "--backbones", "atlop")
    rng = random.Random(0)
    killed = sum(run(tmp_path, *options, timeout=rng.uniform(8, 20)) is None for _ in range(4))
    assert killed > 0
    assert run(tmp_path, *options) == 0
    folders = tmp_path, uninterrupted
    timeless = lambda values: {k: v for k, v in values.items() if not k.endswith("seconds")}
    for augmenter in ("none", "gaussian", "vae", "vaediff"):
        found, expected = (timeless(metrics(folder, "atlop", augmenter)) for folder in folders)
        assert found == expected
    tables = [(folder / "demo" / "report.csv").read_text().splitlines() for folder in folders]
    rows = [[row for row in table if ",atlop," in row] for table in tables]
    assert rows[0] and rows[0] == rows[1]
