"""quality: measuring finished runs from the command line."""

import json

import pytest
from tiny_runs import config, execute
from typer.testing import CliRunner

from benchmark.commands.app import app
from benchmark.store.files import sha256


def invoke(*arguments):
    return CliRunner().invoke(app, ["quality", *map(str, arguments)], env={"COLUMNS": "200"})


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """none, and copies and vae without their measurements."""
    folder = tmp_path_factory.mktemp("results")
    execute(folder, config(), branch_epoch=1)
    for augmenter in ("copies", "vae"):
        run = execute(folder, config(augmenter=augmenter), finish=False)
        for measured in ("quality.json", "sample.json"):
            (run.path / measured).unlink()
        run.finish()
    return folder / "tests" / "atlop"


def files(folder):
    return {path: sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def test_measures_what_was_not_measured_and_shows_the_table(trained):
    before = files(trained)
    result = invoke(trained)
    assert result.exit_code == 0, result.output
    assert (
        "generative quality" in result.stdout
        and "(real, dev)" in result.stdout
        and "vae" in result.stdout
    )
    assert "copies: generated pairs repeat training pairs" in result.stdout
    new = {path.relative_to(trained).as_posix() for path in files(trained).keys() - before.keys()}
    assert new == {
        f"{augmenter}/seed-0/{file}.json"
        for augmenter in ("copies", "vae")
        for file in ("quality", "sample")
    }
    assert before.items() <= files(trained).items()  # nothing else was touched


def test_what_is_measured_is_kept(trained):
    invoke(trained)
    path = trained / "vae" / "seed-0" / "quality.json"
    content = json.loads(path.read_text()) | {"flags": {"mark": "this is the stored one"}}
    path.write_text(json.dumps(content))
    assert "this is the stored one" in invoke(trained / "vae" / "seed-0").stdout
    path.unlink()


def test_a_run_that_cannot_be_measured_is_told_and_the_others_are(trained):
    for name in ("copies", "vae"):
        (trained / name / "seed-0" / "quality.json").unlink(missing_ok=True)
    stored = trained / "vae" / "seed-0" / "augmenter.safetensors"
    stored.rename(stored.with_name("away"))
    result = invoke(trained)
    stored.with_name("away").rename(stored)
    assert result.exit_code == 1
    assert (
        "not measured: " in result.stderr
        and "kept no augmenter" in result.stderr
        and "Traceback" not in result.output
    )
    assert (trained / "copies" / "seed-0" / "quality.json").is_file()


def test_mistakes(trained, tmp_path):
    for arguments, message in (
        ([tmp_path / "nowhere"], "no such folder"),
        ([tmp_path], "no finished run there"),
        ([trained / "none"], "only `none` runs"),
    ):
        result = invoke(*arguments)
        assert (result.exit_code, result.stdout) == (2, "") and message in result.stderr
