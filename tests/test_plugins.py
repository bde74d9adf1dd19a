"""What a newcomer adds in one file: each plugin keeps its contract, trains, and goes on after a kill
with the numbers of a run that nobody killed.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from tiny_runs import AUGMENTERS as TINY_AUGMENTERS
from tiny_runs import BACKBONES as TINY_BACKBONES
from tiny_runs import config, execute, numbers
from typer.testing import CliRunner

from benchmark.commands.app import app
from benchmark.registry import AUGMENTERS, BACKBONES, load_plugin
from benchmark.store.runs import RunDirectory
from benchmark.training.loop import Loop

ROOT = Path(__file__).parents[1]
PLUGINS = {"typed": BACKBONES, "cites": BACKBONES, "soft_mixup": AUGMENTERS}
PLUGINS |= {"masked_attention": AUGMENTERS}


def file_of(name):
    return ROOT / "tests" / "plugins" / f"{name}.py"


@pytest.fixture(params=PLUGINS)
def plugin(request, monkeypatch):
    """The name of a registered plugin, known to the tiny runs; forgotten afterwards."""
    name, registry = request.param, PLUGINS[request.param]
    registry.entries()
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    known = TINY_BACKBONES if registry is BACKBONES else TINY_AUGMENTERS
    monkeypatch.setitem(known, name, {})
    load_plugin(file_of(name))
    yield name
    sys.modules.pop(f"plugin_{name}", None)


def run_of(name):
    return config(name) if PLUGINS[name] is BACKBONES else config("atlop", name)


def test_it_keeps_its_contract(plugin):
    result = CliRunner().invoke(app, ["check", plugin])
    assert result.exit_code == 0 and "keeps its contract" in result.output, result.output


def test_it_trains_and_goes_on_where_it_was_stopped(plugin, tmp_path, monkeypatch):
    whole = execute(tmp_path / "whole", run_of(plugin))
    losses = [epoch["loss"] for epoch in whole.read_history()]
    assert losses[2] < losses[1]  # from epoch 2 on an augmented loss is another one
    plain = execute(tmp_path / "plain", config("atlop"))
    assert losses != [epoch["loss"] for epoch in plain.read_history()]

    close = Loop._close_epoch

    def killed(loop, optimizer, state, *rest):
        close(loop, optimizer, state, *rest)
        if state.epoch == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Loop, "_close_epoch", killed)
        execute(tmp_path / "stopped", run_of(plugin))
    assert numbers(execute(tmp_path / "stopped", run_of(plugin))) == numbers(whole)


@pytest.mark.long
@pytest.mark.parametrize("name", PLUGINS)
def test_a_killed_command_goes_on(name, tmp_path):
    """The whole command, killed by SIGKILL once its run has saved a state."""
    is_backbone = PLUGINS[name] is BACKBONES
    experiment = {
        "name": "plugin",
        "dataset": "synthetic",
        "encoder": {"name": "tiny", "options": {"width": 16, "heads": 2}},
        "backbones": [name] if is_backbone else [{"atlop": {"emb": 16, "block": 4}}],
        "augmenters": ["none"] if is_backbone else ["none", name],
        "seeds": [0],
        "train": {"epochs": 3, "threads": 1},
        "augment": {"warmup_epochs": 1},
    }
    (tmp_path / "plugin.yaml").write_text(yaml.safe_dump(experiment), encoding="utf-8")
    start = [sys.executable, "run_benchmark.py", "run", str(tmp_path / "plugin.yaml")]
    start += ["--plugin", str(file_of(name)), "--results"]
    backbone, augmenter = (name, "none") if is_backbone else ("atlop", name)
    of = lambda results: RunDirectory.of(tmp_path / results, "plugin", backbone, augmenter, 0)
    subprocess.run([*start, str(tmp_path / "whole")], cwd=ROOT, check=True, capture_output=True)
    command = subprocess.Popen(
        [*start, str(tmp_path / "killed")], cwd=ROOT, stderr=subprocess.DEVNULL, stdout=-3
    )
    state = of("killed").path / "checkpoint.safetensors"
    while not state.is_file():
        assert command.poll() is None, "it ended before it could be killed"
        time.sleep(0.02)
    os.kill(command.pid, signal.SIGKILL)
    command.wait()
    assert of("killed").state() == "killed"
    subprocess.run([*start, str(tmp_path / "killed")], cwd=ROOT, check=True, capture_output=True)
    assert numbers(of("killed")) == numbers(of("whole"))
