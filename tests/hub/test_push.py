"""A run goes onto a hub, and predicts from there."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hub.server import READ_ONLY, Hub
from tiny_runs import config, execute

from benchmark.errors import UserError
from benchmark.interop.predict import predict
from benchmark.interop.publishing import card, pulled, push
from benchmark.store.runs import RunDirectory

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return execute(tmp_path_factory.mktemp("results"), config("atlop")).path


@pytest.fixture
def hub(tmp_path):
    (tmp_path / "hub" / "models").mkdir(parents=True)
    return Hub(tmp_path / "hub")


def command(tmp_path, address, *words):
    """The command line, with an empty cache."""
    home = {"HF_HOME": str(tmp_path / "home"), "HF_ENDPOINT": address, "HF_HUB_OFFLINE": "0"}
    home |= {"HF_HUB_DISABLE_XET": "1", "HF_TOKEN": "hf_none", "NO_PROXY": "127.0.0.1"}
    return subprocess.run(
        [sys.executable, "run_benchmark.py", *map(str, words)],
        cwd=ROOT,
        env={**os.environ, **home},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_a_run_is_uploaded_and_predicts_from_the_hub(hub, run, tmp_path):
    text = tmp_path / "mine.txt"
    text.write_text("[w1|1] w2 [w3|2] w4 [w5|3].")
    with hub.running() as address:
        done = command(tmp_path, address, "push", run, "me/model")
        assert done.returncode == 0, done.stderr
        assert "uploaded: " in done.stdout and "me/model" in done.stdout
        sent = hub.folder("main") / "models/me/model"
        names = {file.name for file in sent.iterdir()}
        assert {"README.md", "DONE", "config.json", "best.safetensors", "encoder"} <= names
        assert not any(name.startswith(("checkpoint", "branch", "candidates")) for name in names)
        assert RunDirectory(sent).read().metrics == RunDirectory(run).read().metrics
        found = command(tmp_path, address, "predict", "me/model", text, "--json")
        assert found.returncode == 0, found.stderr
        refused = command(tmp_path, address, "push", run, f"{READ_ONLY}/model")
    assert json.loads(found.stdout) == predict(run, text)
    assert refused.returncode == 2 and "Traceback" not in refused.stderr
    assert re.search("others/model: cannot be uploaded: .*403", refused.stderr), refused.stderr
    assert not (hub.folder("main") / "models" / READ_ONLY).exists()


def test_a_run_without_weights_is_no_model(run, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    (copy / "best.safetensors").unlink()
    with pytest.raises(UserError, match="no weights .* no model to upload"):
        push(copy, "me/model")


def test_what_is_no_id_of_the_hub_is_a_missing_folder():
    with pytest.raises(UserError, match="results/demo/atlop: no such folder"):
        pulled("results/demo/atlop")
    with pytest.raises(UserError, match="me/nothing: neither the folder of a run, nor could the"):
        pulled("me/nothing")


def test_the_card_tells_scores_use_and_licence(run):
    stored = RunDirectory(run).read()
    text = card(stored, "me/model")
    assert "# atlop with none on synthetic" in text and "predict me/model" in text
    assert f"| test | {100 * stored.metrics['test']['f1']:.2f} |" in text
    assert "| test, threshold tuned on dev |" in text and "licences apply" in text
    assert "base_model" not in text
    config_of_hub = {**stored.config, "encoder": {"name": "org/encoder"}}
    on_hub = type(stored)(stored.path, config_of_hub, stored.facts, stored.metrics)
    assert "base_model: org/encoder\n" in card(on_hub, "me/model")
