"""quality: measuring finished runs from the command line."""

import json
from pathlib import Path

import pytest
from command_line import invoke
from tiny_runs import config, execute

from benchmark.config import Choice
from benchmark.registry import DATASETS
from benchmark.store.files import sha256


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """none, and copies and vae without their measurements."""
    folder = tmp_path_factory.mktemp("results")
    dataset = Choice(name="synthetic", options={"train": 12, "dev": 4, "test": 4})
    settings = {"corpus": DATASETS["synthetic"](**dataset.options)}
    of = lambda **names: config(**names).model_copy(update={"dataset": dataset})
    execute(folder, of(), branch_epoch=1, **settings)
    for augmenter in ("copies", "vae"):
        run = execute(folder, of(augmenter=augmenter), finish=False, **settings)
        for measured in ("quality.json", "sample.json"):
            (run.path / measured).unlink()
        run.finish()
    return folder / "tests" / "atlop"


def files(folder):
    return {path: sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def test_measures_what_was_not_measured_and_shows_the_table(trained):
    before = files(trained)
    result = invoke("quality", trained)
    assert result.exit_code == 0, result.output
    shown = ("generative quality", "(real, dev)", "vae", "copies (control)")
    assert all(text in result.stdout for text in shown)
    assert "repeat training pairs" not in result.stdout  # a control may
    made = {
        trained / f"{a}/seed-0/{f}.json" for a in ("copies", "vae") for f in ("quality", "sample")
    }
    assert files(trained).keys() - before.keys() == made
    assert before.items() <= files(trained).items()  # nothing else was touched
    path = trained / "vae" / "seed-0" / "quality.json"
    content = json.loads(path.read_text()) | {"flags": {"mark": "this is the stored one"}}
    path.write_text(json.dumps(content))
    assert "this is the stored one" in invoke("quality", trained / "vae" / "seed-0").stdout


def test_a_run_that_cannot_be_measured_is_told_and_the_others_are(trained):
    for name in ("copies", "vae"):
        (trained / name / "seed-0" / "quality.json").unlink(missing_ok=True)
    stored = trained / "vae" / "seed-0" / "augmenter.safetensors"
    stored.rename(stored.with_name("away"))
    result = invoke("quality", trained)
    stored.with_name("away").rename(stored)
    assert result.exit_code == 1 and "Traceback" not in result.output
    assert "not measured: " in result.stderr and "kept no augmenter" in result.stderr
    assert (trained / "copies" / "seed-0" / "quality.json").is_file()


def test_called_from_the_folder_of_the_run(trained, monkeypatch):
    monkeypatch.chdir(trained / "copies" / "seed-0")
    Path("quality.json").unlink(missing_ok=True)
    result = invoke("quality", ".")
    assert result.exit_code == 0 and Path("quality.json").is_file(), result.output


def test_mistakes(trained, tmp_path):
    for folder, message in (
        (tmp_path / "nowhere", "no such folder"),
        (tmp_path, "no finished run there"),
        (trained / "none", "no finished run there that generates pairs"),
    ):
        result = invoke("quality", folder)
        assert (result.exit_code, result.stdout) == (2, "") and message in result.stderr
