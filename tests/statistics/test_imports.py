"""A table is made in a second: the statistics load no torch, and scipy and pandas only when they
are called for.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_importing_all_statistics_loads_none_of_the_slow_libraries():
    modules = sorted(path.stem for path in (ROOT / "benchmark/statistics").glob("*.py"))
    code = "; ".join(
        f"import benchmark.statistics.{name}" for name in modules if name != "__init__"
    )
    code += (
        "; import sys; print([name for name in ('torch', 'scipy', 'pandas', 'statsmodels') if name "
        "in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
