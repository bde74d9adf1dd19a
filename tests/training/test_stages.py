"""Whole runs: every cell of the grid, the same numbers twice, exact continuation, shared
beginnings, prediction from disk.
"""

import dataclasses
import json
import os
import signal

import pytest
import torch
from samples import ADA, LONELY, NOBODY
from tiny_runs import AUGMENTERS, BACKBONES, config, execute, numbers, tiny_corpus

from benchmark import signals
from benchmark.data.batches import Collator, Rows
from benchmark.data.features import featurise
from benchmark.errors import UserError
from benchmark.interop.predict import predict
from benchmark.registry import AUGMENTERS as AUGMENTERS_BY_NAME
from benchmark.store.runs import RunDirectory
from benchmark.training import stages
from benchmark.training.checkpoints import read_facts, read_tensors
from benchmark.training.distillation import TaughtCollator
from benchmark.training.evaluation import Evaluator
from benchmark.training.loop import Loop
from benchmark.training.model import DocreModel, build_encoder, restore_model


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_row_of_the_grid(tmp_path, backbone):
    execute(tmp_path, config(backbone), branch_epoch=1)
    for augmenter in AUGMENTERS:
        if augmenter != "none":
            directory = execute(tmp_path, config(backbone, augmenter))
            metrics = directory.read_json("metrics.json")
            assert 0 <= metrics["test"]["f1"] <= 1 and len(directory.read_history()) == 3
            assert len(directory.read_json("counts_test.json")["titles"]) == 3


@pytest.mark.parametrize("augmenter", ["none", "gaussian", "vaediff"])
def test_the_same_seed_twice_gives_the_same_numbers(tmp_path, augmenter):
    found = []
    for attempt in ("a", "b"):
        if augmenter != "none":
            execute(tmp_path / attempt, config("baseline"), branch_epoch=1)
        found.append(numbers(execute(tmp_path / attempt, config("baseline", augmenter))))
    assert found[0] == found[1]


def test_another_seed_gives_other_numbers(tmp_path):
    first, second = (numbers(execute(tmp_path, config(seed=seed))) for seed in (0, 1))
    assert first["history"] != second["history"]


@pytest.mark.parametrize("augmenter", ["copies", "vaediff"])
def test_a_branched_run_equals_one_trained_from_the_start(tmp_path, augmenter):
    """The `none` run keeps its state after warm-up only in the first case; the weights themselves
    are compared.
    """
    found = []
    for attempt, branch_epoch in (("branched", 2), ("whole", None)):
        stage1 = execute(tmp_path / attempt, config("atlop"), branch_epoch=branch_epoch)
        assert (stage1.path / "branch.safetensors").is_file() == (branch_epoch is not None)
        run = execute(tmp_path / attempt, config("atlop", augmenter, augment={"warmup_epochs": 2}))
        found.append((numbers(run), read_tensors(run.path / "best.safetensors")[0]))
    assert found[0][0] == found[1][0]
    assert all((found[0][1][name] == tensor).all() for name, tensor in found[1][1].items())


def test_until_augmentation_sets_in_an_augmented_run_is_the_none_run(tmp_path):
    plain = execute(tmp_path, config("baseline"))
    augmented = execute(tmp_path, config("baseline", "copies", augment={"warmup_epochs": 2}))
    losses = [[epoch["loss"] for epoch in run.read_history()] for run in (plain, augmented)]
    assert losses[0][:2] == losses[1][:2] and losses[0][2] != losses[1][2]


def losses(run):
    return [epoch["loss"] for epoch in run.read_history()]


def test_a_warm_up_without_the_contrastive_loss(tmp_path):
    """`none` keeps its state after warm-up, which is not to be gone on from: its warm-up had the
    contrastive loss.
    """
    plain = execute(tmp_path, config("baseline"), branch_epoch=2)
    without = execute(
        tmp_path,
        config("baseline", "copies", augment={"warmup_epochs": 2, "warmup_contrastive": False}),
    )
    assert all(
        one < other for one, other in zip(losses(without)[:2], losses(plain)[:2], strict=True)
    )
    assert (
        losses(without)[2] > losses(without)[1] + 0.1
    )  # the contrastive loss sets in with augmentation


def test_stage_3_may_go_on_from_the_stage_1_weights(tmp_path, monkeypatch):
    stage1 = execute(tmp_path, config("atlop"), branch_epoch=1)
    weights, began = read_tensors(stage1.path / "best.safetensors")[0], []
    epoch = Loop._epoch

    def look_then_train(loop, bar):
        weights_now = {name: t.clone() for name, t in loop.model.state_dict().items()}
        began.append((weights_now, len(loop.optimizer.optimizer.state), loop.state.epoch))
        epoch(loop, bar)

    monkeypatch.setattr(Loop, "_epoch", look_then_train)
    warm = execute(tmp_path, config("atlop", "copies", augment={"start": "stage1"}))
    state, moments, first = began[0]
    assert (
        first == moments == 0 and len(began) == 3
    )  # trained for all epochs, with an optimiser that has seen nothing
    assert state.keys() == weights.keys() and all(
        (state[name] == tensor).all() for name, tensor in weights.items()
    )
    fresh = execute(tmp_path / "fresh", config("atlop", "copies"))
    assert losses(warm)[0] < losses(fresh)[0]


def test_a_warm_start_needs_the_weights_of_the_none_run(tmp_path):
    run = config("atlop", "copies", augment={"start": "stage1"})
    with pytest.raises(UserError, match="augment.start: stage1 needs the `none` run"):
        execute(tmp_path, run)
    stage1 = execute(tmp_path, config("atlop"))
    (stage1.path / "best.safetensors").unlink()
    with pytest.raises(UserError, match="weights are gone, and augment.start: stage1 needs them"):
        execute(tmp_path, run)


class Killed(BaseException):
    """What no handler catches."""


@pytest.mark.parametrize(
    ("augmenter", "precision", "augment"),
    [
        ("none", "fp32", {}),
        ("none", "bf16", {}),
        ("vaediff", "fp32", {}),
        ("vaediff", "bf16", {}),
        ("copies", "fp32", {"start": "stage1"}),
        ("vaediff", "fp32", {"start": "stage1", "warmup_contrastive": False}),
    ],
)
def test_a_killed_run_goes_on_where_it_stopped(
    tmp_path, monkeypatch, augmenter, precision, augment
):
    backbone = "baseline" if augment else "atlop"
    if augmenter != "none":
        for attempt in ("killed", "whole"):
            execute(
                tmp_path / attempt,
                config(backbone, precision=precision),
                branch_epoch=1 if augment else None,
            )
    run = config(backbone, augmenter, precision=precision, augment=augment)
    whole = execute(tmp_path / "whole", run)
    close_epoch, epochs = Loop._close_epoch, []

    def close_then_die(loop, seconds):
        close_epoch(loop, seconds)
        epochs.append(loop.state.epoch)
        if len(epochs) == 2:
            raise Killed

    monkeypatch.setattr(Loop, "_close_epoch", close_then_die)
    with pytest.raises(Killed):
        execute(tmp_path / "killed", run)
    resumed = execute(tmp_path / "killed", run)
    assert epochs == [
        1,
        2,
        3,
    ]  # the third was trained after the restart, the first two were not trained again
    assert numbers(resumed) == numbers(whole)


@pytest.fixture(scope="module", params=[1, 2])
def accumulating(request, tmp_path_factory):
    """A configuration that updates after so many batches, and its run that nobody killed."""
    run = config("baseline", accumulation=request.param)
    return run, execute(tmp_path_factory.mktemp("whole"), run)


@pytest.mark.parametrize("stop", range(1, 9))
def test_a_run_that_is_killed_within_an_epoch_goes_on_from_its_last_checkpoint(
    tmp_path, monkeypatch, accumulating, stop
):
    """Three epochs of three steps; killed in the forward pass of each step in turn, with a
    checkpoint after every update.
    """
    monkeypatch.setattr("tiny_runs.SAVE_EVERY", 0.0)
    run, whole = accumulating
    forward, steps = DocreModel.forward, []

    def forward_or_die(model, *rest, **options):
        steps.append(len(steps))
        if len(steps) == stop + 1:
            raise Killed
        return forward(model, *rest, **options)

    monkeypatch.setattr(DocreModel, "forward", forward_or_die)
    with pytest.raises(Killed):
        execute(tmp_path / "killed", run)
    before = len(steps)
    resumed = execute(tmp_path / "killed", run)
    # steps done before it was killed, less those since the last update (with two batches an update,
    # one at most)
    kept = stop if run.train.accumulation == 1 or stop % 3 != 1 else stop - 1
    assert len(steps) - before == 9 - kept
    assert numbers(resumed) == numbers(whole)
    weights = [read_tensors(run.path / "best.safetensors")[0] for run in (resumed, whole)]
    assert all((weights[0][name] == tensor).all() for name, tensor in weights[1].items())


@pytest.mark.parametrize(
    ("place", "method", "call", "number", "saved"),
    [
        pytest.param(
            DocreModel, "forward", 5, signal.SIGTERM, (1, 2), id="within an epoch"
        ),  # of three steps
        pytest.param(Evaluator, "predict", 2, signal.SIGTERM, (1, 3), id="while evaluating"),
        pytest.param(Evaluator, "predict", 2, signal.SIGINT, (1, 3), id="ctrl-c while evaluating"),
    ],
)
def test_a_signal_saves_and_the_run_ends_as_if_it_had_not_come(
    tmp_path, monkeypatch, place, method, call, number, saved
):
    """Only the signal makes a checkpoint here: none is due within the ten minutes of an epoch."""
    run = config("atlop")
    whole = execute(tmp_path / "whole", run)
    original, calls = getattr(place, method), []

    def and_signal(*arguments, **options):
        calls.append(1)
        if len(calls) == call:
            os.kill(os.getpid(), number)
        return original(*arguments, **options)

    monkeypatch.setattr(place, method, and_signal)
    # a shell that starts the tests in the background has them ignore Ctrl-C
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with signals.listening(), pytest.raises(KeyboardInterrupt) as stopped:
        execute(tmp_path / "stopped", run)
    signal.signal(signal.SIGINT, before)
    assert str(stopped.value) == ("SIGTERM" if number == signal.SIGTERM else "")
    facts = read_facts(
        tmp_path / "stopped" / "tests" / "atlop" / "none" / "seed-0" / "checkpoint.safetensors"
    )
    assert (facts["epoch"], facts["step"]) == saved
    monkeypatch.undo()
    assert numbers(execute(tmp_path / "stopped", run)) == numbers(whole)


def test_a_run_killed_while_it_evaluates_goes_on_from_its_last_checkpoint(tmp_path, monkeypatch):
    """No state is saved before an evaluation unless one is due."""
    whole, evaluate, calls = execute(tmp_path / "whole", config()), Evaluator.predict, []

    def evaluate_or_die(*arguments, **options):
        calls.append(1)
        if len(calls) == 2:
            raise Killed
        return evaluate(*arguments, **options)

    monkeypatch.setattr(Evaluator, "predict", evaluate_or_die)
    for due, saved in ((600.0, (1, 0)), (0.0, (1, 3))):
        calls.clear()
        monkeypatch.setattr("tiny_runs.SAVE_EVERY", due)
        with pytest.raises(Killed):
            execute(tmp_path / str(due), config())
        facts = read_facts(
            tmp_path / str(due) / "tests" / "atlop" / "none" / "seed-0" / "checkpoint.safetensors"
        )
        assert (facts["epoch"], facts["step"]) == saved
        assert numbers(execute(tmp_path / str(due), config())) == numbers(whole)


def other_code():
    """Another `copies`, under the same name."""

    class Copies(AUGMENTERS_BY_NAME["copies"]):
        pass

    return Copies


@pytest.mark.parametrize(
    ("what", "difference"),
    [
        ("configuration", "train.lr_head: 0.01 stored, 0.02 asked for"),
        ("data", "corpus_digest"),
        ("code", "augmenter_code"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_and_kept(tmp_path, monkeypatch, what, difference):
    def dies_in_epoch_2(loop, bar):
        if loop.state.epoch == 1:
            raise Killed

    run, options = config(augmenter="copies"), {}
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Loop, "_epoch", dies_in_epoch_2)
        execute(tmp_path, run)
    directory = RunDirectory.of(tmp_path, "tests", "atlop", "copies", 0)
    saved = {path.name: path.read_bytes() for path in directory.path.glob("*.safetensors")}
    assert "checkpoint.safetensors" in saved
    if what == "configuration":
        run = config(augmenter="copies", lr_head=2e-2)
    elif what == "data":
        options = {"corpus": tiny_corpus(relations=("r1", "r2", "r3", "r4"))}
    else:
        entry = AUGMENTERS_BY_NAME.entries()["copies"]
        changed = dataclasses.replace(entry, target=other_code())
        monkeypatch.setitem(AUGMENTERS_BY_NAME.entries(), "copies", changed)
    with pytest.raises(UserError, match=difference) as error:
        execute(tmp_path, run, **options)
    assert "--restart" in str(error.value)
    assert saved == {path.name: path.read_bytes() for path in directory.path.glob("*.safetensors")}
    directory.discard_saved_state()  # what --restart does
    fresh = execute(tmp_path / "fresh", run, **options)
    assert numbers(execute(tmp_path, run, **options)) == numbers(fresh)


def test_a_fitted_augmenter_that_does_not_fit_is_refused_and_kept(tmp_path, monkeypatch):
    """The run was killed after stage 2, before its first checkpoint."""

    def die(loop, start_from=None):
        raise Killed

    execute(tmp_path, config())
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Loop, "run", die)
        execute(tmp_path, config(augmenter="vae"))
    directory = RunDirectory.of(tmp_path, "tests", "atlop", "vae", 0)
    (file,) = directory.path.glob("*.safetensors")
    fitted, other = file.read_bytes(), config(augmenter="vae", lr_head=2e-2)
    with pytest.raises(UserError, match="train.lr_head: 0.01 stored, 0.02 asked for"):
        execute(tmp_path, other)
    assert file.name == "augmenter.safetensors" and file.read_bytes() == fitted
    directory.discard_saved_state()
    assert execute(tmp_path, other).state() == "done"


def test_the_weights_of_an_abandoned_setting_do_not_come_back(tmp_path, monkeypatch):
    """Killed in epoch 3 with one setting, killed at once with another, started again with the
    first.
    """
    execute(tmp_path, config(), branch_epoch=1)
    first, second = config(augmenter="copies"), config(augmenter="copies", augment={"copies": 3})
    epoch = Loop._epoch

    def die_in(number):
        def run_epoch(loop, bar):
            if loop.state.epoch == number:
                raise Killed
            epoch(loop, bar)

        monkeypatch.setattr(Loop, "_epoch", run_epoch)

    directory = RunDirectory.of(tmp_path, "tests", "atlop", "copies", 0)
    for run, number in ((first, 2), (second, 1)):
        die_in(number)
        with pytest.raises(Killed):
            execute(tmp_path, run)
        directory.discard_saved_state()
    monkeypatch.undo()
    found = execute(tmp_path, first)
    execute(tmp_path / "whole", config(), branch_epoch=1)
    whole = execute(tmp_path / "whole", first)
    assert numbers(found) == numbers(whole)
    weights = [read_tensors(run.path / "best.safetensors")[0] for run in (found, whole)]
    assert all((weights[0][name] == tensor).all() for name, tensor in weights[1].items())


@pytest.mark.parametrize(
    ("backbone", "augmenter", "message"),
    [
        ({"emb": 16, "block": 5}, {}, "block must divide emb"),
        ({"emb": -4}, {}, "negative dimension"),
        ({"emb": "abc"}, {}, "backbone 'baseline' cannot be made"),
        ({"entropy": "foo"}, {}, "option 'entropy': Input should be 'vectorised"),
        ({}, {"epochs": -1}, "epochs"),
    ],
)
def test_hyper_parameters_are_tried_before_anything_is_trained(backbone, augmenter, message):
    run = config("baseline", "vae", options=backbone)
    run = run.model_copy(
        update={
            "augmenter": run.augmenter.model_copy(
                update={"options": {**run.augmenter.options, **augmenter}}
            )
        }
    )
    with pytest.raises(UserError, match=message):
        stages.require_buildable(run)


def test_a_fitted_augmenter_needs_stage_1(tmp_path):
    with pytest.raises(UserError, match="`none` run"):
        execute(tmp_path, config("atlop", "vae"))


def test_a_frozen_encoder_computed_once_gives_the_same_model(tmp_path, monkeypatch):
    """With the encoder frozen and without dropout, cached outputs and fresh ones train the same
    head.
    """
    run = config("baseline", encoder={"freeze": "all"})
    cached = execute(tmp_path, run)
    files = list((tmp_path / "tests" / "cache").glob("encoded-*.safetensors"))
    assert len(files) == 3
    monkeypatch.setattr("benchmark.training.cache._encode", None)  # a second run reads the files
    again = execute(tmp_path, config("atlop", encoder={"freeze": "all"}))
    assert again.state() == "done"
    monkeypatch.undo()

    fresh_run = run.model_copy(
        update={
            "encoder": run.encoder.model_copy(
                update={"freeze": "lower:1", "options": {**run.encoder.options, "dropout": 0.0}}
            )
        }
    )
    fresh = execute(tmp_path / "fresh", fresh_run)
    for ours, theirs in zip(numbers(cached)["history"], numbers(fresh)["history"], strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-4)


def test_distillation(tmp_path):
    teacher = execute(tmp_path, config("kd_docre", store_logits=True))
    student = config("atlop", seed=1, distill_from=str(teacher.path))
    taught = execute(tmp_path, student)
    plain = execute(tmp_path / "plain", config("atlop", seed=1))
    assert taught.read_history()[0]["loss"] > plain.read_history()[0]["loss"]
    missing = config("atlop", seed=2, distill_from=str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"train\.store_logits=true"):
        execute(tmp_path, missing)


def test_a_batch_brings_the_teachers_logits_of_its_own_pairs(tmp_path):
    """In whatever order the batch has its documents: the teacher's own model finds them again."""
    corpus, run = tiny_corpus(), config("kd_docre", store_logits=True)
    teacher = execute(tmp_path, run)
    model = restore_model(run, teacher.path, len(corpus.relations) + 1).eval()
    rows = Rows(featurise(corpus.train, corpus, model.encoder.tokenizer, training=True))
    titles, collate = list(corpus.train["title"]), Collator(model.encoder.windows)
    taught = TaughtCollator(collate, str(teacher.path), titles, corpus.relations)
    batch = taught([rows[i] for i in (3, 0, 2)])
    torch.testing.assert_close(batch.teacher, model.logits(batch), rtol=1e-4, atol=1e-5)


def test_pruning_leaves_what_tables_and_predictions_need(tmp_path):
    stage1 = execute(tmp_path, config(), branch_epoch=1)
    execute(tmp_path, config(augmenter="vae"))
    assert read_facts(stage1.path / "branch.safetensors")["epoch"] == 1
    stage1.discard_leftovers()
    stage1.discard_basis(keep_weights=True)
    left = {path.name for path in stage1.path.glob("*.safetensors")}
    assert left == {"best.safetensors"}
    stage1.discard_basis(keep_weights=False)
    assert not list(stage1.path.glob("*.safetensors")) and stage1.read().metrics["test"]


def raw(document):
    """A canonical row as DocRED-format JSON without labels."""
    mention = lambda m: {
        "name": m["name"],
        "sent_id": m["sentence"],
        "pos": [m["start"], m["end"]],
        "type": "MISC",
    }
    entities = [[mention(m) for m in entity["mentions"]] for entity in document["entities"]]
    return {"title": document["title"], "sents": document["sentences"], "vertexSet": entities}


def test_predicting_from_a_stored_run(tmp_path):
    run = execute(tmp_path, config("baseline", lr_head=3e-2, epochs=15))
    test = tiny_corpus().test
    path = tmp_path / "mine.json"
    path.write_text(json.dumps([raw(row) for row in test]))
    facts = predict(run.path, path)
    stored = run.read_json("predictions_test.json")
    assert stored and [
        {key: fact[key] for key in ("title", "h_idx", "t_idx", "r")} for fact in facts
    ] == [{key: fact[key] for key in ("title", "h_idx", "t_idx", "r")} for fact in stored]
    assert facts[0]["relation"] == facts[0]["r"] and facts[0]["head"].startswith("w")
    path.write_text(json.dumps([raw(row) for row in (ADA, LONELY, NOBODY)]))
    assert {fact["title"] for fact in predict(run.path, path)} <= {"Ada"}
    with pytest.raises(UserError, match=f"1 runs; give one of them, such as {run.path}"):
        predict(run.path.parent, path)
    (run.path / "best.safetensors").unlink()
    with pytest.raises(UserError, match="there are no weights"):
        predict(run.path, path)


def test_undirected_pairs_are_predicted_once_and_alike(tmp_path):
    run = execute(
        tmp_path, config("atlop", lr_head=3e-2, epochs=15), corpus=tiny_corpus(undirected=True)
    )
    predictions = run.read_json("predictions_test.json")
    assert predictions and all(fact["h_idx"] < fact["t_idx"] for fact in predictions)


def test_a_preset_encoder_takes_the_window_overlap(tmp_path):
    run = config(encoder={"window_overlap": 7})
    assert build_encoder(run.encoder, tiny_corpus()).windows.overlap == 7


@pytest.mark.parametrize(
    "file", ["checkpoint", "best", "augmenter", "../../none/seed-0/positive_pairs_train"]
)
def test_what_is_not_as_it_was_written_counts_as_not_there(tmp_path, monkeypatch, file):
    """Killed in stage 3, and a byte of what it would go on from is another: it is made anew, and
    the run ends as it would have.
    """
    run = config(augmenter="vae")
    execute(tmp_path, config(), branch_epoch=1)
    epoch = Loop._epoch

    def die(loop, bar):
        if loop.state.epoch == 2:
            raise Killed
        epoch(loop, bar)

    monkeypatch.setattr(Loop, "_epoch", die)
    with pytest.raises(Killed):
        execute(tmp_path, run)
    monkeypatch.undo()
    path = tmp_path / "tests" / "atlop" / "vae" / "seed-0" / f"{file}.safetensors"
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.unlink()  # best may be a second name of the `none` run's weights
    path.write_bytes(content)
    found = execute(tmp_path, run)
    execute(tmp_path / "whole", config(), branch_epoch=1)
    assert numbers(found) == numbers(execute(tmp_path / "whole", run))
