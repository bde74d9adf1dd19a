"""A run goes onto a hub, and predicts from there."""

import json
import re
import shutil
from dataclasses import replace

import pytest
from hub.server import READ_ONLY, Hub, forks_for
from tiny_runs import config, execute

from benchmark.errors import UserError
from benchmark.interop.predict import predict
from benchmark.interop.publishing import card, pulled, push
from benchmark.store.runs import RunDirectory


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return execute(tmp_path_factory.mktemp("results"), config("atlop")).path


def test_a_run_is_uploaded_and_predicts_from_the_hub(run, tmp_path):
    (tmp_path / "hub" / "models").mkdir(parents=True)
    hub = Hub(tmp_path / "hub")
    text, facts = tmp_path / "mine.txt", tmp_path / "facts.json"
    text.write_text("[w1|1] w2 [w3|2] w4 [w5|3].")

    def command(name, *words, code=0):
        arguments = [name.split()[0], *map(str, words)]
        found, output = forks.start(arguments, tmp_path / name).wait()
        assert found == code and "Traceback" not in output, output
        return output

    with hub.running(), forks_for(hub, tmp_path / "home", HF_TOKEN="hf_none") as forks:
        assert re.search("uploaded: .*me/model", command("push", run, "me/model"))
        command("predict", "me/model", text, "--out", facts)
        output = command("push again", run, f"{READ_ONLY}/model", code=2)
        assert re.search("others/model: cannot be uploaded: .*403", output), output
    sent = hub.folder("main") / "models/me/model"
    names = {file.name for file in sent.iterdir()}
    assert {"README.md", "DONE", "config.json", "best.safetensors", "encoder"} <= names
    assert not any(name.startswith(("checkpoint", "branch", "candidates")) for name in names)
    assert RunDirectory(sent).read().metrics == RunDirectory(run).read().metrics
    assert json.loads(facts.read_text()) == predict(run, text)
    assert not (hub.folder("main") / "models" / READ_ONLY).exists()


def test_what_is_no_model_is_not_uploaded(run, tmp_path):
    shutil.copytree(run, tmp_path / "copy")
    (tmp_path / "copy" / "best.safetensors").unlink()
    for folder, message in (
        (tmp_path / "copy", "no weights .* no model to upload"),
        (run.parent, f"holds 1 runs; give one of them, such as {run}"),
        (tmp_path / "nowhere", "no such folder"),
    ):
        with pytest.raises(UserError, match=message):
            push(folder, "me/model")


def test_what_is_no_id_of_the_hub_is_a_missing_folder():
    with pytest.raises(UserError, match="results/demo/atlop: no such folder"):
        pulled("results/demo/atlop")
    with pytest.raises(UserError, match="me/nothing: no folder of a run, and the hub could not"):
        pulled("me/nothing")


def test_the_card_tells_scores_use_and_licence(run):
    stored = RunDirectory(run).read()
    text = card(stored, "me/model")
    assert "# atlop with none on synthetic" in text and "predict me/model" in text
    assert f"| test | {100 * stored.metrics['test']['f1']:.2f} |" in text
    assert "| test, threshold tuned on dev |" in text and "licences apply" in text
    assert "base_model" not in text
    on_hub = replace(stored, config={**stored.config, "encoder": {"name": "org/encoder"}})
    on_hub = replace(on_hub, facts={"encoder_revision": "a" * 40})
    assert "base_model: org/encoder\n" in card(on_hub, "me/model")
    text = card(replace(on_hub, facts={"encoder_revision": None}), "me/model")
    assert "base_model" not in text and "encoder `encoder`" in text
