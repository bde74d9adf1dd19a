"""Official checkpoints as runs: what is taken over, what is refused, and that no code of a file
runs.
"""

import json
import os

import pytest
import torch
from command_line import invoke
from safetensors.torch import load_file

from backbones.encoders.huggingface import load_encoder
from backbones.encoders.tiny import Tiny
from benchmark.errors import UserError
from benchmark.interop.official import import_checkpoint, read_state_dict
from benchmark.interop.predict import predict
from benchmark.interop.publishing import push
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
DEAD = {"bilinear.weight": torch.zeros(3, 32), "bilinear.bias": torch.zeros(3)}
RENAMED = {"features.head": "head_extractor", "features.tail": "tail_extractor"}
RENAMED |= {"projection.linear": "projection", "bilinear.linear": "bilinear"}


def official(weights):
    """Our names -> the official ones, written out by hand: queries apart from keys and values."""
    renamed = {}
    for name, tensor in weights.items():
        for ours, theirs in RENAMED.items():
            name = name.replace(ours, theirs)
        if name.startswith("axial.layers."):
            _, _, number, part, *rest = name.split(".")
            if part in ("linear", "norm"):
                kind = {"linear": "ffns", "norm": "lns"}[part]
                name = f"axial_transformer.{kind}.{number}.{rest[0]}"
            else:
                side = ["column", "row"].index(part)
                side = f"axial_transformer.axial_attns.{number}.axial_attentions.{side}.fn"
                if rest[0] == "project":
                    query, keys = tensor.split([tensor.shape[1], 2 * tensor.shape[1]])
                    renamed[f"{side}.to_q.weight"], renamed[f"{side}.to_kv.weight"] = query, keys
                    continue
                name = f"{side}.to_out.{rest[1]}"
        renamed[name] = tensor
    return renamed


@pytest.fixture
def setting(tmp_path):
    """An encoder's folder, rel2id.json and documents."""
    torch.manual_seed(0)
    encoder = Tiny(DOCUMENT["sents"], vocabulary=60, width=16, layers=1, heads=2)
    encoder.save(tmp_path / "encoder")
    (tmp_path / "rel2id.json").write_text(json.dumps(RELATIONS))
    (tmp_path / "documents.json").write_text(json.dumps([DOCUMENT]))
    return tmp_path


def checkpoint(folder, backbone, **extra):
    """Save what the official code would have saved at random weights; returns the head's own."""
    encoder = load_encoder(str(folder / "encoder"), weights=False)
    layers = {"layers": 2} if backbone != "atlop" else {}
    head = BACKBONES[backbone](16, 3, emb=8, block=4, **layers)
    weights = {f"model.{name}": tensor for name, tensor in encoder.model.state_dict().items()}
    weights |= official(head.state_dict())
    weights |= {"model.embeddings.position_ids": torch.arange(4)[None]} | extra
    torch.save(weights, folder / "model.pt")
    return head.state_dict()


def run(folder, backbone, file="model.pt", **options):
    encoder, relations = str(folder / "encoder"), folder / "rel2id.json"
    settings = {"backbone": backbone, "encoder": encoder, "relations": relations}
    return import_checkpoint(folder / file, folder / "run", **settings, **options)


@pytest.mark.parametrize("backbone", [b for b in BACKBONES if hasattr(BACKBONES[b], "official")])
def test_weights_arrive_and_predict_works(setting, backbone):
    layers = {} if backbone == "atlop" else {"layers": 2, "axial": "pad_to_42_unmasked"}
    dead = DEAD if layers else {}
    head = checkpoint(setting, backbone, **dead)
    done = run(setting, backbone)
    assert {"emb": 8, "block": 4, **layers}.items() <= done.run.backbone.options.items()
    assert done.leftover == (*sorted(dead), "model.embeddings.position_ids")
    stored = load_file(setting / "run" / "best.safetensors")
    for name, tensor in head.items():
        assert torch.equal(stored[f"backbone.{name}"], tensor), name
    # classes follow the numbers of rel2id.json
    relations = json.loads((setting / "run" / "relations.json").read_text())["relations"]
    assert relations == [["P17", "P17"], ["P6", "P6"]]
    facts = predict(setting / "run", setting / "documents.json")
    assert {fact["r"] for fact in facts} <= {"P17", "P6"}
    with pytest.raises(UserError, match="no such threshold; it was imported"):
        predict(setting / "run", setting / "documents.json", "tuned")


def test_what_was_imported_has_no_scores_to_push(setting):
    checkpoint(setting, "atlop")
    run(setting, "atlop")
    with pytest.raises(UserError, match="was imported from model.pt, so there are no scores"):
        push(setting / "run", "me/model")


def test_several_gpus_and_safetensors(setting):
    head = checkpoint(setting, "atlop")
    weights = read_state_dict(setting / "model.pt")
    weights = {f"module.{name}": tensor for name, tensor in weights.items()}
    write_tensors(setting / "model.safetensors", weights)
    assert run(setting, "atlop", "model.safetensors").taken == len(weights) - 1
    stored = load_file(setting / "run" / "best.safetensors")
    assert torch.equal(stored["backbone.bilinear.linear.weight"], head["bilinear.linear.weight"])


def test_what_does_not_fit_is_named(setting):
    checkpoint(setting, "atlop")

    def refused(message, backbone="atlop", **options):
        with pytest.raises(UserError, match=message):
            run(setting, backbone, **options)

    refused("has no classifier.weight, so it belongs to another backbone", "kd_docre")
    refused("emb: follows from the shapes of the weights", options={"emb": 5})
    (setting / "rel2id.json").write_text(json.dumps({**RELATIONS, "P99": 3}))
    refused("has 3 classes, NA included, and .* holds 3 relations")
    # rel_info.json, whose order is another; class 0 must be NA
    numbered = {"P17": 0, "P6": 1, "Na": 2}
    for wrong in ({"P6": "head", "P17": "country"}, numbered, ["P17", "Na", "P6"]):
        (setting / "rel2id.json").write_text(json.dumps(wrong))
        refused("rel2id.json: expected the number of each class, from 0, which is NA, to 2")
    (setting / "rel2id.json").write_text(json.dumps(RELATIONS))
    checkpoint(setting, "atlop", **{"head_extractor.bias": torch.zeros(9)})
    refused("size mismatch for backbone.features.head.bias")
    weights = read_state_dict(setting / "model.pt")
    del weights["tail_extractor.bias"]
    torch.save(weights, setting / "model.pt")
    refused("(?s)Missing key.*backbone.features.tail.bias")
    # KD-DocRE's bilinear layer was never trained: as atlop it would predict at random
    checkpoint(setting, "kd_docre", **DEAD)
    refused("has an axial transformer, so it belongs to another backbone")
    assert not (setting / "run").exists()


def test_a_backbone_without_official_checkpoints(setting, lab):
    class Plain:
        pass

    BACKBONES.entry("left").target = Plain
    BACKBONES.entry("right").target = Plain
    with pytest.raises(UserError, match="'left' has no official checkpoints. Those that do: .*atl"):
        run(setting, "left")


class Hostile:
    def __reduce__(self):
        return os.system, ("touch owned",)


SPARSE = torch.zeros(2).to_sparse()
NO_WEIGHTS = [torch.nn.Linear(2, 2), [torch.zeros(2)], {"a": 1}, {1: torch.zeros(2)}, {}]


@pytest.mark.parametrize("content", [{"a": Hostile()}, Hostile(), {"a": SPARSE}, *NO_WEIGHTS])
@pytest.mark.parametrize("new_format", [True, False])
def test_no_code_of_a_file_runs(tmp_path, monkeypatch, content, new_format):
    monkeypatch.chdir(tmp_path)
    torch.save(content, "model.pt", _use_new_zipfile_serialization=new_format)
    with pytest.raises(UserError, match="model.pt: (not a state dict|holds something other)"):
        read_state_dict(tmp_path / "model.pt")
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("content", [None, b"", b"\x80\x02}q\x00.", b"PK\x03\x04", "cut"])
def test_files_that_cannot_be_read_are_named(tmp_path, content):
    path = tmp_path / "model.pt"
    if content == "cut":
        torch.save({"a": torch.arange(1000.0)}, path)
        content = path.read_bytes()[:-200]
    if content is not None:
        path.write_bytes(content)
    expected = "no such file" if content is None else "not a state dict|holds something other"
    with pytest.raises(UserError, match=f"model.pt: ({expected})"):
        read_state_dict(path)


def test_the_command_reports_what_is_left_over_and_overwrites_nothing(setting):
    checkpoint(setting, "kd_docre", **DEAD)
    command = ["import-checkpoint", str(setting / "model.pt"), "--backbone", "kd_docre"]
    for option, file in {"encoder": "encoder", "relations": "rel2id.json", "out": "run"}.items():
        command += [f"--{option}", str(setting / file)]
    result = invoke(*command, "--option", "gamma=2.0")
    assert result.exit_code == 0, result.output
    names = "bilinear.bias, bilinear.weight, model.embeddings.position_ids"
    assert "3 tensors" in result.stdout and names in result.stdout
    assert "gamma 2.0" in result.stdout
    before = {path: path.stat().st_mtime_ns for path in (setting / "run").rglob("*")}
    again = invoke(*command)
    assert again.exit_code == 2 and "is not empty" in again.stderr
    assert {path: path.stat().st_mtime_ns for path in (setting / "run").rglob("*")} == before
