"""Whole runs: all cells of the grid, exact continuation, shared beginnings, stored predictions."""

import dataclasses
import json
import os
import signal
import time

import pytest
import torch
from samples import ADA, LONELY, NOBODY
from tiny_runs import (
    AUGMENTERS,
    BACKBONES,
    Killed,
    assert_same,
    config,
    execute,
    execute_and_kill,
    head,
    losses,
    numbers,
    on_call,
    tiny_corpus,
)

from benchmark import signals
from benchmark.config import Choice
from benchmark.data.collation import Collator
from benchmark.data.docred import as_docred
from benchmark.data.features import featurise
from benchmark.data.sampling import Rows
from benchmark.errors import UserError
from benchmark.interop.predict import predict
from benchmark.progress import Progress
from benchmark.registry import AUGMENTERS as AUGMENTERS_BY_NAME
from benchmark.store.cleaning import BASIS, BRANCH, CHECKPOINT, LEFTOVERS, SAVED_STATE, WEIGHTS
from benchmark.store.own_facts import own_facts
from benchmark.store.runs import RunDirectory
from benchmark.training.augmentation import Augmentation
from benchmark.training.building import build_encoder, restore_model
from benchmark.training.checkpoints import read_facts, read_tensors, write_tensors
from benchmark.training.distillation import TaughtCollator, stored_logits
from benchmark.training.evaluation import Evaluator
from benchmark.training.loop import Loop
from benchmark.training.model import DocreModel
from benchmark.training.resume import starting_point
from benchmark.training.session import Session
from benchmark.training.stages import use_threads


@pytest.fixture
def two_threads():
    before, ordered = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    yield use_threads(2, torch.device("cpu"))
    torch.set_num_threads(before)
    torch.use_deterministic_algorithms(ordered)


def test_two_threads_add_up_the_gradient_of_an_index_alike_every_time(two_threads):
    """Of entities that are read once for each of their pairs, say."""
    numbers = torch.arange(80).repeat(25)
    values, gradient = torch.randn(80, 300), torch.randn(2000, 300)

    def of_values():
        leaf = values.clone().requires_grad_()
        leaf[numbers].backward(gradient)
        return leaf.grad

    first = of_values()
    assert all(torch.equal(of_values(), first) for _ in range(30))


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_row_of_the_grid(tmp_path, backbone):
    execute(tmp_path, config(backbone), branch_epoch=1)
    for augmenter in AUGMENTERS:
        if augmenter != "none":
            directory = execute(tmp_path, config(backbone, augmenter))
            metrics = directory.read_json("metrics.json")
            assert 0 <= metrics["test"]["f1"] <= 1 and len(directory.read_history()) == 3
            assert len(directory.read_json("counts_test.json")["titles"]) == 3


@pytest.mark.parametrize("augmenter", ["copies", "vaediff"])
def test_a_branched_run_equals_one_trained_from_the_start(tmp_path, augmenter):
    """The `none` run keeps its state after warm-up only in the first case."""
    runs = []
    for attempt, branch_epoch in (("branched", 2), ("whole", None)):
        stage1 = execute(tmp_path / attempt, config("atlop"), branch_epoch=branch_epoch)
        assert (stage1.path / "branch.safetensors").is_file() == (branch_epoch is not None)
        run = config("atlop", augmenter, augment={"warmup_epochs": 2})
        runs.append(execute(tmp_path / attempt, run))
    assert_same(*runs)


def test_until_augmentation_sets_in_an_augmented_run_is_the_none_run(tmp_path):
    plain = losses(execute(tmp_path, config("baseline")))
    run = config("baseline", "copies", augment={"warmup_epochs": 2})
    augmented = losses(execute(tmp_path, run))
    assert plain[:2] == augmented[:2] and plain[2] != augmented[2]


def test_a_warm_up_without_the_contrastive_loss(tmp_path):
    """The state that `none` keeps after its warm-up had the contrastive loss, and is of no use."""
    plain = losses(execute(tmp_path, config("baseline"), branch_epoch=2))
    augment = {"warmup_epochs": 2, "warmup_contrastive": False}
    without = losses(execute(tmp_path, config("baseline", "copies", augment=augment)))
    assert all(one < other for one, other in zip(without[:2], plain[:2], strict=True))
    assert without[2] > without[1] + 0.1  # the contrastive loss sets in with augmentation


def test_stage_3_may_go_on_from_the_stage_1_weights(tmp_path, monkeypatch):
    """Trained for all epochs, with an optimiser that has seen nothing."""
    stage1 = execute(tmp_path, config("atlop"), branch_epoch=1)
    weights, began, epoch = read_tensors(stage1.path / "best.safetensors")[0], [], Loop._epoch

    def look_then_train(loop, bar):
        weights_now = {name: t.clone() for name, t in loop.model.state_dict().items()}
        began.append((weights_now, len(loop.optimizer.optimizer.state), loop.state.epoch))
        epoch(loop, bar)

    monkeypatch.setattr(Loop, "_epoch", look_then_train)
    warm = execute(tmp_path, config("atlop", "copies", augment={"start": "stage1"}))
    state, moments, first = began[0]
    assert first == moments == 0 and len(began) == 3
    torch.testing.assert_close(state, weights, rtol=0, atol=0)
    fresh = execute(tmp_path / "fresh", config("atlop", "copies"))
    assert losses(warm)[0] < losses(fresh)[0]


@pytest.mark.parametrize(
    ("run", "wanted_by"),
    [
        (config("atlop", "copies", augment={"start": "stage1"}), "augment.start: stage1"),
        (head(), "augment.stage3: head"),
        (config("atlop", "vae"), "stage 2"),
    ],
)
def test_what_starts_from_stage_1_needs_its_weights(tmp_path, run, wanted_by):
    with pytest.raises(UserError, match="the `none` run .* which is not there"):
        execute(tmp_path, run)
    stage1 = execute(tmp_path, config("atlop"))
    (stage1.path / "best.safetensors").unlink()
    with pytest.raises(UserError, match=f"weights are gone, and {wanted_by} needs them"):
        execute(tmp_path, run)


@pytest.mark.parametrize(
    ("augmenter", "train", "augment"),
    [
        ("none", {}, {}),
        ("none", {"precision": "bf16"}, {}),
        ("none", {"schedule": "constant", "decay": "weights", "rates": {"bilinear": 0.02}}, {}),
        ("vaediff", {}, {}),
        ("vaediff", {"precision": "bf16"}, {}),
        ("copies", {}, {"start": "stage1"}),
        ("vaediff", {}, {"start": "stage1", "warmup_contrastive": False}),
    ],
)
def test_a_killed_run_goes_on_where_it_stopped(tmp_path, monkeypatch, augmenter, train, augment):
    backbone = "baseline" if augment else "atlop"
    if augmenter != "none":
        for attempt in ("killed", "whole"):
            plain = config(backbone, **train)
            execute(tmp_path / attempt, plain, branch_epoch=1 if augment else None)
    run = config(backbone, augmenter, augment=augment or None, **train)
    whole = execute(tmp_path / "whole", run)
    execute_and_kill(monkeypatch, tmp_path / "killed", run, epoch=2)
    epochs, told = on_call(monkeypatch, Loop, "_epoch", 0), []
    monkeypatch.setattr(Progress, "message", lambda progress, text: told.append(text))
    resumed = execute(tmp_path / "killed", run)
    assert len(epochs) == 1  # the first two were not trained again
    assert f"continues from {resumed.path / CHECKPOINT} (after epoch 2)" in told
    assert numbers(resumed) == numbers(whole)


@pytest.mark.parametrize(("augmenter", "epoch"), [("none", 1), ("vae", 0), ("vae", 2)])
def test_a_resumed_run_adds_the_seconds_of_the_attempts_before(
    tmp_path, monkeypatch, augmenter, epoch
):
    """Before its first epoch has ended, a run goes on from what stage 2 fitted."""
    monkeypatch.setattr(Session, "spent", lambda session: 1000.0)
    monkeypatch.setattr(Augmentation, "_spent", lambda augmentation: 500.0)
    if augmenter != "none":
        execute(tmp_path, config())
    run = config(augmenter=augmenter)
    execute_and_kill(monkeypatch, tmp_path, run, epoch=epoch)
    monkeypatch.undo()
    metrics = execute(tmp_path, run).read().metrics
    assert 1000 < metrics["seconds"] < 1900
    assert augmenter == "none" or 500 < metrics["stage2_seconds"] < 950


def test_the_seconds_of_an_epoch_are_those_of_all_attempts_at_it(tmp_path, monkeypatch):
    monkeypatch.setattr("tiny_runs.SAVE_EVERY", 0.0)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        on_call(patch, DocreModel, "forward", 1, lambda: time.sleep(3))
        on_call(patch, DocreModel, "forward", 3)
        execute(tmp_path, config())
    first, second, _ = execute(tmp_path, config()).read_history()
    assert first["seconds"] > 3 > second["seconds"]


def test_the_seconds_of_the_none_run_are_not_those_of_a_run_that_starts_from_it(
    tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(Session, "spent", lambda session: 1000.0)
        assert execute(tmp_path, config(), branch_epoch=1).read().metrics["seconds"] == 1000
    epochs = on_call(monkeypatch, Loop, "_epoch", 0)
    metrics = execute(tmp_path, config(augmenter="copies")).read().metrics
    assert metrics["seconds"] < 900 and len(epochs) == 2


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
    steps = on_call(monkeypatch, DocreModel, "forward", stop + 1)
    with pytest.raises(Killed):
        execute(tmp_path / "killed", run)
    before = len(steps)
    resumed = execute(tmp_path / "killed", run)
    # steps done before it was killed, less those since the last update (with two batches an update,
    # one at most)
    kept = stop if run.train.accumulation == 1 or stop % 3 != 1 else stop - 1
    assert len(steps) - before == 9 - kept
    assert_same(resumed, whole)


def saved(folder):
    """(epochs, steps) of the state that a `none` run left."""
    run = RunDirectory.of(folder, "tests", "atlop", "none", 0)
    facts = read_facts(run.path / "checkpoint.safetensors")
    return facts["epoch"], facts["step"]


@pytest.mark.parametrize(
    ("place", "method", "call", "number", "expected"),
    [  # an epoch has three steps
        pytest.param(DocreModel, "forward", 5, signal.SIGTERM, (1, 2), id="within an epoch"),
        pytest.param(Evaluator, "predict", 2, signal.SIGTERM, (1, 3), id="while evaluating"),
        pytest.param(Evaluator, "predict", 2, signal.SIGINT, (1, 3), id="ctrl-c while evaluating"),
    ],
)
def test_a_signal_saves_and_the_run_ends_as_if_it_had_not_come(
    tmp_path, monkeypatch, place, method, call, number, expected
):
    """Only the signal makes a checkpoint here: none is due within the ten minutes of an epoch."""
    whole = execute(tmp_path / "whole", config())
    on_call(monkeypatch, place, method, call, lambda: os.kill(os.getpid(), number))
    # a shell that starts the tests in the background has them ignore Ctrl-C
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with signals.listening(), pytest.raises(KeyboardInterrupt) as stopped:
        execute(tmp_path / "stopped", config())
    signal.signal(signal.SIGINT, before)
    assert str(stopped.value) == ("SIGTERM" if number == signal.SIGTERM else "")
    assert saved(tmp_path / "stopped") == expected
    monkeypatch.undo()
    assert numbers(execute(tmp_path / "stopped", config())) == numbers(whole)


@pytest.mark.parametrize(("due", "expected"), [(600.0, (1, 0)), (0.0, (1, 3))])
def test_a_run_killed_while_it_evaluates_goes_on_from_its_last_checkpoint(
    tmp_path, monkeypatch, due, expected
):
    """No state is saved before an evaluation unless one is due."""
    whole = execute(tmp_path / "whole", config())
    on_call(monkeypatch, Evaluator, "predict", 2)
    monkeypatch.setattr("tiny_runs.SAVE_EVERY", due)
    with pytest.raises(Killed):
        execute(tmp_path / "killed", config())
    assert saved(tmp_path / "killed") == expected
    assert numbers(execute(tmp_path / "killed", config())) == numbers(whole)


class Copies(AUGMENTERS_BY_NAME["copies"]):
    """Other code under the same name."""


@pytest.mark.parametrize(
    ("what", "augmenter", "epoch", "difference"),
    [
        ("configuration", "copies", 1, "train.lr_head: 0.01 stored, 0.02 asked for"),
        ("configuration", "vae", 0, "train.lr_head: 0.01 stored, 0.02 asked for"),
        ("data", "copies", 1, "corpus_digest"),
        ("code", "copies", 1, "augmenter_code"),
    ],
)
def test_what_was_saved_and_does_not_fit_is_refused_and_kept(
    tmp_path, monkeypatch, what, augmenter, epoch, difference
):
    """A training state; or, before the first of them, the fitted augmenter alone."""
    if augmenter == "vae":
        execute(tmp_path, config())
    run, options = config(augmenter=augmenter), {}
    directory = RunDirectory(execute_and_kill(monkeypatch, tmp_path, run, epoch=epoch))
    contents = lambda: {path.name: path.read_bytes() for path in directory.path.glob("*.safetens*")}
    before = contents()
    assert ("checkpoint" if epoch else "augmenter") + ".safetensors" in before
    if what == "configuration":
        run = config(augmenter=augmenter, lr_head=2e-2)
    elif what == "data":
        options = {"corpus": tiny_corpus(relations=("r1", "r2", "r3", "r4"))}
    else:
        entry = AUGMENTERS_BY_NAME.entries()["copies"]
        changed = dataclasses.replace(entry, target=Copies)
        monkeypatch.setitem(AUGMENTERS_BY_NAME.entries(), "copies", changed)
    with pytest.raises(UserError, match=difference) as error:
        execute(tmp_path, run, **options)
    assert "--restart" in str(error.value) and contents() == before
    directory.discard(*SAVED_STATE)  # what --restart does
    assert execute(tmp_path, run, **options).state() == "done"


def test_the_weights_of_an_abandoned_setting_do_not_come_back(tmp_path, monkeypatch):
    """Killed in epoch 3 with one setting, killed at once with another, started again with the
    first.
    """
    for folder in (tmp_path, tmp_path / "whole"):
        execute(folder, config(), branch_epoch=1)
    first, second = config(augmenter="copies"), config(augmenter="copies", augment={"copies": 3})
    for run, epoch in ((first, 2), (second, 1)):
        path = execute_and_kill(monkeypatch, tmp_path, run, epoch=epoch)
        RunDirectory(path).discard(*SAVED_STATE)
    assert_same(execute(tmp_path, first), execute(tmp_path / "whole", first))


@pytest.mark.parametrize(
    "file", ["checkpoint", "best", "augmenter", "../../none/seed-0/positive_pairs_train"]
)
def test_what_is_not_as_it_was_written_counts_as_not_there(tmp_path, monkeypatch, file):
    """Killed in stage 3, and a byte of what it would go on from is another: it is made anew, and
    the run ends as it would have.
    """
    run = config(augmenter="vae")
    for folder in (tmp_path, tmp_path / "whole"):
        execute(folder, config(), branch_epoch=1)
    path = execute_and_kill(monkeypatch, tmp_path, run, epoch=2) / f"{file}.safetensors"
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.unlink()  # best may be a second name of the `none` run's weights
    path.write_bytes(content)
    assert numbers(execute(tmp_path, run)) == numbers(execute(tmp_path / "whole", run))


def test_a_frozen_encoder_computed_once_gives_the_same_model(tmp_path, monkeypatch):
    """With the encoder frozen and without dropout, cached outputs and fresh ones train the same
    head.
    """
    cached = execute(tmp_path, config("baseline", encoder={"freeze": "all"}))
    assert len(list((tmp_path / "tests" / "cache").glob("encoded-*.safetensors"))) == 3
    with monkeypatch.context() as patch:  # a second run reads the files
        patch.setattr("benchmark.training.cache._encode", None)
        execute(tmp_path, config("atlop", encoder={"freeze": "all"}))
    without = {"freeze": "lower:1", "options": {"dropout": 0.0}}
    fresh = execute(tmp_path / "fresh", config("baseline", encoder=without))
    assert losses(cached) == pytest.approx(losses(fresh), rel=1e-4)


def test_distillation(tmp_path):
    teacher = execute(tmp_path, config("kd_docre", store_logits=True))
    taught = execute(tmp_path, config("atlop", seed=1, distill_from=str(teacher.path)))
    plain = execute(tmp_path / "plain", config("atlop", seed=1))
    assert losses(taught)[0] > losses(plain)[0]
    with pytest.raises(UserError, match=r"train\.store_logits=true"):
        execute(tmp_path, config("atlop", seed=2, distill_from=str(tmp_path / "nowhere")))


def test_a_batch_brings_the_teachers_logits_of_its_own_pairs(tmp_path):
    """In whatever order the batch has its documents: the teacher's own model finds them again."""
    corpus, run = tiny_corpus(), config("kd_docre", store_logits=True)
    teacher = execute(tmp_path, run)
    model = restore_model(run, teacher.path, len(corpus.relations) + 1).eval()
    rows = Rows(featurise(corpus.train, corpus, model.encoder.tokenizer, training=True))
    titles, collate = list(corpus.train["title"]), Collator(model.encoder.windows)
    taught = TaughtCollator(collate, [str(teacher.path)], titles, corpus.relations)
    batch = taught([rows[i] for i in (3, 0, 2)])
    torch.testing.assert_close(batch.teacher, model.logits(batch), rtol=1e-4, atol=1e-5)


def test_several_teachers_teach_their_mean(tmp_path):
    corpus, runs = tiny_corpus(), [config(seed=seed, store_logits=True) for seed in (0, 1)]
    folders = [str(execute(tmp_path, run).path) for run in runs]
    titles, relations = list(corpus.train["title"]), corpus.relations
    first, second = (stored_logits(folder, titles, relations) for folder in folders)
    both = TaughtCollator(None, folders, titles, relations).logits
    torch.testing.assert_close(both[2], (first[2] + second[2]) / 2)
    assert losses(execute(tmp_path, config("baseline", seed=2, distill_from=folders)))[0] > 0


def test_an_augmenter_with_teachers_teaches_after_the_warm_up(tmp_path):
    folders = [str(execute(tmp_path, config(seed=s, store_logits=True)).path) for s in (1, 2)]
    plain = execute(tmp_path, config(), branch_epoch=1)
    wanted = Choice(name="distilled", options={"teachers": folders})
    student = config(augment={}).model_copy(update={"augmenter": wanted})
    taught = execute(tmp_path, student)
    assert losses(taught)[0] == losses(plain)[0] and losses(taught)[1] > losses(plain)[1]
    assert not (taught.path / "quality.json").exists()
    assert losses(execute(tmp_path / "alone", student)) == losses(taught), "without a branch, too"
    facts = {"corpus_digest": tiny_corpus().digest, **own_facts(student)}
    fresh = RunDirectory(tmp_path / "fresh")
    fresh.path.mkdir()
    assert starting_point(student, fresh, facts, plain.path) == plain.path / BRANCH


def test_pruning_leaves_what_tables_and_predictions_need(tmp_path):
    stage1 = execute(tmp_path, config(), branch_epoch=1)
    execute(tmp_path, config(augmenter="vae"))
    stage1.discard(*LEFTOVERS, *BASIS)
    assert {path.name for path in stage1.path.glob("*.safetensors")} == {"best.safetensors"}
    stage1.discard(*WEIGHTS)
    assert not list(stage1.path.glob("*.safetensors")) and stage1.read().metrics["test"]


def test_predicting_from_a_stored_run(tmp_path):
    run = execute(tmp_path, config("baseline", lr_head=3e-2, epochs=15))
    path = tmp_path / "mine.json"
    path.write_text(json.dumps([as_docred(row) for row in tiny_corpus().test]))
    facts, stored = predict(run.path, path), run.read_json("predictions_test.json")
    plain = lambda found: [
        [fact[key] for key in ("title", "h_idx", "t_idx", "r")] for fact in found
    ]
    assert stored and plain(facts) == plain(stored)
    assert facts[0]["relation"] == facts[0]["r"] and facts[0]["head"].startswith("w")
    path.write_text(json.dumps([as_docred(row) for row in (ADA, LONELY, NOBODY)]))
    assert {fact["title"] for fact in predict(run.path, path)} <= {"Ada"}
    with pytest.raises(UserError, match=f"1 runs; give one of them, such as {run.path}"):
        predict(run.path.parent, path)
    (run.path / "best.safetensors").unlink()
    with pytest.raises(UserError, match="there are no weights"):
        predict(run.path, path)


def test_undirected_pairs_are_predicted_once_and_alike(tmp_path):
    run = config("atlop", lr_head=3e-2, epochs=15)
    directory = execute(tmp_path, run, corpus=tiny_corpus(undirected=True))
    predictions = directory.read_json("predictions_test.json")
    assert predictions and all(fact["h_idx"] < fact["t_idx"] for fact in predictions)


def test_a_preset_encoder_takes_the_window_overlap():
    run = config(encoder={"window_overlap": 7})
    assert build_encoder(run.encoder, tiny_corpus()).windows.overlap == 7


def test_a_state_that_cannot_be_opened_is_not_taken_for_a_torn_one(tmp_path, monkeypatch):
    """Another user's, or too many files are open: it is not discarded."""
    state = tmp_path / "checkpoint.safetensors"
    write_tensors(state, {"a": torch.ones(1)}, {"epoch": 3})

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("benchmark.training.checkpoints.open", refuse, raising=False)
    with pytest.raises(UserError, match="safetensors: cannot be opened: Permission denied"):
        starting_point(config(), RunDirectory(tmp_path), {}, None)
    assert state.exists()
