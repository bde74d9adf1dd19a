"""Losses and weights that are not finite: which step, which documents, and what is left to go on
from.
"""

import re
from types import SimpleNamespace

import pytest
import torch
from tiny_runs import config, execute

from benchmark.store.runs import RunDirectory
from benchmark.training.checkpoints import read_tensors
from benchmark.training.loop import TrainingError
from benchmark.training.model import DocreModel


@pytest.fixture
def steps(monkeypatch):
    """What happens in which step (from 1): a function of the model before its forward pass; a
    factor of its loss, or a constant.

    `rows`: the documents of each step so far.
    """
    forward = DocreModel.forward
    steps = SimpleNamespace(before={}, factor={}, constant={}, rows=[])

    def forward_with_faults(model, batch, *rest, **options):
        steps.rows.append(batch.rows.tolist())
        now = len(steps.rows)
        steps.before.get(now, lambda model: None)(model)
        loss = forward(model, batch, *rest, **options)
        return loss * steps.factor.get(now, 1.0) + steps.constant.get(now, 0.0)

    monkeypatch.setattr(DocreModel, "forward", forward_with_faults)
    return steps


def failed(folder, run):
    """The error that training ends with, and the file of the state that is left."""
    with pytest.raises(TrainingError) as caught:
        execute(folder, run)
    run = RunDirectory.of(folder, "tests", run.backbone.name, run.augmenter.name, run.seed)
    return str(caught.value), run.path / "checkpoint.safetensors"


def assert_finite(checkpoint, epoch, step):
    tensors, facts = read_tensors(checkpoint)
    assert (facts["epoch"], facts["step"]) == (epoch, step)
    assert all(tensor.isfinite().all() for tensor in tensors.values())


def titles(rows):
    return ", ".join(f"'d{row}'" for row in rows)


def make_the_gradient_infinite(model):
    weight = next(model.backbone.parameters())
    handle = weight.register_hook(lambda gradient: (handle.remove(), gradient * torch.inf)[1])


@pytest.mark.parametrize(
    ("fault", "save_every", "told", "saved"),
    [
        (("factor", 5, torch.nan), 600.0, "nan after step 5 (epoch 2, its step 2", (1, 0)),
        (("factor", 5, torch.inf), 600.0, "inf after step 5 (epoch 2, its step 2", (1, 0)),
        # an infinite constant leaves the weights finite; a state is saved after every step
        (("constant", 5, torch.inf), 0.0, "inf after step 5 (epoch 2, its step 2", (1, 1)),
        (("factor", 2, torch.nan), 600.0, "nan after step 2 (epoch 1, its step 2", None),
    ],
)
def test_a_loss_that_is_not_finite_is_named_and_the_run_goes_on_from_before_it(
    tmp_path, steps, monkeypatch, fault, save_every, told, saved
):
    """There are three steps an epoch; no state is saved that has seen the fault."""
    monkeypatch.setattr("tiny_runs.SAVE_EVERY", save_every)
    (what, step, value), run = fault, config()
    getattr(steps, what)[step] = value
    message, checkpoint = failed(tmp_path, run)
    assert f"the loss is {told}; documents {titles(steps.rows[step - 1])})" in message
    if saved is None:
        assert message.endswith("from the beginning: no state was saved yet")
        assert not checkpoint.exists()
        return
    place = {(1, 0): "after epoch 1", (1, 1): "after step 1 of epoch 2"}[saved]
    assert message.endswith(f"The next start continues from {checkpoint} ({place})")
    assert_finite(checkpoint, *saved)
    getattr(steps, what).clear()
    assert len(execute(tmp_path, run).read_history()) == 3


def test_the_state_before_augmentation_is_named(tmp_path, steps):
    stage1 = execute(tmp_path, config(), branch_epoch=1)
    steps.factor = {len(steps.rows) + 2: torch.nan}
    message, _ = failed(tmp_path, config(augmenter="gaussian"))
    assert "(epoch 2, its step 2;" in message
    assert f"from {stage1.path / 'branch.safetensors'} (after epoch 1)" in message


@pytest.mark.parametrize(("augmenter", "epoch"), [("none", 1), ("gaussian", 2)])
def test_weights_are_looked_at_before_they_are_saved(
    tmp_path, steps, monkeypatch, augmenter, epoch
):
    """The loss of the step was finite; its gradient is not."""
    monkeypatch.setattr("tiny_runs.SAVE_EVERY", 0.0)
    step = 3 * epoch - 1
    steps.before = {step: make_the_gradient_infinite}
    message, checkpoint = failed(tmp_path, config(augmenter=augmenter))
    where = f"(epoch {epoch}, its step 2; documents {titles(steps.rows[-1])})"
    assert f"the weights are not finite after step {step} {where}" in message
    assert f"{checkpoint} (after step 1 of epoch {epoch})" in message
    assert_finite(checkpoint, epoch - 1, 1)


def test_what_an_augmenter_refuses_is_traced_to_its_cause(tmp_path, steps):
    """Gaussian noise is asked for rows that are not finite, since the step before has spoiled the
    weights.
    """
    steps.before = {5: make_the_gradient_infinite}
    message, _ = failed(tmp_path, config(augmenter="gaussian"))
    cause = r"the weights are not finite after step 5 \(epoch 2, its step 2; .*\(after epoch 1\)$"
    assert re.search(cause, message)
