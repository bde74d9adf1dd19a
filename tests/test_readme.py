"""What the README shows must work as it stands there."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from benchmark.commands.app import app
from benchmark.config import Experiment
from benchmark.registry import AUGMENTERS, BACKBONES, ENCODERS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language: str, start: str = "") -> str:
    found = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    (text,) = [text for text in found if text.startswith(start)]
    return text


@pytest.fixture
def plugin(tmp_path):
    path = tmp_path / "my_augmenter.py"
    path.write_text(block("python", '"""my_augmenter'), encoding="utf-8")
    yield path
    AUGMENTERS.entries().pop("towards", None)
    sys.modules.pop("plugin_my_augmenter", None)


def test_the_experiment_file_is_valid():
    experiment = Experiment.model_validate(yaml.safe_load(block("yaml")))
    assert [choice.name for choice in experiment.augmenters] == [
        "none",
        "copies",
        "gaussian",
        "vae",
        "vaediff",
    ]
    assert experiment.augmenters[-1].options["steps"] == 50


def test_the_augmenter_keeps_the_contract(plugin):
    result = CliRunner().invoke(app, ["check", "towards", "--plugin", str(plugin)])
    assert result.exit_code == 0, result.output
    assert "'towards' keeps its contract" in result.stdout


def test_the_augmenter_does_what_it_says(plugin):
    import torch

    from benchmark.registry import load_plugin

    load_plugin(plugin)
    rows, labels = torch.eye(3), torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    mixed, same = AUGMENTERS["towards"](share=0.25).augment(
        rows, labels, rng=torch.Generator().manual_seed(0)
    )
    assert torch.equal(same, labels)
    assert torch.allclose(
        mixed.sum(1), torch.ones(3)
    )  # 0.75 of one unit vector and 0.25 of another
    assert (mixed.diagonal() >= 0.75).all()


@pytest.mark.parametrize(
    ("file", "name", "registry"),
    [("my_backbone", "atlop_pairwise", BACKBONES), ("my_encoder", "trigrams", ENCODERS)],
)
def test_the_backbone_and_the_encoder_keep_their_contracts(tmp_path, file, name, registry):
    path = tmp_path / f"{file}.py"
    path.write_text(block("python", f'"""{file}'), encoding="utf-8")
    try:
        result = CliRunner().invoke(app, ["check", name, "--plugin", str(path)])
    finally:
        registry.entries().pop(name, None)
        sys.modules.pop(f"plugin_{file}", None)
    assert result.exit_code == 0, result.output
    assert f"'{name}' keeps its contract" in result.stdout


def test_the_findings_are_those_of_the_stored_results():
    path = ROOT / "docs" / "results" / "readme.py"
    spec = importlib.util.spec_from_file_location("readme", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    stands = README.split(script.BEGIN)[1].split(script.END)[0]
    assert stands == script.findings(ROOT / "results" / "small")


def test_every_command_that_is_shown_exists():
    shown = set(re.findall(r"run_benchmark\.py (\w+)", README))
    known = set(re.findall(r"^  (\w+)  ", CliRunner().invoke(app, ["--help"]).stdout, re.MULTILINE))
    assert shown <= known
    assert known <= set(re.findall(r"`(\w+)", README))


def test_every_make_target_that_is_shown_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shown = set(re.findall(r"(?:`|^ {4})make ([a-z-]+)", README, re.MULTILINE))
    assert {"demo", "test"} <= shown <= targets
