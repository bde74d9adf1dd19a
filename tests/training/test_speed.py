"""speed: what is timed, on what, and how ratios are taken."""

import json

import pytest
import torch
from typer.testing import CliRunner

from benchmark.commands.app import app
from benchmark.training import speed

EXPERIMENT = """
name: quick
dataset: {name: synthetic, train: 12, dev: 2, test: 2}
encoder: {name: tiny, options: {width: 16, heads: 2}}
backbones: [{atlop: {emb: 8, block: 4}}, {baseline: {emb: 8, block: 4, layers: 1}}]
augmenters: [none, gaussian, vae: {latent: 4, epochs: 4, warmup_epochs: 1}]
seeds: [0]
train: {epochs: 9, threads: 1, batch_size: 2}
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "quick.yaml"
    path.write_text(EXPERIMENT)
    return path


def invoke(config, *options):
    return CliRunner().invoke(
        app,
        ["speed", str(config), "--batches", "2", "--rounds", "2", *options],
        env={"COLUMNS": "200"},
    )


def test_every_backbone_alone_and_with_every_augmenter(config):
    result = invoke(config, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    subjects = [line["subject"] for line in found["lines"]]
    of = lambda name: [name, f"{name} + gaussian", f"{name} + vae"]
    assert subjects == [speed.BARE, *of("atlop"), *of("baseline")]
    assert found["lines"][0]["ratio"] == 1.0
    arithmetic = {line["subject"]: line["arithmetic"] for line in found["lines"]}
    assert arithmetic[speed.BARE] == 1.0
    assert all(1 < arithmetic[name] < arithmetic[f"{name} + vae"] for name in ("atlop", "baseline"))
    for line in found["lines"][1:]:
        assert (
            0 < line["lowest"] <= line["ratio"] <= line["highest"]
        )  # no more is certain of so short a time on a busy machine
        assert ("augmentation" in line["parts"]) and (line["parts"]["augmentation"] > 0) == (
            "+" in line["subject"]
        )
        assert list(line["parts"]) == ["encoder", "head", "loss", "augmentation", "optimiser"]
        assert min(line["parts"][part] for part in ("encoder", "head", "loss", "optimiser")) > 0
        assert line["parts"]["encoder"] == found["lines"][0]["seconds_per_step"]
    assert found["setting"]["documents"] == 4 and found["setting"]["batches"] == 2
    assert [line["subject"] for line in found["stage2"]] == [
        "atlop + vae",
        "baseline + vae",
    ]  # gaussian is not fitted
    for line in found["stage2"]:
        assert (
            line["pairs"] > 0
            and line["fitting"] > 0
            and 1 < line["lowest"] <= line["ratio"] <= line["highest"]
        )


def test_the_table(config):
    result = invoke(config, "--backbones", "atlop", "--augmenters", "none")
    assert result.exit_code == 0, result.output
    assert (
        "bare encoder" in result.stdout
        and "atlop" in result.stdout
        and "baseline" not in result.stdout
    )
    assert "optimiser" in result.stdout and "tokenising, ms/document" in result.stdout
    assert "stage 2" not in result.stdout  # nothing is fitted
    assert "x faster" in invoke(config, "--backbones", "atlop", "--augmenters", "vae").stdout


def test_no_number_is_cut_off(config):
    options = [
        "--backbones",
        "baseline",
        "--augmenters",
        "gaussian",
        "--batches",
        "1",
        "--rounds",
        "1",
    ]
    result = CliRunner().invoke(app, ["speed", str(config), *options], env={"COLUMNS": "60"})
    assert result.exit_code == 0 and "…" not in result.stdout
    assert "need not add up" in result.stdout


@pytest.mark.parametrize("frozen", ["all", "lower:1"])
def test_a_frozen_encoder_is_refused(config, frozen):
    """`tiny` has one layer: nothing is left to train under lower:1."""
    result = invoke(config, "--set", f"encoder.freeze={frozen}")
    assert (
        result.exit_code == 2
        and "encoder.freeze" in result.stderr
        and "Traceback" not in result.output
    )


@pytest.mark.parametrize("option", ["--backbones", "--augmenters"])
@pytest.mark.parametrize("text", ["", " , "])
def test_an_empty_list_is_refused(config, option, text):
    result = invoke(config, option, text)
    assert result.exit_code == 2 and "empty list" in result.stderr


def test_the_batch_size_is_named_where_it_is_at_fault(config):
    result = invoke(config, "--set", "train.batch_size=50")
    assert result.exit_code == 2 and "train.batch_size=6" in result.stderr


def test_generated_pairs_are_as_many_as_the_experiment_asks_for(config):
    ratio = {}
    for copies in (2, 40):
        found = invoke(
            config,
            "--json",
            "--backbones",
            "atlop",
            "--augmenters",
            "gaussian",
            "--set",
            f"augment.copies={copies}",
        )
        ratio[copies] = json.loads(found.stdout)["lines"][-1]["arithmetic"]
    assert ratio[40] > ratio[2] + 0.1


def test_tokenising_is_timed_though_it_is_stored(config, monkeypatch):
    """The second call finds nothing that the first one stored, and leaves caching as it was."""
    import datasets

    from benchmark.data import features

    made = []
    row = features._row
    monkeypatch.setattr(
        features, "_row", lambda *given, **named: made.append(1) or row(*given, **named)
    )
    for calls in (1, 2):
        invoke(config, "--json", "--backbones", "atlop", "--augmenters", "none")
        assert len(made) == 12 * calls and datasets.is_caching_enabled()


def test_too_few_documents_are_named(config):
    result = CliRunner().invoke(app, ["speed", str(config), "--batches", "99"])
    assert result.exit_code == 2 and "not 99. Lower --batches" in result.stderr


def test_ratios_are_taken_within_a_round():
    """A machine that is three times slower in the second round: both rounds have the ratio 2."""
    line = speed._line(
        "x",
        [2.0, 6.0, 2.0],
        [1.0, 3.0, 1.0],
        steps=2,
        documents=8,
        arithmetic=1.5,
        memory=None,
        parts={},
    )
    assert (line.ratio, line.lowest, line.highest, line.arithmetic) == (2.0, 2.0, 2.0, 1.5)
    assert (line.seconds_per_step, line.documents_per_second) == (1.0, 4.0)


@pytest.mark.parametrize("backbone", ["atlop", "baseline"])
def test_head_and_loss_alone_do_what_the_step_does(config, backbone):
    """The gradients, on encoder outputs cut off from the encoder, are those of the whole step."""
    from backbones.base import Pairs
    from benchmark.config import read_experiment
    from benchmark.data.batches import Collator, Rows
    from benchmark.data.features import featurise
    from benchmark.registry import DATASETS
    from benchmark.training.model import build_model

    experiment = read_experiment(config)
    run, corpus = (
        experiment.run(backbone, "none", 0),
        DATASETS["synthetic"](**experiment.dataset.options),
    )
    model = build_model(run, corpus)
    rows = Rows(featurise(corpus.train, corpus, model.encoder.tokenizer, training=True))
    batch = Collator(model.encoder.windows)([rows[0], rows[1]])
    step, device = speed._Step(model), torch.device("cpu")
    gradients = []

    def in_parts():
        encoded = model.encoder(batch)
        pairs = Pairs(model.backbone.represent(encoded, batch), batch.labels(model.classes))
        at_outputs = step._loss_alone(pairs, model.backbone.classify(pairs.representations))
        step._head_alone(encoded, batch, None, at_outputs, run, device)

    for work in (lambda: step.step(batch, run, device), in_parts):
        work()
        gradients.append({name: p.grad.clone() for name, p in model.backbone.named_parameters()})
        step.forget()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient)


@pytest.mark.skipif(
    speed._resident("VmHWM") is None or not speed._reset_peak(),
    reason="the system does not tell peak memory",
)
def test_peak_memory_of_a_step():
    class Greedy(speed._Subject):
        module = torch.nn.Linear(1, 1)

        def loss(self, batch):
            return self.module(
                torch.ones(50_000_000, 1)
            ).sum()  # 200 MB, and as much again for the output

    class FakeBatch:
        window_ids, pairs = torch.zeros(1), torch.zeros(1)

    from types import SimpleNamespace

    run = SimpleNamespace(train=SimpleNamespace(precision="fp32"))
    assert 3.5e8 < speed._peak(Greedy(), [FakeBatch()], run, torch.device("cpu")) < 9e8

    class Petty(Greedy):
        def loss(
            self, batch
        ):  # 200 MB in pieces too small to go back to the system when they are freed
            pieces = [torch.ones(15_000) for _ in range(3400)]
            return self.module(torch.stack([piece[:1] for piece in pieces])).sum()

    pinned = [torch.ones(15_000) for _ in range(3400)][-1]  # noqa: F841 (keeps the C library from shrinking its heap)
    assert 1.5e8 < speed._peak(Petty(), [FakeBatch()], run, torch.device("cpu")) < 4e8
