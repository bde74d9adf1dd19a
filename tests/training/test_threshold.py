"""A threshold that is tuned on dev: stored with the weights, out of reach of test."""

from safetensors.torch import load_file
from samples import corpus
from tiny_runs import config, execute, five_documents, numbers

from benchmark.config import Choice

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
