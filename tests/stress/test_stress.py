"""The stress scripts, in small; `python -m pytest -m long tests/stress` runs them whole. Figures:
docs/reliability.md.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def passes(script, *arguments, tmp_path):
    environment = os.environ | {"TMPDIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, HERE / script, *arguments], capture_output=True, text=True, env=environment
    )
    print(done.stdout, done.stderr)
    return done.returncode == 0


def test_a_run_killed_before_some_of_its_changes_to_the_disk_goes_on(tmp_path):
    assert passes("writes.py", "--first", "5", "--step", "60", tmp_path=tmp_path)


@pytest.mark.long
def test_a_run_killed_before_any_of_its_changes_to_the_disk_goes_on(tmp_path):
    assert passes("writes.py", tmp_path=tmp_path)


@pytest.mark.long
@pytest.mark.parametrize(
    "options", [(), ("--set", "encoder.freeze=all", "--set", "train.keep_weights=none")]
)
def test_workers_that_are_killed_at_random_do_what_one_does(tmp_path, options):
    assert passes("workers.py", "--seconds", "60", *options, tmp_path=tmp_path)
