"""list and check."""

import sys
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

import augmenters
from benchmark.commands.app import app
from benchmark.errors import UserError


def invoke(*arguments):
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})


def test_list_shows_names_summaries_and_defaults():
    result = invoke("list")
    assert result.exit_code == 0
    for name in (
        "atlop",
        "kd_docre",
        "baseline",
        "none",
        "copies",
        "gaussian",
        "vae",
        "vaediff",
        "re-docred",
        "synthetic",
        "tiny",
    ):
        assert name in result.stdout
    assert "scale=0.1" in result.stdout and "train (required)" in result.stdout


def test_list_of_one_kind():
    result = invoke("list", "datasets")
    assert "dwie" in result.stdout and "vaediff" not in result.stdout


def test_list_of_an_unknown_kind():
    result = invoke("list", "models")
    assert result.exit_code == 2 and "backbones" in result.stderr


@pytest.fixture
def contract(monkeypatch):
    """Replaces the contract's checks by `contract.checks`, a list of (name, function)."""
    fake = SimpleNamespace(checked=None, list=[])

    def checks(cls):
        fake.checked = cls
        return iter(fake.list)

    module = SimpleNamespace(check_augmenter=checks)
    monkeypatch.setitem(sys.modules, "augmenters.check", module)
    monkeypatch.setattr(augmenters, "check", module, raising=False)
    return fake


def raising(error):
    def run():
        raise error

    return run


def test_check_passes(contract, lab):
    contract.list = [("shapes", lambda: None), ("determinism", lambda: None)]
    result = lab("check", "noisy")
    assert result.exit_code == 0, result.output
    assert "pass  shapes" in result.stdout and "'noisy' keeps the contract" in result.stdout
    assert contract.checked.__name__ == "Noisy"


def test_check_goes_on_after_a_failure_and_tells_reason_and_place(contract, lab):
    contract.list = [
        ("shapes", raising(UserError("returned labels have 3 columns, expected 4"))),
        ("gradient", raising(KeyError("x"))),
        ("pool", lambda: None),
    ]
    result = lab("check", "noisy")
    assert result.exit_code == 1
    assert "FAIL  shapes: returned labels have 3 columns, expected 4\n" in result.stdout
    assert (
        "FAIL  gradient: KeyError: 'x' (" in result.stdout
        and "test_inspect.py, line" in result.stdout
    )
    assert "pass  pool" in result.stdout
    assert "in 2 point(s)" in result.stdout


def test_check_of_an_unknown_augmenter():
    result = invoke("check", "vaedif")
    assert result.exit_code == 2 and "Did you mean 'vaediff'" in result.stderr
