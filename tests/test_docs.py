"""Pages that are written by a script are current."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

from benchmark.config import read_experiment
from benchmark.registry import DATASETS

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


def test_the_page_on_data_shows_a_document_and_an_experiment_that_can_be_read(
    tmp_path, monkeypatch
):
    page = (DOCS / "data.md").read_text(encoding="utf-8")
    [(documents, experiment)] = re.findall(r"```json\n(.*?)```.*```yaml\n(.*?)```", page, re.DOTALL)
    further = [{**json.loads(documents)[0], "title": "Another"}]
    (tmp_path / "train.json").write_text(json.dumps(json.loads(documents) + further))
    (tmp_path / "test.json").write_text(documents)
    (tmp_path / "mine.yaml").write_text(experiment)
    monkeypatch.chdir(tmp_path)
    dataset = read_experiment("mine.yaml").dataset
    corpus = DATASETS[dataset.name](**dataset.options)
    assert corpus.relations == ("born_in", "worked_in")
    assert len(corpus.train) == len(corpus.dev) == len(corpus.test) == 1
    assert corpus.test[0]["title"] == "Marie Curie"


def test_the_page_on_tables_shows_how_to_make_one_with_pandas(monkeypatch):
    page = (DOCS / "tables.md").read_text(encoding="utf-8")
    monkeypatch.chdir(DOCS.parent)
    exec(re.search(r"```python\n(.*?)```", page, re.DOTALL)[1], made := {})
    tail, gains = made["tail"], made["gains"]
    assert (gains.xs("none", level="augmenter") == 0).all()
    of_copies = tail.xs("copies", level="augmenter")
    assert len(of_copies) == 5
    for (backbone, seed), value in of_copies.items():
        assert gains[backbone, "copies", seed] == value - tail[backbone, "none", seed]
