"""What the README, docs/augmenters.md and docs/backbones.md show must work as it stands there."""

import dataclasses
import importlib.util
import re
import sys
from pathlib import Path

import pytest
import torch
import yaml
from command_line import invoke

from benchmark.config import Experiment
from benchmark.data.batches import Batch, Encoded
from benchmark.registry import AUGMENTERS, BACKBONES, ENCODERS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {
    name: (ROOT / f"docs/{name}.md").read_text(encoding="utf-8")
    for name in ("augmenters", "backbones")
}
SHOWN = "".join([README, *PAGES.values()])


def block(language: str, start: str = "") -> str:
    found = re.findall(rf"```{language}\n(.*?)```", SHOWN, re.DOTALL)
    (text,) = [text for text in found if text.startswith(start)]
    return text


def test_the_experiment_file_is_valid():
    experiment = Experiment.model_validate(yaml.safe_load(block("yaml")))
    names = [choice.name for choice in experiment.augmenters]
    assert names == ["none", "copies", "gaussian", "vae", "vaediff"]
    assert experiment.augmenters[-1].options["steps"] == 50


PLUGINS = {
    "my_augmenter": ("towards", AUGMENTERS),
    "my_fitted_augmenter": ("denoised", AUGMENTERS),
    "my_own_backbone": ("typed_pairs", BACKBONES),
    "my_backbone": ("atlop_pairwise", BACKBONES),
    "my_encoder": ("trigrams", ENCODERS),
}


@pytest.mark.parametrize("file", PLUGINS)
def test_the_classes_keep_their_contracts(tmp_path, file):
    name, registry = PLUGINS[file]
    path = tmp_path / f"{file}.py"
    start = "from augmenters" if file == "my_augmenter" else f'"""{file}'
    path.write_text(block("python", start), encoding="utf-8")
    try:
        result = invoke("check", name, "--plugin", path)
        if name == "towards":
            moves_each_pair_towards_another(registry[name])
    finally:
        registry.entries().pop(name, None)
        sys.modules.pop(f"plugin_{file}", None)
    assert result.exit_code == 0, result.output
    assert f"'{name}' keeps its contract" in result.stdout


def test_the_page_on_backbones_has_every_field():
    fields = {field.name for field in dataclasses.fields(Batch)} | {*Encoded._fields}
    properties = {name for name, value in vars(Batch).items() if isinstance(value, property)}
    rows = re.findall(r"^\| (`.*?) \|", PAGES["backbones"], re.MULTILINE)
    shown = {name for row in rows for name in re.findall(r"`(?:\w+\.)?(\w+)", row)}
    assert shown >= fields | properties, sorted((fields | properties) - shown)


def moves_each_pair_towards_another(augmenter):
    rows, labels = torch.eye(3), torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    rng = torch.Generator().manual_seed(0)
    mixed, same = augmenter(share=0.25).augment(rows, labels, rng=rng)
    assert torch.equal(same, labels) and (mixed.diagonal() >= 0.75).all()
    # 0.75 of one unit vector and 0.25 of another
    torch.testing.assert_close(mixed.sum(1), torch.ones(3))


def test_the_findings_are_those_of_the_stored_results():
    spec = importlib.util.spec_from_file_location("readme", ROOT / "docs/results/readme.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    for page, cheap in script.PAGES.items():
        stands = page.read_text(encoding="utf-8").split(script.BEGIN)[1].split(script.END)[0]
        assert stands == script.findings(page, cheap=cheap)


def test_every_command_that_is_shown_exists():
    shown = set(re.findall(r"run_benchmark\.py (\w+)", README))
    known = set(re.findall(r"^  (\w+)  ", invoke("--help", columns=80).stdout, re.MULTILINE))
    assert shown <= known
    assert known <= set(re.findall(r"`(\w+)", README))


def test_every_make_target_that_is_shown_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shown = set(re.findall(r"(?:`|^ {4})make ([a-z-]+)", README, re.MULTILINE))
    assert {"demo", "test"} <= shown <= targets
