"""Pages that are written by a script are current."""

import importlib.util
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


def test_the_page_on_the_experiment_file_is_current():
    spec = importlib.util.spec_from_file_location("script", DOCS / "experiment_file.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    page = (DOCS / "experiment_file.md").read_text(encoding="utf-8")
    assert page == script.page(), "run: python docs/experiment_file.py"


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.stem)
def test_the_files_that_a_page_names_exist(page):
    roots = "benchmark|augmenters|backbones|tests|configs|docs"
    named = re.findall(rf"`((?:{roots})/[\w./-]*)", page.read_text(encoding="utf-8"))
    missing = [path for path in named if not (DOCS.parent / path).exists()]
    assert not missing, missing
