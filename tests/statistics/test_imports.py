"""A table is made in a second: statistics and counts load no torch, and scipy and pandas only when
they are called for.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_statistics_and_counts_load_none_of_the_slow_libraries():
    names = sorted(path.stem for path in (ROOT / "benchmark/statistics").glob("[!_]*.py"))
    modules = [*(f"benchmark.statistics.{name}" for name in names), "benchmark.scoring.counts"]
    slow = {"torch", "scipy", "pandas", "statsmodels", "evaluate", "datasets"}
    code = f"import sys, {', '.join(modules)}; print({slow} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr
