"""Pages that are written by a script are current."""

import importlib.util
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture
def script():
    path = DOCS / "experiment_file.py"
    spec = importlib.util.spec_from_file_location("experiment_file", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_on_the_experiment_file_is_current(script):
    page = (DOCS / "experiment_file.md").read_text(encoding="utf-8")
    assert page == script.page(), "run: python docs/experiment_file.py"


def test_a_key_without_a_sentence_is_named(script):
    del script.SAID["train.epochs"]
    with pytest.raises(ValueError, match="train.epochs"):
        script.page()


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.stem)
def test_the_files_that_a_page_names_exist(page):
    named = re.findall(
        r"`((?:benchmark|augmenters|backbones|tests|configs)/[\w./-]*)", page.read_text()
    )
    named += re.findall(r"`(docs/[\w./-]*)", page.read_text())
    missing = [path for path in named if not (DOCS.parent / path).exists()]
    assert not missing, missing
