"""What a newcomer adds in one file: a plugin keeps its contract, trains, and goes on after a kill
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
from benchmark.config import EncoderConfig
from benchmark.registry import AUGMENTERS, BACKBONES, ENCODERS, load_plugin
from benchmark.store.runs import RunDirectory
from benchmark.training.loop import Loop

ROOT = Path(__file__).parents[1]
PLUGINS = {"typed": BACKBONES, "cites": BACKBONES, "soft_mixup": AUGMENTERS}
PLUGINS |= {"masked_attention": AUGMENTERS, "lstm": ENCODERS}
REGISTERED = {"lstm": "lstm_plugin"}  # the others are registered under their file's name
TINY = {"name": "tiny", "options": {"width": 16, "heads": 2}}
LSTM = {"name": "lstm_plugin", "options": {"size": 8}}


def file_of(name):
    return ROOT / "tests" / "plugins" / f"{name}.py"


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
        load_plugin(file_of(file))
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
    result = CliRunner().invoke(app, ["check", REGISTERED.get(plugin, plugin)])
    assert result.exit_code == 0 and "keeps its contract" in result.output, result.output


def test_it_trains_and_goes_on_where_it_was_stopped(plugin, tmp_path, monkeypatch):
    whole = execute(tmp_path / "whole", run_of(plugin))
    losses = [epoch["loss"] for epoch in whole.read_history()]
    assert losses[2] < losses[1]  # from epoch 2 on an augmented loss is another one
    plain = execute(tmp_path / "plain", config("atlop"))
    assert losses != [epoch["loss"] for epoch in plain.read_history()]

    close = Loop._close_epoch

    def killed(loop, seconds):
        close(loop, seconds)
        if loop.state.epoch == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Loop, "_close_epoch", killed)
        execute(tmp_path / "stopped", run_of(plugin))
    assert numbers(execute(tmp_path / "stopped", run_of(plugin))) == numbers(whole)


@pytest.mark.long
@pytest.mark.parametrize("name", PLUGINS)
def test_a_killed_command_goes_on(name, tmp_path):
    """The whole command, killed by SIGKILL once its run has saved a state."""
    is_backbone, is_encoder = PLUGINS[name] is BACKBONES, PLUGINS[name] is ENCODERS
    backbone = "typed" if is_encoder else name if is_backbone else "atlop"
    augmenter = name if PLUGINS[name] is AUGMENTERS else "none"
    experiment = dict(
        name="plugin",
        dataset="synthetic",
        encoder=LSTM if is_encoder else TINY,
        backbones=[{backbone: {"emb": 16, "block": 4} if backbone == "atlop" else {}}],
        augmenters=list(dict.fromkeys(["none", augmenter])),
        seeds=[0],
        train={"epochs": 3, "threads": 1},
        augment={"warmup_epochs": 1},
    )
    (tmp_path / "plugin.yaml").write_text(yaml.safe_dump(experiment), encoding="utf-8")
    start = [sys.executable, "run_benchmark.py", "run", str(tmp_path / "plugin.yaml")]
    for file in files_of(name):
        start += ["--plugin", str(file_of(file))]
    start += ["--results"]
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
