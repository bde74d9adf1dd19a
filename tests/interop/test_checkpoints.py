"""Official checkpoints as runs: what is taken over, what is refused, and that nothing of a file is
executed.
"""

import json
import os
import zipfile

import pytest
import torch
from typer.testing import CliRunner

from backbones.encoders.huggingface import load_encoder, save_encoder
from backbones.encoders.tiny import tiny
from benchmark.commands.app import app
from benchmark.errors import UserError
from benchmark.interop.checkpoints import import_checkpoint
from benchmark.interop.predict import predict
from benchmark.interop.torch_archive import read_torch_archive
from benchmark.registry import BACKBONES
from benchmark.training.checkpoints import write_tensors

RELATIONS = {"Na": 0, "P6": 2, "P17": 1}  # not in the order of their numbers
DOCUMENT = {
    "title": "Ada",
    "sents": [["Ada", "lived", "in", "Velm", "."]],
    "vertexSet": [
        [{"name": "Ada", "pos": [0, 1], "sent_id": 0, "type": "PER"}],
        [{"name": "Velm", "pos": [3, 4], "sent_id": 0, "type": "LOC"}],
    ],
}


def official(weights):
    """Our names -> the official ones, written out by hand: queries apart from keys and values."""
    renamed = {}
    for name, tensor in weights.items():
        name = name.replace("features.head", "head_extractor").replace(
            "features.tail", "tail_extractor"
        )
        name = name.replace("projection.linear", "projection").replace(
            "bilinear.linear", "bilinear"
        )
        if name.startswith("axial.layers."):
            _, _, number, part, *rest = name.split(".")
            if part in ("linear", "norm"):
                name = (
                    f"axial_transformer.{'ffns' if part == 'linear' else 'lns'}.{number}.{rest[0]}"
                )
            else:
                side = f"axial_transformer.axial_attns.{number}.axial_attentions.{['column', 'row'].index(part)}.fn"
                if rest[0] == "project":
                    query, rows = tensor.split([tensor.shape[1], 2 * tensor.shape[1]])
                    renamed[f"{side}.to_q.weight"], renamed[f"{side}.to_kv.weight"] = query, rows
                    continue
                name = f"{side}.to_out.{rest[1]}"
        renamed[name] = tensor
    return renamed


@pytest.fixture
def setting(tmp_path):
    """An encoder's folder, rel2id.json and documents."""
    torch.manual_seed(0)
    encoder = tiny(DOCUMENT["sents"], vocabulary=60, width=16, layers=1, heads=2)
    save_encoder(encoder, tmp_path / "encoder")
    (tmp_path / "rel2id.json").write_text(json.dumps(RELATIONS))
    (tmp_path / "documents.json").write_text(json.dumps([DOCUMENT]))
    return tmp_path


def checkpoint(folder, backbone, file="model.pt", **extra):
    """What the official code would have saved for a model at random weights; and that model's own
    weights.
    """
    encoder = load_encoder(str(folder / "encoder"), weights=False)
    layers = {"layers": 2} if backbone != "atlop" else {}
    head = BACKBONES[backbone](16, 3, emb=8, block=4, **layers)
    weights = {f"model.{name}": tensor for name, tensor in encoder.model.state_dict().items()}
    weights |= (
        official(head.state_dict())
        | {"model.embeddings.position_ids": torch.arange(4)[None]}
        | extra
    )
    torch.save(weights, folder / file)
    return head.state_dict()


def run(folder, backbone, file="model.pt", out="run", **options):
    return import_checkpoint(
        folder / file,
        folder / out,
        backbone=backbone,
        encoder=str(folder / "encoder"),
        relations=folder / "rel2id.json",
        **options,
    )


@pytest.mark.parametrize("backbone", ["atlop", "kd_docre", "baseline"])
def test_weights_arrive_and_predict_works(setting, backbone):
    dead = {"bilinear.weight": torch.zeros(3, 32)} if backbone != "atlop" else {}
    head = checkpoint(setting, backbone, **dead)
    done = run(setting, backbone)
    options = done.run.backbone.options
    assert (options["emb"], options["block"], options.get("layers")) == (
        8,
        4,
        None if backbone == "atlop" else 2,
    )
    assert done.leftover == (*sorted(dead), "model.embeddings.position_ids")

    from safetensors.torch import load_file

    stored = load_file(setting / "run" / "best.safetensors")
    for name, tensor in head.items():
        assert torch.equal(stored[f"backbone.{name}"], tensor), name
    facts = predict(setting / "run", setting / "documents.json")
    assert {fact["r"] for fact in facts} <= {"P17", "P6"}


def test_classes_follow_the_numbers_of_rel2id(setting):
    checkpoint(setting, "atlop")
    run(setting, "atlop")
    assert json.loads((setting / "run" / "relations.json").read_text())["relations"] == [
        ["P17", "P17"],
        ["P6", "P6"],
    ]


def test_several_gpus_and_safetensors(setting):
    head = checkpoint(setting, "atlop")
    weights = {
        f"module.{name}": tensor
        for name, tensor in read_torch_archive(setting / "model.pt").items()
    }
    write_tensors(setting / "model.safetensors", weights)
    assert run(setting, "atlop", "model.safetensors").taken == len(weights) - 1
    stored = read_tensors_of(setting / "run")
    assert torch.equal(stored["backbone.bilinear.linear.weight"], head["bilinear.linear.weight"])


def read_tensors_of(folder):
    from safetensors.torch import load_file

    return load_file(folder / "best.safetensors")


def test_what_does_not_fit_is_named(setting):
    checkpoint(setting, "atlop")
    with pytest.raises(
        UserError, match="has no classifier.weight, so it is no checkpoint of kd_docre"
    ):
        run(setting, "kd_docre")
    (setting / "rel2id.json").write_text(json.dumps({**RELATIONS, "P99": 3}))
    with pytest.raises(
        UserError, match="has 3 classes, NA included, and .* holds 3 relations besides NA"
    ):
        run(setting, "atlop")
    (setting / "rel2id.json").write_text(json.dumps(RELATIONS))
    checkpoint(setting, "atlop", **{"head_extractor.bias": torch.zeros(9)})
    with pytest.raises(
        UserError, match=r"backbone.features.head.bias has the shape \[9\], expected \[8\]"
    ):
        run(setting, "atlop")
    checkpoint(setting, "atlop")
    weights = read_torch_archive(setting / "model.pt")
    del weights["tail_extractor.bias"]
    torch.save(weights, setting / "model.pt")
    with pytest.raises(
        UserError, match="lacks 1 tensors of atlop, the first: backbone.features.tail.bias"
    ):
        run(setting, "atlop")
    assert not (setting / "run").exists()


def test_nothing_is_overwritten(setting):
    checkpoint(setting, "atlop")
    (setting / "run").mkdir()
    (setting / "run" / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="is not empty"):
        run(setting, "atlop")
    assert [path.name for path in (setting / "run").iterdir()] == ["mine.txt"]


def test_archives_of_every_type_shape_and_layout(tmp_path):
    base = torch.arange(12.0)
    state = {
        "matrix": torch.randn(3, 4),
        "transposed": torch.randn(3, 4).T,
        "view": base[3:9].view(2, 3),
        "half": torch.randn(5).half(),
        "brain": torch.randn(5).bfloat16(),
        "long": torch.arange(4),
        "flag": torch.tensor([True, False]),
        "scalar": torch.tensor(3.5),
        "empty": torch.empty(0, 4),
        "parameter": torch.nn.Parameter(torch.randn(2)),
    }
    torch.save(state, tmp_path / "state.pt")
    read = read_torch_archive(tmp_path / "state.pt")
    assert list(read) == list(state)
    for name, tensor in state.items():
        assert read[name].dtype == tensor.dtype and torch.equal(read[name], tensor), name
    module = torch.nn.Linear(2, 3)
    torch.save(module.state_dict(), tmp_path / "module.pt")  # an OrderedDict with attributes
    assert torch.equal(read_torch_archive(tmp_path / "module.pt")["weight"], module.weight)


class Hostile:
    def __reduce__(self):
        return os.system, ("touch owned",)


@pytest.mark.parametrize(
    "content", [{"a": Hostile()}, Hostile(), torch.nn.Linear(2, 2), [torch.zeros(2)], {"a": 1}, {}]
)
def test_no_code_of_a_file_runs(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    torch.save(content, "model.pt")
    with pytest.raises(UserError, match="model.pt: (not a state dict|holds something else)"):
        read_torch_archive(tmp_path / "model.pt")
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("fault", ["cut", "old", "absent", "storage"])
def test_damaged_archives_are_named(tmp_path, fault):
    path = tmp_path / "model.pt"
    torch.save({"a": torch.arange(1000.0)}, path, _use_new_zipfile_serialization=fault != "old")
    if fault == "cut":
        path.write_bytes(path.read_bytes()[:-200])
    if fault == "absent":
        path.unlink()
    if fault == "storage":  # fewer numbers than the program claims
        with zipfile.ZipFile(path) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in parts.items():
                archive.writestr(name, content[:16] if name.endswith("data/0") else content)
    with pytest.raises(
        UserError, match="no such file" if fault == "absent" else "not a state dict"
    ):
        read_torch_archive(path)


def test_the_command_reports_what_is_left_over(setting):
    checkpoint(setting, "kd_docre", **{"bilinear.weight": torch.zeros(3, 32)})
    paths = {
        "--encoder": setting / "encoder",
        "--relations": setting / "rel2id.json",
        "--out": setting / "run",
    }
    arguments = [str(part) for item in paths.items() for part in item]
    command = ["import-checkpoint", str(setting / "model.pt"), "--backbone", "kd_docre", *arguments]
    result = CliRunner().invoke(app, [*command, "--option", "gamma=2.0"])
    assert result.exit_code == 0, result.output
    assert (
        "2 tensors left over" in result.stdout
        and "bilinear.weight, model.embeddings.position_ids" in result.stdout
    )
    assert "gamma 2.0" in result.stdout
    again = CliRunner().invoke(app, command)
    assert again.exit_code == 2 and "is not empty" in again.stderr


def test_another_backbones_checkpoint_is_refused(setting):
    """KD-DocRE's holds a bilinear layer that was never trained: as atlop it would predict at
    random.
    """
    checkpoint(
        setting,
        "kd_docre",
        **{"bilinear.weight": torch.zeros(3, 32), "bilinear.bias": torch.zeros(3)},
    )
    paths = {"encoder": str(setting / "encoder"), "relations": setting / "rel2id.json"}
    with pytest.raises(UserError, match="no checkpoint of atlop: kd_docre or baseline"):
        import_checkpoint(setting / "model.pt", setting / "run", backbone="atlop", **paths)
    with pytest.raises(UserError, match="emb: read off the weights"):
        import_checkpoint(
            setting / "model.pt", setting / "run", backbone="kd_docre", options={"emb": 5}, **paths
        )
    assert not (setting / "run").exists()
