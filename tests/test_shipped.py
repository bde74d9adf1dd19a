"""What the wheel brings besides code."""

import tomllib
from pathlib import Path

import pytest

from benchmark import shipped
from benchmark.config import read_experiment
from benchmark.errors import ConfigError

ROOT = Path(__file__).resolve().parents[1]


def test_the_wheel_brings_what_commands_read():
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    included = build["targets"]["wheel"]["force-include"]
    for path in ("configs/demo.yaml", "results/published/tran2025_table1.json"):
        assert shipped.shipped(path) == ROOT / path and (ROOT / path).is_file()
        assert included[str(Path(path).parent)] == f"benchmark/shipped/{Path(path).parent}"


def test_the_installed_files_come_first(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "_HERE", tmp_path / "benchmark")
    assert shipped.shipped("configs/a.yaml") == tmp_path / "configs" / "a.yaml"
    file = tmp_path / "benchmark" / "shipped" / "configs" / "a.yaml"
    file.parent.mkdir(parents=True)
    file.touch()
    assert shipped.shipped("configs/a.yaml") == file


def test_a_missing_experiment_file_is_pointed_to(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"no such experiment file; the package brings .*demo"):
        read_experiment("configs/demo.yaml")
    with pytest.raises(ConfigError, match="no such experiment file$"):
        read_experiment("nothing.yaml")
