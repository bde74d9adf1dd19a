"""Tensors on disk: whole or not at all, and clear words about what is wrong."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from benchmark.errors import UserError
from benchmark.training.checkpoints import (
    is_sound,
    link,
    load_state,
    load_weights,
    read_facts,
    read_tensors,
    save_state,
    save_weights,
    write_tensors,
)


def test_tensors_and_facts_come_back(tmp_path):
    path, known = tmp_path / "x.safetensors", {"epoch": 3, "history": [{"loss": 0.1}]}
    write_tensors(path, {"a": torch.arange(6).view(2, 3).t()}, known)
    tensors, facts = read_tensors(path)
    assert tensors["a"].tolist() == [[0, 3], [1, 4], [2, 5]] and facts == known


def test_training_goes_on_as_if_never_stopped(tmp_path):
    def trained(steps, state=None):
        torch.manual_seed(0)
        model = nn.Linear(3, 2)
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, fused=True)
        if state:
            load_state(state, model, optimizer)
        for step in steps:
            optimizer.zero_grad()
            model(torch.full((4, 3), float(step + 1))).square().mean().backward()
            optimizer.step()
        return model, optimizer

    path = tmp_path / "state.safetensors"
    save_state(path, *trained(range(3)), {})
    resumed, whole = trained(range(3, 6), path)[0], trained(range(6))[0]
    assert torch.equal(resumed.weight, whole.weight) and torch.equal(resumed.bias, whole.bias)


def test_weights_that_do_not_fit_are_named(tmp_path):
    path = tmp_path / "w.safetensors"
    save_weights(nn.Linear(3, 2), path)
    with pytest.raises(UserError, match=r"w\.safetensors does not fit.*weight"):
        load_weights(nn.Linear(4, 2), path)


def test_every_cut_of_a_file_and_foreign_facts_are_damage(tmp_path):
    path = tmp_path / "x.safetensors"
    with pytest.raises(UserError, match="no such file"):
        read_tensors(path)
    write_tensors(path, {"a": torch.arange(6)}, {"epoch": 3})
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        for read in (read_tensors, read_facts):
            with pytest.raises(UserError, match=r"x\.safetensors: .*damaged"):
                read(path)
    for facts in ("{", "[" * 100_000, "nothing"):
        save_file({"a": torch.ones(1)}, path, metadata={"facts": facts})
        for read in (read_tensors, read_facts):
            with pytest.raises(UserError, match=r"x\.safetensors: .*damaged"):
                read(path)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x.safetensors"
    write_tensors(path, {"a": torch.ones(1)})

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("benchmark.training.checkpoints.save_file", full)
    with pytest.raises(UserError, match="no space left"):
        write_tensors(path, {"a": torch.zeros(1)})
    assert read_tensors(path)[0]["a"].item() == 1
    assert [file.name for file in tmp_path.iterdir()] == ["x.safetensors"]


def test_others_may_read_what_they_may_read_of_all_files(tmp_path):
    write_tensors(tmp_path / "weights.safetensors", {"a": torch.zeros(1)})
    (tmp_path / "plain").touch()
    assert (tmp_path / "weights.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_link_is_a_copy_where_there_are_no_links(tmp_path, monkeypatch):
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_text("new")
    target.write_text("old")

    def refuse(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("pathlib.Path.hardlink_to", refuse)
    link(source, target)
    assert target.read_text() == "new" and source.read_text() == "new"


@pytest.mark.parametrize("part", ["tensors", "facts"])
def test_what_was_changed_is_told(tmp_path, part):
    path = tmp_path / "x.safetensors"
    half, number = torch.ones(2, dtype=torch.bfloat16), torch.tensor(3)
    write_tensors(path, {"a": torch.arange(6.0), "b": half, "c": number}, {"step": 1000})
    assert is_sound(path)
    content = path.read_bytes()
    changed = content[:-3] + bytes([content[-3] ^ 1]) + content[-2:]
    path.write_bytes(changed if part == "tensors" else content.replace(b"1000", b"2000"))
    with pytest.raises(UserError, match="its content is not what was written"):
        read_tensors(path)
    assert not is_sound(path)
    assert read_facts(path)["step"] == (1000 if part == "tensors" else 2000)


def test_other_programs_files_are_read(tmp_path):
    save_file({"a": torch.ones(2)}, tmp_path / "x")
    assert is_sound(tmp_path / "x") and not is_sound(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "change", [lambda t: t[:1], lambda t: t.flatten(), lambda t: t.expand(2, *t.shape).contiguous()]
)
def test_an_optimiser_state_of_another_shape_is_refused(tmp_path, change):
    """The fused optimiser would read beyond its end."""
    model = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, fused=True)
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    save_state(tmp_path / "state", model, optimizer, {})
    tensors, _ = read_tensors(tmp_path / "state")
    tensors["optimizer.0.exp_avg"] = change(tensors["optimizer.0.exp_avg"])
    write_tensors(tmp_path / "state", tensors)
    with pytest.raises(UserError, match=r"optimiser state 0\.exp_avg does not fit"):
        load_state(tmp_path / "state", model, optimizer)


def test_a_state_of_more_parameters_is_refused(tmp_path):
    model, other = nn.Sequential(nn.Linear(3, 2), nn.Linear(3, 2)), nn.Sequential(nn.Linear(3, 2))
    optimizer = torch.optim.AdamW(model.parameters())
    sum(layer(torch.ones(1, 3)).sum() for layer in model).backward()
    optimizer.step()
    save_state(tmp_path / "state", model, optimizer, {})
    with pytest.raises(UserError, match=r"optimiser state 2\.\w+ does not fit this model"):
        load_state(tmp_path / "state", other, torch.optim.AdamW(other.parameters()))
