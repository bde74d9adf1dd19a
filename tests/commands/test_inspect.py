"""list and check."""

import sys
from types import SimpleNamespace

import pytest
from command_line import invoke

from benchmark.checks import CheckFailed
from benchmark.registry import AUGMENTERS, BACKBONES, DATASETS, ENCODERS, Entry


def test_list_shows_names_summaries_and_defaults():
    result = invoke("list")
    assert result.exit_code == 0
    for registry in (BACKBONES, AUGMENTERS, DATASETS, ENCODERS):
        assert all(name in result.stdout for name in registry)
    assert "emb=768" in result.stdout and "train (required)" in result.stdout
    one = invoke("list", "datasets").stdout
    assert "dwie" in one and "vaediff" not in one
    unknown = invoke("list", "models")
    assert unknown.exit_code == 2 and "backbones" in unknown.stderr


@pytest.fixture
def contracts(monkeypatch):
    """Replaces the checks of every kind by `list`, pairs of (name, function)."""
    fake = SimpleNamespace(checked=None, list=[])

    def check(kind):
        def checks(registered):
            fake.checked = kind, registered
            return iter(fake.list)

        return checks

    for kind, package in (
        ("augmenter", "augmenters"),
        ("backbone", "backbones"),
        ("encoder", "backbones.encoders"),
    ):
        module = SimpleNamespace(**{f"check_{kind}": check(kind)})
        monkeypatch.setitem(sys.modules, f"{package}.check", module)
    return fake


def failing(message):
    def run():
        raise CheckFailed(message)

    return run


@pytest.mark.parametrize(
    ("kind", "registry"),
    [("augmenter", AUGMENTERS), ("backbone", BACKBONES), ("encoder", ENCODERS)],
)
def test_check_takes_any_kind(contracts, monkeypatch, kind, registry):
    target = object()
    monkeypatch.setitem(registry.entries(), "mine", Entry("mine", "tests", "", {}, target))
    contracts.list = [("shapes", lambda: None), ("determinism", lambda: None)]
    result = invoke("check", "mine")
    assert result.exit_code == 0, result.output
    assert "pass  shapes\npass  determinism\n" in result.stdout
    assert f"{kind} 'mine' keeps its contract: 2 checks pass" in result.stdout
    assert contracts.checked == (kind, target)


def test_a_name_of_several_kinds_needs_a_kind(contracts, monkeypatch):
    for registry in (AUGMENTERS, BACKBONES):
        monkeypatch.setitem(registry.entries(), "mine", Entry("mine", "tests", "", {}, registry))
    result = invoke("check", "mine")
    assert result.exit_code == 2
    assert "'mine' (augmenter, backbone): say which, such as --kind augmenter" in result.stderr
    assert invoke("check", "mine", "--kind", "backbone").exit_code == 0
    assert contracts.checked == ("backbone", BACKBONES)
    assert invoke("check", "mine", "--kind", "encoder").exit_code == 2


def test_check_goes_on_after_a_failure_and_tells_a_reason_once(contracts, lab):
    wrong = failing("returned labels have 3 columns, expected 4")
    passing = ("pool", lambda: None), ("labels", lambda: "not decided")
    contracts.list = [("shapes", wrong), ("gradient", wrong), ("order", wrong), *passing]
    result = lab("check noisy")
    assert result.exit_code == 1
    assert "FAIL  shapes: returned labels have 3 columns, expected 4\n" in result.stdout
    assert "pass  pool\npass  labels: not decided\n" in result.stdout
    assert "FAIL  2 other checks, for the same reason as 'shapes'\n" in result.stdout
    contracts.list = [("shapes", wrong), ("gradient", wrong)]
    assert "FAIL  one other check, for the same reason as 'shapes'\n" in lab("check noisy").stdout
    assert "augmenter 'noisy' breaks its contract: 3 of 5 fail" in result.stdout


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("states are NaN or infinite", "pair_loss of a batch is NaN"),
        (
            "shapes (6x96 and 64x6) differ (a.py, line 3)",
            "shapes (28x96 and 64x6) differ (a.py, line 3)",
        ),
    ],
)
def test_one_cause_is_told_once(contracts, lab, one, other):
    contracts.list = [
        ("shapes", failing(one)),
        ("order", failing("wrong")),
        ("loss", failing(other)),
    ]
    assert lab("check noisy").stdout.splitlines()[:3] == [
        f"FAIL  shapes: {one}",
        "FAIL  order: wrong",
        "FAIL  one other check, for the same reason as 'shapes'",
    ]


def test_two_lines_are_two_causes(contracts, lab):
    contracts.list = [("shapes", failing("(a.py, line 3)")), ("order", failing("(a.py, line 14)"))]
    assert "the same as" not in lab("check noisy").stdout


def test_check_of_an_unknown_name():
    near, far = invoke("check", "vaedif"), invoke("check", "xyzzy")
    assert near.exit_code == far.exit_code == 2
    assert "nothing is called 'vaedif'. Did you mean 'vaediff'" in near.stderr
    assert "Did you mean" not in far.stderr and "Name its file with --plugin" in far.stderr


def test_list_names_a_faulty_module_and_shows_the_others(monkeypatch):
    faulty = Entry("faulty", "augmenters.not_there", "Inherits.", None)
    monkeypatch.setitem(AUGMENTERS.entries(), "faulty", faulty)
    result = invoke("list", "augmenters")
    assert result.exit_code == 0, result.output
    assert "augmenters/not_there.py cannot be imported" in result.output
    assert "vaediff" in result.output
