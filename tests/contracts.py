"""Classes that break their contract, for the tests of the checks."""

import pytest

from benchmark.checks import CheckFailed


def broken(base, **members):
    """A class like `base`, with other members."""
    return type("Broken", (base,), {"__doc__": "Broken.", **members})


def names(checks):
    """Of the checks of one kind; the first three are those of every kind."""
    return [name for name, _ in checks][3:]


def assert_passes(checks):
    for name, check in checks:
        try:
            check()
        except CheckFailed as failure:
            pytest.fail(f"{name}: {failure}")


def cases(table):
    """Parameters (name of a check, class, message) of {name: [(class, message), ...]}."""
    return [pytest.param(name, *case, id=name) for name in table for case in table[name]]


def assert_fails(checks, name, message):
    with pytest.raises(CheckFailed, match=message):
        dict(checks)[name]()
