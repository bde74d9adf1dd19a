"""What identifies the encoder of a run."""

import json
import subprocess
from types import SimpleNamespace

import pytest

from benchmark import hub
from benchmark.config import EncoderConfig
from benchmark.errors import UserError
from benchmark.grid import identity
from benchmark.store.own_facts import files_digest, teacher_digest


@pytest.fixture(autouse=True)
def nothing_remembered():
    hub._from_hub.cache_clear()


CORPUS = SimpleNamespace(name="corpus", digest="d1", notes=())


def encoder_digest(name, revision=None):
    known = identity.facts(CORPUS, EncoderConfig(name=name, revision=revision))
    assert known["corpus_digest"] == "d1"
    return known["encoder_digest"]


def a_folder(path, **files):
    path.mkdir(parents=True)
    for name, content in files.items():
        (path / name.replace("__", ".")).write_text(content)
    return str(path)


def test_same_encoder_elsewhere_has_the_same_digest(tmp_path):
    files = {"config__json": "{}", "model__safetensors": "weights"}
    one = a_folder(tmp_path / "one", **files)
    other = a_folder(tmp_path / "other", **files, README__md="not of the encoder")
    assert encoder_digest(one) == encoder_digest(other) and len(encoder_digest(one)) == 16


def test_weights_in_several_files_count(tmp_path):
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    parts = {"model-1__safetensors": "a", "model__safetensors__index__json": json.dumps(index)}
    one = a_folder(tmp_path / "one", **parts, **{"model-2__safetensors": "b"})
    other = a_folder(tmp_path / "other", **parts, **{"model-2__safetensors": "B"})
    assert encoder_digest(one) != encoder_digest(other)


@pytest.mark.parametrize("index", ["{", "[]", "{}", '{"weight_map": [1]}'])
def test_an_index_of_weights_that_is_none_is_named(tmp_path, index):
    folder = a_folder(tmp_path / "one", model__safetensors__index__json=index)
    with pytest.raises(UserError, match="index.json: not an index of weights"):
        encoder_digest(folder)


def test_the_home_of_an_unknown_user_is_no_folder():
    with pytest.raises(UserError, match="encoder '~nobody-of-this-name/x': This name is no"):
        encoder_digest("~nobody-of-this-name/x")
    assert teacher_digest(["~nobody-of-this-name/x"]) is None
    options = SimpleNamespace(options={"path": "~nobody-of-this-name/x"})
    number = SimpleNamespace(options={"path": 3})  # its class says what is wrong with it
    run = SimpleNamespace(backbone=options, augmenter=number, encoder=options)
    assert files_digest(run) is None


def test_a_package_below_the_repository_of_something_else_has_no_commit(tmp_path, monkeypatch):
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", "theirs"], check=True)
    monkeypatch.setattr(identity, "__file__", str(tmp_path / "identity.py"))
    assert identity.commit() is None
    (tmp_path / "identity.py").touch()
    subprocess.run([*git, "add", "identity.py"], check=True)
    subprocess.run([*git, "commit", "--quiet", "-m", "ours"], check=True)
    assert len(identity.commit()) == 40


def test_a_registered_encoder_has_none():
    assert encoder_digest("tiny") is None


@pytest.mark.parametrize("name", ["org/never-downloaded", "/no such folder", "tinny"])
def test_an_encoder_that_is_nowhere_is_named_with_a_way_out(name):
    with pytest.raises(UserError, match=f"encoder '{name}'") as caught:
        encoder_digest(name)
    hint = "Did you mean 'tiny'" if name == "tinny" else "--set encoder.name=FOLDER"
    assert hint in str(caught.value)


def test_a_student_is_bound_to_its_teacher(tmp_path):
    assert teacher_digest([]) is None and teacher_digest([str(tmp_path / "nowhere")]) is None
    (tmp_path / "DONE").write_text("first")
    first = teacher_digest([str(tmp_path)])
    (tmp_path / "DONE").write_text("trained anew")
    assert first != teacher_digest([str(tmp_path)]) is not None


def test_the_processor_is_named(tmp_path):
    told = "processor\t: {}\ncpu family\t: 6\nmodel\t\t: 207\nmodel name\t: A: B\nstepping\t: 2\n\n"
    (tmp_path / "two").write_text(told.format(0) + told.format(1).replace("207", "85"))
    assert identity._cpu(tmp_path / "two") == "A: B cpu family 6, model 207, stepping 2"
    (tmp_path / "arm").write_text("processor : 0\nBogoMIPS : 50.00\n")
    assert identity._cpu(tmp_path / "arm") == ""
    assert identity._cpu(tmp_path / "none") == identity.platform.processor()
    known = identity.facts(CORPUS, EncoderConfig(name="tiny"))["machine"]
    assert known.startswith(identity.platform.system()) and identity._cpu() in known
