"""A run goes onto a hub, and predicts from there."""

import json
import re
import shutil

import pytest
from forked import Forks
from hub.server import READ_ONLY, Hub
from tiny_runs import config, execute

from benchmark.errors import UserError
from benchmark.interop.predict import predict
from benchmark.interop.publishing import card, pulled, push
from benchmark.store.runs import RunDirectory


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return execute(tmp_path_factory.mktemp("results"), config("atlop")).path


@pytest.fixture
def hub(tmp_path):
    (tmp_path / "hub" / "models").mkdir(parents=True)
    return Hub(tmp_path / "hub")


def test_a_run_is_uploaded_and_predicts_from_the_hub(hub, run, tmp_path):
    text, facts = tmp_path / "mine.txt", tmp_path / "facts.json"
    text.write_text("[w1|1] w2 [w3|2] w4 [w5|3].")
    home = {"HF_HOME": str(tmp_path / "home"), "HF_ENDPOINT": hub.address, "HF_HUB_OFFLINE": "0"}
    home |= {"HF_HUB_DISABLE_XET": "1", "HF_TOKEN": "hf_none", "NO_PROXY": "127.0.0.1"}
    with hub.running(), Forks(**home) as forks:
        command = lambda *words: forks.start([*map(str, words)], tmp_path / words[0]).wait()
        code, output = command("push", run, "me/model")
        assert code == 0 and "uploaded: " in output and "me/model" in output, output
        code, output = command("predict", "me/model", text, "--out", facts)
        assert code == 0, output
        (tmp_path / "push").unlink(), (tmp_path / "push.code").unlink()
        code, output = command("push", run, f"{READ_ONLY}/model")
        assert code == 2 and "Traceback" not in output
        assert re.search("others/model: cannot be uploaded: .*403", output), output
    sent = hub.folder("main") / "models/me/model"
    names = {file.name for file in sent.iterdir()}
    assert {"README.md", "DONE", "config.json", "best.safetensors", "encoder"} <= names
    assert not any(name.startswith(("checkpoint", "branch", "candidates")) for name in names)
    assert RunDirectory(sent).read().metrics == RunDirectory(run).read().metrics
    assert json.loads(facts.read_text()) == predict(run, text)
    assert not (hub.folder("main") / "models" / READ_ONLY).exists()


def test_a_run_without_weights_is_no_model(run, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    (copy / "best.safetensors").unlink()
    with pytest.raises(UserError, match="no weights .* no model to upload"):
        push(copy, "me/model")


def test_several_runs_are_not_one(run, tmp_path):
    with pytest.raises(UserError, match=f"holds 1 runs; give one of them, such as {run}"):
        push(run.parent, "me/model")
    with pytest.raises(UserError, match="no such folder"):
        push(tmp_path / "nowhere", "me/model")


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
