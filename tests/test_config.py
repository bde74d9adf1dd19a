"""The experiment file: what it may hold, and what a mistake is answered with."""

import pytest

from benchmark.config import Choice, ConfigError, Experiment, complete_options, read_experiment
from benchmark.errors import UnknownNameError
from benchmark.registry import DATASETS

FILE = """
name: trial
dataset: {name: synthetic, train: 20}
encoder: tiny
backbones: [atlop, baseline: {layers: 2}]
augmenters: [none, gaussian: {scale: 0.5}, vae]
seeds: [0, 3]
train: {epochs: 4}
augment: {warmup_epochs: 2}
"""
GAUSSIAN = Choice(name="gaussian", options={"scale": 0.5, "detach": False})


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "trial.yaml"
    path.write_text(FILE)
    return path


def test_names_are_completed_with_their_default_hyper_parameters(file):
    experiment = read_experiment(file)
    assert experiment.dataset.options == DATASETS.entry("synthetic").parameters | {"train": 20}
    baseline = experiment.backbones[1].options
    assert baseline["layers"] == 2 and "block" in baseline
    assert experiment.augmenters[1] == GAUSSIAN
    assert (experiment.encoder.name, experiment.encoder.freeze) == ("tiny", "none")
    assert (experiment.train.epochs, experiment.train.batch_size) == (4, 4)
    stored = experiment.model_dump(mode="json")
    assert Experiment.model_validate(stored) == experiment
    file.write_text(FILE.replace("gaussian: {scale: 0.5}", "{name: gaussian, scale: 0.5}"))
    assert read_experiment(file) == experiment


def test_the_command_line_wins_over_the_file_and_reaches_into_the_short_form(file):
    overrides = ["train.epochs=9", "seeds=[5]", "augment.copies=3", "dataset.dev=7", "name=other"]
    experiment = read_experiment(file, [*overrides, "encoder.name=org/other"])
    assert (experiment.train.epochs, experiment.seeds, experiment.name) == (9, [5], "other")
    sizes = experiment.dataset.options
    assert (experiment.augment.copies, sizes["train"], sizes["dev"]) == (3, 20, 7)
    assert experiment.encoder.name == "org/other"
    short = read_experiment(file, ["dataset=synthetic", "dataset.train=12"]).dataset
    assert short.name == "synthetic" and short.options["train"] == 12


def test_a_run_holds_what_decides_its_numbers(file):
    run = read_experiment(file).run("baseline", "gaussian", 3)
    assert (run.backbone.name, run.augmenter) == ("baseline", GAUSSIAN)
    assert (run.seed, run.augment.copies) == (3, 2)


def test_the_none_run_does_not_depend_on_how_others_augment(file):
    few, many = (read_experiment(file, [f"augment.copies={m}"]) for m in (1, 9))
    assert few.run("atlop", "none", 0) == many.run("atlop", "none", 0)
    assert few.run("atlop", "gaussian", 0) != many.run("atlop", "gaussian", 0)
    without = read_experiment(file, ["augmenters=[vae]"])
    assert without.run("atlop", "none", 0) == few.run("atlop", "none", 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("train.epochs=-1", "train.epochs: expected a number greater than or equal to 1 (got -1)"),
        ("train.epochs=many", "train.epochs: expected a valid integer"),
        ("train.epochs=1.5", "train.epochs: expected a valid integer"),
        ("train.epochs=true", "train.epochs: expected a valid integer (got True)"),
        ("train.distill_from=3", "distill_from: expected a folder, a list of folders, or null"),
        ("seeds=[0, true]", "seeds.1: expected a valid integer (got True)"),
        ("train.lr_head=.inf", "train.lr_head: expected a finite number"),
        ("train.lr_head=0", "train.lr_head: expected a number greater than 0 (got 0)"),
        ("train.precision=fp8", "train.precision: expected 'fp32' or 'bf16' (got 'fp8')"),
        ("augment.warmup_contrastive=maybe", "warmup_contrastive: expected a valid boolean"),
        ("augment.warmup_epochs=4", "gaussian, vae would never augment"),
        ("augment={stage3: head, start: stage1, warmup_epochs: 1}", "goes with augment.stage3: re"),
        ("encoder={name: tiny, attention_dropout: 0.1}", "encoder.options.dropout"),
        ("encoder={name: tiny, freeze: half}", "encoder.freeze"),
        ("encoder={name: tiny, layers: 2}", "unknown key 'encoder.layers'. Known: name, revision"),
        ("encoder={name: tiny, options: {widht: 3}}", "no option 'widht'. Did you mean 'width'?"),
        ("train.epoch=3", "unknown key 'train.epoch'. Did you mean 'epochs'? Known: epochs, "),
        ("epochs=3", "unknown key 'epochs'. Did you mean 'train.epochs'? Known: name, "),
        ("augmentors=[none]", "unknown key 'augmentors'. Did you mean 'augmenters'?"),
        ("backbones=[[1]]", "a backbone is a name, or a name with options"),
        ("backbones=[{atlop: 3}]", "a backbone is a name, or a name with options"),
        ("dataset={name: [1]}", "a dataset is a name, or a name with options"),
        ("dataset={name: synthetic, options: 3}", "dataset 'synthetic' has no option 'options'"),
        ("dataset=biored", "dataset 'biored' needs the option(s) train, test"),
        ("backbones=[atlob]", "unknown backbone 'atlob'. Did you mean 'atlop'?"),
        ("augmenters=[{gaussian: {scael: 1}}]", "Did you mean 'scale'? Known: scale, detach"),
        ("augmenters=[none, none]", "augmenters: a name or a seed is given twice"),
        ("augmenters=[]", "augmenters: expected at least 1 item"),
        ("seeds=[1, 1]", "seeds: a name or a seed is given twice (got [1, 1])"),
        ("seeds=[-1]", "seeds.0: expected a number greater than or equal to 0"),
        ("seeds=3", "seeds: expected a valid list"),
        ("train=3", "train: expected a mapping (got 3)"),
        ("name=../elsewhere", "name: expected a text of at most 100 English letters, digits"),
        ("train.epochs", "--set train.epochs: expected key=value"),
        ("seeds.first=1", "--set seeds.first=1: 'seeds' is not a section"),
        ("train.epochs=[1", "--set train.epochs=[1: not valid YAML"),
        ("train.epochs=!!timestamp x", "--set train.epochs=!!timestamp x: not valid YAML"),
        ("encoder={name: tinny, options: {width: 8}}", "'tinny' is not. Did you mean 'tiny'?"),
    ],
)
def test_mistakes_are_named(file, change, message):
    with pytest.raises((ConfigError, UnknownNameError)) as caught:
        read_experiment(file, [change])
    assert message in str(caught.value)
    assert "trial.yaml" in str(caught.value) or "--set" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such experiment file"),
        ("", "expected a mapping with the keys name"),
        ("[1, 2]", "expected a mapping"),
        ("name: [", "not valid YAML"),
        (FILE.replace("name: trial\n", ""), "name: missing"),
    ],
)
def test_files_that_are_no_experiment(file, text, message):
    file.unlink() if text is None else file.write_text(text)
    with pytest.raises(ConfigError, match=f"trial.yaml: {message}"):
        read_experiment(file)


def test_a_file_that_may_not_be_read_is_named(file, monkeypatch):
    def refuse(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.read_bytes", refuse)
    with pytest.raises(ConfigError, match="trial.yaml: cannot be read: Permission denied"):
        read_experiment(file)


def test_required_options_are_asked_for():
    with pytest.raises(ConfigError, match="needs the option"):
        complete_options(DATASETS, "biored", {"train": "a.json"})
