"""A threshold that is tuned on dev: stored with the weights, out of reach of test."""

import pytest
from safetensors.torch import load_file
from samples import corpus
from tiny_runs import Killed, config, execute, five_documents, numbers

from benchmark.config import Choice
from benchmark.training.session import Session

RUN = config(lr_head=3e-2).model_copy(update={"backbone": Choice(name="bilinear")})


def run(folder, facts_of_test):
    rows = five_documents()
    test = [{**row, "facts": row["facts"][:facts_of_test]} for row in rows[2:]]
    directory = execute(folder, RUN, corpus=corpus(rows, five_documents(seed=1)[:2], test))
    threshold = load_file(directory.path / "best.safetensors")["backbone.threshold"]
    return threshold.item(), numbers(directory)


def test_the_threshold_is_tuned_on_dev_and_test_facts_do_not_move_it(tmp_path):
    threshold, found = run(tmp_path / "a", 3)
    other_threshold, other = run(tmp_path / "b", 1)
    assert threshold == other_threshold != 0
    assert found["predictions"] == other["predictions"]
    assert found["metrics"]["test"] != other["metrics"]["test"]
    assert found["history"] == other["history"]
    for key in ("threshold", "thresholds"):  # of calibrated scores
        assert found["metrics"][key] == other["metrics"][key]
    assert abs(found["metrics"]["threshold"]) < 1e-3, "tuned again, it stays"


def test_an_interrupted_look_at_dev_leaves_the_threshold(tmp_path, monkeypatch):
    """The state that is saved then must give the same threshold again, to the last digit."""
    found = []

    def look(session, split, predictions):
        found.append(session.model.backbone.threshold.item())
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Session, "count", look)
        execute(tmp_path, RUN)
    assert found == [0.0]
