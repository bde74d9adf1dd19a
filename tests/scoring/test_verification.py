"""`report --verify`: what of a run is made anew, and that every lie is found and named."""

import json
import shutil

import pytest
from data.test_validate import document, mention
from typer.testing import CliRunner

from benchmark.commands.app import app
from benchmark.config import complete_options
from benchmark.data.docred import docred_format
from benchmark.registry import DATASETS
from benchmark.scoring import verification
from benchmark.scoring.calibration import (
    above,
    average_precisions,
    rank,
    thresholds_by_relation,
    to_columns,
    tuned_threshold,
)
from benchmark.scoring.counts import count, score, score_relations
from benchmark.scoring.merging import ACCEPTED
from benchmark.scoring.verification import Documents, verify
from benchmark.store.runs import RunDirectory

FACTS = [{"h": 0, "t": 1, "r": "P1"}, {"h": 1, "t": 2, "r": "P2"}, {"h": 2, "t": 0, "r": "P1"}]


def documents(*titles):
    words = [["Velm", "borders", "New", "Cal", "."], ["Ost", "too"]]
    entities = [[mention()], [mention("New Cal", (2, 4))], [mention("Ost", (0, 1), 1)]]
    return [
        document(title=title, sents=words, vertexSet=entities, labels=FACTS[: 1 + i % 3])
        for i, title in enumerate(titles)
    ]


def right(title, *facts):
    return [{"title": title, "h_idx": h, "t_idx": t, "r": r, "score": 1.5} for h, t, r in facts]


PREDICTIONS = {
    "dev": right("d0", (0, 1, "P1"), (0, 1, "P2")),
    "test": [
        *right("t0", (0, 1, "P1")),
        *right("t1", (1, 2, "P2"), (1, 0, "P2")),
        *right("t2", (2, 0, "P1")),
    ],
}
CANDIDATES = {
    split: [
        *facts,
        {"title": facts[0]["title"], "h_idx": 2, "t_idx": 1, "r": "P2", "score": -0.5},
        {"title": facts[0]["title"], "h_idx": 2, "t_idx": 0, "r": "P1", "score": -1.5},
    ]
    for split, facts in PREDICTIONS.items()
}


def write_run(results, dataset, seed=0, augmenter="none", *, fused=False):
    """A finished run with everything that training writes, but weights; `fused`: with fusion, too.

    Its fused candidates are the plain ones, the last of them accepted.
    """
    corpus = docred_format(**dataset)
    directory = RunDirectory.of(results, "demo", "atlop", augmenter, seed)
    options = complete_options(DATASETS, "docred-format", dataset)
    config = {"dataset": {"name": "docred-format", "options": options}, "augment": None}
    config |= {"encoder": {"name": "tiny"}, "backbone": {"name": "atlop"}, "seed": seed}
    config |= {"augmenter": {"name": augmenter}, "train": {"epochs": 3}}
    directory.start(config, facts={"corpus": corpus.name, "corpus_digest": corpus.digest})
    metrics = {"best_epoch": 2, "epochs": 3, "seconds": 1.0, "device": "cpu"}
    known = {"relations": corpus.relations, "frequent": corpus.frequent}
    known["train_documents"] = corpus.train
    for split, predictions in PREDICTIONS.items():
        rows, candidates = getattr(corpus, split), CANDIDATES[split]
        ranking = rank(rows, candidates)
        if split == "dev":
            threshold = metrics["threshold"] = tuned_threshold(ranking)
            thresholds = thresholds_by_relation(ranking, corpus.relations, threshold)
            metrics["thresholds"] = thresholds
        chosen = [above(candidates, at) for at in (threshold, thresholds)]
        counts, calibrated, by_relation = (
            count(rows, facts, **known) for facts in (predictions, *chosen)
        )
        files = {
            f"predictions_{split}": predictions,
            f"counts_{split}": counts.to_json(),
            f"candidates_{split}": to_columns(candidates, corpus.relations),
            f"counts_{split}_calibrated": calibrated.to_json(),
            f"counts_{split}_per_relation": by_relation.to_json(),
        }
        for name, content in files.items():
            directory.write_json(f"{name}.json", content)
        metrics[split] = score(counts) | {
            "calibrated": score(calibrated),
            "per_relation": score(by_relation),
            "average_precision": average_precisions(ranking, corpus.relations, corpus.frequent),
        }
        metrics[f"{split}_relations"] = score_relations(counts)
        if fused:
            candidates = [*candidates[:-1], candidates[-1] | {"score": ACCEPTED}]
            if split == "dev":
                metrics["fusion_threshold"] = tuned_threshold(rank(rows, candidates))
            facts = above(candidates, metrics["fusion_threshold"])
            counts = count(rows, facts, **known)
            metrics[split]["fused"] = score(counts)
            directory.write_json(f"predictions_{split}_fused.json", facts)
            directory.write_json(f"counts_{split}_fused.json", counts.to_json())
            columns = to_columns(candidates, corpus.relations)
            directory.write_json(f"candidates_{split}_fused.json", columns)
    epochs = enumerate((None, 0.5, 0.5), start=1)
    directory.write_history({"epoch": n, "loss": 1.0, "dev": {"f1": f1}} for n, f1 in epochs)
    relations = [[name, name] for name in corpus.relations]
    directory.write_json("relations.json", {"relations": relations, "undirected": False})
    directory.write_json("metrics.json", metrics)
    directory.finish()
    return directory


@pytest.fixture
def dataset(tmp_path):
    splits = {
        "train": documents("a", "b", "c"),
        "dev": documents("d0"),
        "test": documents("t0", "t1", "t2"),
    }
    for name, content in splits.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    return {name: str(tmp_path / f"{name}.json") for name in splits} | {"frequent": ["P1"]}


@pytest.fixture
def run(tmp_path, dataset):
    return write_run(tmp_path / "results", dataset)


def edit(run, name, change, *, signed=True):
    """Change a JSON file of a finished run; signed: with a DONE that fits."""
    content = run.read_json(name)
    change(content)
    run.write_json(name, content)
    if signed:
        run.finish()


def to(value, *keys):
    """A change that sets the value at these keys; ... deletes it."""

    def change(content):
        *path, last = keys
        for key in path:
            content = content[key]
        content[last] = value
        if value is ...:
            del content[last]

    return change


def differences(run):
    return verify(run, Documents()).differences


def test_an_honest_run_is_made_anew_from_its_predictions(run):
    found = verify(run, Documents())
    assert found.differences == [] and found.unverified == [] and found.left == {}


def test_without_gold_documents_the_stored_counts_remain(run, dataset, tmp_path):
    (tmp_path / "test.json").unlink()
    found = verify(run, Documents())
    assert found.differences == []
    (reason,) = found.unverified
    assert "not compared with gold documents" in reason and "no such file" in reason
    moved = Documents(
        {"name": "docred-format", "options": dataset | {"test": str(tmp_path / "moved.json")}}
    )
    (tmp_path / "moved.json").write_text(json.dumps(documents("t0", "t1", "t2")))
    assert verify(run, moved).unverified == []
    (tmp_path / "moved.json").write_text(json.dumps(documents("t0", "t1", "t2", "t3")))
    (reason,) = verify(run, Documents(moved.dataset)).unverified
    assert "now holds other documents" in reason


def test_faulty_documents_are_read_once_for_all_runs(run, dataset, tmp_path, monkeypatch):
    other, reads = write_run(tmp_path / "results", dataset, seed=1), []
    read = verification.complete_options
    monkeypatch.setattr(verification, "complete_options", lambda *a: reads.append(a) or read(*a))
    (tmp_path / "test.json").write_text("[")
    known = Documents()
    first, second = (verify(each, known).unverified for each in (run, other))
    assert first == second and "not compared with gold documents" in first[0] and len(reads) == 1


SET_F1 = to(0.99, "test", "f1")


def test_without_candidates_the_calibrated_counts_remain(run):
    for split in ("dev", "test"):
        (run.path / f"candidates_{split}.json").unlink()
    edit(run, "metrics.json", to(0.99, "test", "calibrated", "f1"))
    found = verify(run, Documents())
    assert len(found.differences) == 1 and "counts_test_calibrated.json" in found.differences[0]
    assert "there is no candidates_test.json" in found.unverified


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (SET_F1, "test.f1 is 0.99; "),
        (to(None, "dev", "bucket_f1", "1-10"), "dev.bucket_f1.1-10 is None; "),
        (to(0.6, "test_relations", "P2", "f1"), "test_relations.P2.f1 is 0.6; "),
        (to(..., "test", "ltail_f1"), "test.ltail_f1 is nothing; "),
        (to(0.5, "test", "g1"), "test.g1 is 0.5; "),
        (to(3, "best_epoch"), "best_epoch is 3; history.jsonl gives 2"),
        (to(4, "epochs"), "epochs is 4; history.jsonl gives 3"),
        (to(0.99, "test", "calibrated", "f1"), "test.calibrated.f1 is 0.99; "),
        (to(0.99, "test", "per_relation", "f1"), "test.per_relation.f1 is 0.99; "),
        # made of the candidates and the gold documents alone
        (to(-0.25, "threshold"), "dev.threshold is -0.25; "),
        (to(-0.5, "thresholds", "P2"), "dev.thresholds.P2 is -0.5; "),
        (to(0.99, "test", "average_precision", "tail"), "test.average_precision.tail is 0.99; "),
    ],
)
def test_each_edited_metric_is_named(run, tmp_path, change, key):
    edit(run, "metrics.json", change)
    found = differences(run)
    assert found[0].startswith(f"{run.path / 'metrics.json'}: {key}")
    if "threshold" not in key:
        assert len(found) == 1
    if "threshold" not in key and "precision" not in key:
        (tmp_path / "train.json").unlink()  # the counts tell it, too
        (found,) = differences(run)
        assert found.startswith(f"{run.path / 'metrics.json'}: {key}")


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("metrics", to(0.99, "test", "fused", "f1"), "test.fused.f1 is 0.99; candidates_test_fu"),
        ("metrics", to(-9.0, "fusion_threshold"), "dev.fusion_threshold is -9.0; candidates_dev"),
        ("counts_dev_fused", to([], "by_relation"), "not the counts of one run"),
        ("predictions_test_fused", lambda facts: facts.pop(), "facts is not what candidates_test"),
        ("candidates_test_fused", lambda c: c["score"].reverse(), "facts is not what candidates_t"),
    ],
)
def test_fused_scores_are_made_anew_from_their_candidates(tmp_path, dataset, file, change, message):
    run = write_run(tmp_path / "results", dataset, fused=True)
    found = verify(run, Documents())
    assert found.differences == [] and found.unverified == []
    edit(run, f"{file}.json", change)
    assert any(message in difference for difference in differences(run)), differences(run)


def test_a_published_run_keeps_the_counts_of_its_fused_scores(tmp_path, dataset):
    run = write_run(tmp_path / "results", dataset, fused=True)
    for path in [*run.path.glob("candidates_*"), *run.path.glob("predictions_*")]:
        path.unlink()
    edit(run, "metrics.json", to(0.99, "test", "fused", "f1"))
    found = verify(run, Documents())
    assert len(found.differences) == 1 and "counts_test_fused.json gives" in found.differences[0]
    assert "there is no candidates_dev_fused.json" in found.unverified


UNKNOWN = ["threshold", "dev.average_precision", "thresholds", "test.average_precision"]


@pytest.mark.parametrize("change", [to(5.0, "threshold"), to(1.0, *UNKNOWN[3].split("."), "tail")])
def test_what_a_published_run_cannot_show_is_told_and_not_called_verified(run, change):
    """An average precision and a threshold follow from no counts."""
    for path in [*run.path.glob("candidates_*"), *run.path.glob("predictions_*")]:
        path.unlink()
    edit(run, "metrics.json", change)
    found = verify(run, Documents())
    assert found.differences == []
    assert found.left == dict.fromkeys(UNKNOWN, "candidates and gold documents")
    done = report(run.experiment, "--verify")
    said = f"these scores of 1 run were not recomputed: {', '.join(UNKNOWN)}\n"
    assert done.exit_code == 0
    assert f"without candidates and gold documents, {said}" in done.stderr
    said = "0 agree with their files, 1 agree as far as they were recomputed, 0 differ"
    assert f"verified 1 run: {said}" in done.stderr


def test_the_scores_of_stage_1_are_those_of_its_own_run(tmp_path, dataset):
    stage1 = write_run(tmp_path, dataset)
    run = RunDirectory(tmp_path / "demo_head" / "atlop" / "none" / "seed-0")
    shutil.copytree(stage1.path, run.path)
    copied = lambda metrics: metrics.update(stage1=metrics["test"])
    edit(run, "metrics.json", copied)
    found = verify(run, Documents())
    assert found.differences == [] and found.left == {}
    edit(run, "metrics.json", to(0.95, "stage1", "f1"))
    (difference,) = differences(run)
    said = "stage1.f1 is 0.95; demo/atlop/none/seed-0/metrics.json has 0.6"
    assert difference.startswith(f"{run.path / 'metrics.json'}: {said}")
    shutil.move(tmp_path / "demo", tmp_path / "elsewhere")
    found = verify(run, Documents())
    assert found.differences == [] and list(found.left) == ["stage1"]
    assert "a sound stage 1 run in" in found.left["stage1"]


def test_what_was_edited_without_a_new_digest_is_named_twice(run):
    edit(run, "metrics.json", SET_F1, signed=False)
    by_digest, by_score = differences(run)
    assert (
        "metrics.json: changed after the run was done" in by_digest
        and "test.f1 is 0.99" in by_score
    )


def invented(title):
    return lambda predictions: predictions.extend(right(title, (0, 1, "P1")))


def test_an_invented_prediction_moves_the_scores_and_the_counts(run):
    edit(run, "predictions_test.json", invented("t1"))
    found = "\n".join(differences(run))
    made = "is not what predictions_test.json and the gold documents give"
    assert f"counts_test.json: groups.all {made}" in found
    assert "test.f1 is 0.6" in found and "dev" not in found.replace("dev.json", "")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda counts: counts["groups"]["all"][0].__setitem__(0, -1), "groups.all is not what"),
        (lambda counts: counts["buckets"]["0"][1].__setitem__(1, 9), "buckets.0 is not what"),
        (lambda counts: counts["by_relation"][0].__setitem__(0, 7), "by_relation is not what"),
        (lambda counts: counts["titles"].pop(), "not the counts of one run"),
        (lambda counts: counts.pop("groups"), "not the counts of one run (KeyError: 'groups')"),
    ],
)
def test_edited_counts_are_named(run, change, message):
    edit(run, "counts_test.json", change)
    first, *_ = differences(run)
    assert first.startswith(f"{run.path}/counts_test.json: {message}")


def test_a_title_that_gold_does_not_have(run):
    edit(run, "predictions_dev.json", invented("nobody"))
    where = f"{run.path}/predictions_dev.json: prediction 2"
    assert differences(run) == [f"{where}: none of the 1 documents has the title 'nobody'"]


def test_a_run_that_kept_scores_alone(run):
    kinds = ("counts_{}", "predictions_{}", "counts_{}_calibrated", "candidates_{}")
    kinds += ("counts_{}_per_relation",)
    names = [f"{kind.format(split)}.json" for split in ("dev", "test") for kind in kinds]
    for name in names:
        (run.path / name).unlink()
    run.finish()
    found = verify(run, Documents())
    assert not found.differences and {"dev", "test_relations", "test.calibrated"} < {*found.left}
    assert [reason.removeprefix("there is no ") for reason in found.unverified] == names


@pytest.mark.parametrize(
    "name", ["history.jsonl", "DONE", "metrics.json", "config.json", "counts_test.json"]
)
@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"[" * 100_000, b"null", b"\xff"])
def test_no_file_of_another_form_is_a_crash(run, name, content):
    (run.path / name).write_bytes(content)
    if name != "DONE":
        run.finish()
    found = differences(run)
    assert found and all(str(run.path) in difference for difference in found)


def report(*arguments):
    return CliRunner().invoke(app, ["report", *map(str, arguments)], env={"COLUMNS": "200"})


def test_the_command_names_run_file_and_metric_and_makes_no_table(run, dataset, tmp_path):
    folder = tmp_path / "results" / "demo"
    other = write_run(tmp_path / "results", dataset, seed=1)
    done = report(folder, "--verify")
    assert done.exit_code == 0 and "2 runs: 2 agree with their files, 0 differ" in done.stderr
    (folder / "report.md").unlink()
    edit(other, "metrics.json", SET_F1)
    done = report(folder, "--verify")
    assert done.exit_code == 1 and not (folder / "report.md").exists()
    said = f"differs: {other.path}/metrics.json: test.f1 is 0.99; predictions_test.json"
    assert said in done.stderr and str(run.path) not in done.stderr
    assert "2 runs: 1 agree with their files, 1 differ" in done.stderr


def test_the_command_says_what_could_not_be_verified_and_which_is_damaged(run, dataset, tmp_path):
    write_run(tmp_path / "results", dataset, augmenter="vae")
    shutil.move(tmp_path / "test.json", tmp_path / "elsewhere.json")
    done = report(tmp_path / "results" / "demo", "--verify")
    said = "2 runs could not be checked in full: not compared with gold documents:"
    assert done.exit_code == 0 and said in done.stderr
    with open(run.path / "history.jsonl", "r+b") as file:
        file.truncate(20)
    done = report(tmp_path / "results" / "demo", "--verify")
    said = f"differs: {run.path}/history.jsonl: changed after the run was done"
    assert done.exit_code == 1 and said in done.stderr
