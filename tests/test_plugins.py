"""What a newcomer adds in one file: a plugin keeps its contract, trains, and goes on after a kill
with the numbers of a run that nobody killed.
"""

import sys
from pathlib import Path

import pytest
from command_line import invoke
from tiny_runs import AUGMENTERS as TINY_AUGMENTERS
from tiny_runs import BACKBONES as TINY_BACKBONES
from tiny_runs import config, execute, execute_and_kill, losses, numbers

from benchmark.config import EncoderConfig
from benchmark.registry import AUGMENTERS, BACKBONES, ENCODERS, load_plugin

PLUGINS = {"typed": BACKBONES, "cites": BACKBONES, "soft_mixup": AUGMENTERS}
PLUGINS |= {"masked_attention": AUGMENTERS, "lstm": ENCODERS}
REGISTERED = {"lstm": "lstm_plugin"}  # the others are registered under their file's name
LSTM = {"name": "lstm_plugin", "options": {"size": 8}}


@pytest.fixture(params=PLUGINS)
def plugin(request, monkeypatch):
    """The name of a registered plugin, known to the tiny runs; forgotten afterwards."""
    name = request.param
    for registry in (AUGMENTERS, BACKBONES, ENCODERS):
        registry.entries()
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    for file in files_of(name):
        known = TINY_AUGMENTERS if PLUGINS[file] is AUGMENTERS else TINY_BACKBONES
        monkeypatch.setitem(known, file, {})
        load_plugin(Path(__file__).parent / "plugins" / f"{file}.py")
    yield name
    for file in files_of(name):
        sys.modules.pop(f"plugin_{file}", None)


def files_of(name):
    """The LSTM gives no attention: it needs a backbone that reads none."""
    return [name, "typed"] if PLUGINS[name] is ENCODERS else [name]


def run_of(name):
    if PLUGINS[name] is ENCODERS:
        return config("typed").model_copy(update={"encoder": EncoderConfig(**LSTM)})
    return config(name) if PLUGINS[name] is BACKBONES else config("atlop", name)


def test_it_keeps_its_contract(plugin):
    result = invoke("check", REGISTERED.get(plugin, plugin))
    assert result.exit_code == 0 and "keeps its contract" in result.output, result.output


def test_it_trains_and_goes_on_where_it_was_stopped(plugin, tmp_path, monkeypatch):
    whole = execute(tmp_path / "whole", run_of(plugin))
    first, second, third = losses(whole)
    assert third < second  # from epoch 2 on an augmented loss is another one
    assert [first, second, third] != losses(execute(tmp_path / "plain", config("atlop")))
    execute_and_kill(monkeypatch, tmp_path / "stopped", run_of(plugin), epoch=2)
    assert numbers(execute(tmp_path / "stopped", run_of(plugin))) == numbers(whole)
