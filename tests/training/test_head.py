"""The cheap protocol: a new head on the encoder of stage 1."""

from types import SimpleNamespace

import pytest
import tiny_runs
import torch
from safetensors.torch import load_file
from tiny_runs import config, execute, execute_and_kill, numbers, tiny_corpus

from benchmark.data.collation import Collator
from benchmark.data.features import featurise
from benchmark.data.sampling import DocumentBatches, Rows
from benchmark.errors import UserError
from benchmark.progress import Progress
from benchmark.store.cleaning import SAVED_STATE
from benchmark.store.runs import RunDirectory
from benchmark.training.building import restore_model
from benchmark.training.cache import EncodedCollator, EncodedSplit
from benchmark.training.checkpoints import read_tensors, write_tensors
from benchmark.training.model import DocreModel
from benchmark.training.stored_quality import StoredRunQuality

DROPOUT = {"encoder": {"options": {"dropout": 0.2}}, "epochs": 4}  # so that the passes differ


def stage1():
    return config(**DROPOUT)


def head(augmenter="none"):
    return tiny_runs.head(augmenter, **DROPOUT)


@pytest.fixture
def folder(tmp_path):
    execute(tmp_path, stage1())
    return tmp_path


@pytest.mark.parametrize("augmenter", ["none", "copies", "vae"])
def test_only_the_head_is_trained(folder, augmenter):
    beside = folder / "tests" / "atlop" / "none" / "seed-0"
    run = execute(folder, head(augmenter), branch_epoch=1)
    before, after = (load_file(path / "best.safetensors") for path in (beside, run.path))
    changed = {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    assert changed and all(name.startswith("backbone.") for name in changed)
    names = {file.name for file in beside.glob("encoded_*")}
    assert names == {f"encoded_{n}.safetensors" for n in ("dev", "test", "train-0", "train-1")}
    if augmenter == "none":
        assert run.read_json("metrics.json")["stage1"]["f1"] is not None


def test_the_encoder_is_asked_once_for_all_runs_of_a_seed(folder, monkeypatch):
    first = execute(folder, head(), branch_epoch=1)
    monkeypatch.setattr("benchmark.training.cache._encode", None)  # not called again
    execute(folder, head("copies"))
    assert first.state() == "done"


def test_a_run_branches_off_from_the_head_run_with_none(tmp_path):
    """With other encodings of the same documents on disk, or made anew."""
    found = []
    for attempt in ("branched", "whole"):
        execute(tmp_path / attempt, stage1())
        if attempt == "branched":
            execute(tmp_path / attempt, head(), branch_epoch=1)
        found.append(numbers(execute(tmp_path / attempt, head("copies"))))
    assert found[0] == found[1]


def test_encodings_of_other_weights_are_made_again(folder):
    execute(folder, head())
    beside = folder / "tests" / "atlop" / "none" / "seed-0"
    before = (beside / "encoded_dev.safetensors").read_bytes()
    tensors, _ = read_tensors(beside / "best.safetensors")
    write_tensors(beside / "best.safetensors", {name: t + 0.1 for name, t in tensors.items()})
    execute(folder, head("copies"))
    assert (beside / "encoded_dev.safetensors").read_bytes() != before


def test_a_finished_run_is_measured_in_the_space_of_its_stage_1(folder):
    """Not in that of the `none` run beside it, whose head is another."""
    execute(folder, head(), branch_epoch=1)
    run = execute(folder, head("vae"))
    before = run.read_json("quality.json")
    (run.path / "quality.json").unlink()
    measure = StoredRunQuality(lambda run: tiny_corpus(), Progress.silent()).record
    measure(run)
    assert run.read_json("quality.json") == before
    (folder / "tests_head").rename(folder / "mine")
    with pytest.raises(UserError, match="`none` run of the same seed, which is not there"):
        measure(RunDirectory(folder / "mine" / "atlop" / "vae" / "seed-0"))


@pytest.mark.parametrize("name", ["none", "vae"])
def test_what_was_begun_on_another_stage_1_does_not_go_on(folder, monkeypatch, name):
    """Its encoder would be the old one, and what it learns from that of the new one."""
    path = execute_and_kill(monkeypatch, folder, head(name), epoch=2)
    best = folder / "tests" / "atlop" / "none" / "seed-0" / "best.safetensors"
    tensors, _ = read_tensors(best)
    write_tensors(best, {name: t + 0.1 for name, t in tensors.items()})
    with pytest.raises(UserError, match="stage1_weights: .* stored, .* asked for"):
        execute(folder, head(name))
    RunDirectory(path).discard(*SAVED_STATE)  # what --restart does
    assert execute(folder, head(name)).state() == "done"


def split_of(value):
    """Three documents of four tokens and two mentions, whose encoding is this value throughout."""
    of = lambda *shape: torch.full(shape, value)
    tensors = {"states": of(12, 3).half(), "rows": of(48).half(), "heads": torch.tensor(2)}
    return EncodedSplit(tensors | {"length": torch.full((3,), 4), "mentions": torch.full((3,), 2)})


def test_a_document_is_drawn_from_the_passes_anew_in_each_epoch():
    batches = DocumentBatches([4] * 3, 3, order="random", seed=5)
    collator = EncodedCollator(None, [split_of(k) for k in range(3)], batches, seed=5)
    drawn = []
    for epoch in range(40):
        batches.set_epoch(epoch)
        drawn.append([collator._pass(row).states[0, 0].item() for row in range(3)])
        assert drawn[-1] == [collator._pass(row).states[0, 0].item() for row in range(3)]
    for of_document in zip(*drawn, strict=True):
        assert set(of_document) == {0.0, 1.0, 2.0}
    assert len(set(map(tuple, drawn))) > 10  # not one pass for a whole epoch


@pytest.mark.parametrize(("copies", "expected"), [(0, 0), (1, 1), (2, 2), (5, 2)])
def test_each_copy_of_a_view_is_another_pass_as_far_as_there_are_any(copies, expected):
    batches = DocumentBatches([4] * 3, 3, order="random", seed=5)
    batch = SimpleNamespace(rows=torch.arange(3), width=4, mention_state=torch.zeros(6))
    passes = [split_of(k) for k in range(3)]
    found = EncodedCollator(lambda rows: batch, passes, batches, seed=5, again=copies)([])
    others = [encoded.states[:, 0, 0] for encoded in found.encoded_again]
    assert len(others) == expected
    for of_document in zip(found.encoded.states[:, 0, 0], *others, strict=True):
        assert len(set(map(float, of_document))) == 1 + expected


def test_dropout_view_takes_the_passes_in_turn(folder, monkeypatch):
    taken, encode_again = [], DocreModel.encode_again

    def noted(model, batch, copy):
        taken.append(encode_again(model, batch, copy).states)
        return encode_again(model, batch, copy)

    monkeypatch.setattr(DocreModel, "encode_again", noted)
    monkeypatch.setitem(tiny_runs.AUGMENTERS, "dropout_view", {})
    run = tiny_runs.head("dropout_view", passes=3, **DROPOUT)
    execute(folder, run)
    assert taken and not any(torch.equal(*two) for two in zip(*[iter(taken)] * 2, strict=True))


def test_dropout_differs_between_passes_and_dev_has_none(folder):
    execute(folder, head())
    beside = folder / "tests" / "atlop" / "none" / "seed-0"
    states = {k: load_file(beside / f"encoded_train-{k}.safetensors")["states"] for k in (0, 1)}
    assert states[0].dtype == torch.float16 and states[0].shape == states[1].shape
    assert not torch.equal(states[0], states[1])
    made, encoder = tiny_corpus(), restore_model(stage1(), beside, 4).encoder.eval()
    features = featurise(made.dev, made, encoder.tokenizer, training=False)
    with torch.no_grad():
        clean = [encoder(Collator(encoder.windows)([row])) for row in Rows(features)]
    stored = load_file(beside / "encoded_dev.safetensors")
    expected = torch.cat([encoded.states[0] for encoded in clean])
    torch.testing.assert_close(stored["states"].float(), expected, atol=2e-3, rtol=2e-3)
    again = load_file(execute(folder / "again", stage1()).path / "best.safetensors")
    for name, tensor in load_file(beside / "best.safetensors").items():
        assert torch.equal(tensor, again[name])  # encoding has not touched stage 1
