"""Learning rates and weight decay: which parameters have which, and what becomes of them over the
steps.
"""

import math
from types import SimpleNamespace

import pytest
from command_line import invoke
from tiny_runs import EXPERIMENT, assert_same, config, execute, execute_and_kill, on_call
from torch import nn

from benchmark.config import TrainConfig, read_experiment
from benchmark.errors import ConfigError, UserError
from benchmark.registry import AUGMENTERS
from benchmark.store.cleaning import AUGMENTER, BRANCH, CHECKPOINT
from benchmark.training.checkpoints import DIGEST, read_tensors, write_tensors
from benchmark.training.loop import Loop
from benchmark.training.model import DocreModel
from benchmark.training.tried_first import require_known_rates


def shares(loader=10, **train):
    """Of the rate, by step; an epoch has `loader` batches."""
    train = TrainConfig(**{"epochs": 2, "warmup": 0.2} | train)
    loop = SimpleNamespace(config=train, loader=range(loader))
    return [Loop._schedule(loop, step) for step in range(train.epochs * loader)]


AFTER = {  # the warm-up of 4 steps of 20, by the step k
    "linear": lambda k: (20 - k) / 16,
    "constant": lambda k: 1.0,
    "cosine": lambda k: (1 + math.cos(math.pi * (k - 4) / 16)) / 2,
}


@pytest.mark.parametrize("schedule", AFTER)
def test_the_closed_form_of_a_schedule(schedule):
    expected = [0, 0.25, 0.5, 0.75] + [AFTER[schedule](k) for k in range(4, 20)]
    assert shares(schedule=schedule) == pytest.approx(expected, abs=1e-15)
    without = shares(schedule=schedule, warmup=0.0)
    assert without[0] == 1 and (without[10] == 1) == (schedule == "constant")


@pytest.mark.parametrize("schedule", AFTER)
def test_the_batches_of_one_update_have_one_rate(schedule):
    """Five batches make three updates an epoch, the last of one batch."""
    of_updates = shares(3, schedule=schedule)
    batches = [0, 0, 1, 1, 2, 3, 3, 4, 4, 5]
    assert shares(5, accumulation=2, schedule=schedule) == [of_updates[i] for i in batches]


def test_the_default_is_linear_to_the_last_bit():
    assert shares() == [k / 4 if k < 4 else (20 - k) / 16 for k in range(20)]


class Toy(nn.Module):
    """A head of two levels, one of which is slow."""

    def __init__(self):
        super().__init__()
        self.fast, self.scale = nn.Linear(2, 2), nn.Parameter(nn.Linear(2, 2).weight.detach())
        self.deep = nn.ModuleDict({"up": nn.Linear(2, 2), "upper": nn.LayerNorm(2)})

    def slow_parameters(self):
        return list(self.deep.parameters())


def groups(frozen=False, **train):
    """[(rate, decay, names)] of a model of the toy and an encoder."""
    model = DocreModel(nn.Linear(2, 2), Toy(), 3)
    model.encoder.requires_grad_(not frozen)
    name = {id(p): n for n, p in model.named_parameters()}
    train = TrainConfig(**{"lr_encoder": 0.1, "lr_head": 0.2, "weight_decay": 0.5} | train)
    return [
        (group["lr"], group["weight_decay"], [name[id(p)] for p in group["params"]])
        for group in model.parameter_groups(train)
    ]


ENCODER = ["encoder.weight", "encoder.bias"]
UP = ["backbone.deep.up.weight", "backbone.deep.up.bias"]
UPPER = ["backbone.deep.upper.weight", "backbone.deep.upper.bias"]
FAST = ["backbone.fast.weight", "backbone.fast.bias"]
SCALE = "backbone.scale"


def test_by_default_there_are_two_groups():
    slow, head = [*ENCODER, *UP, *UPPER], [SCALE, *FAST]
    assert groups() == [(0.1, 0.5, slow), (0.2, 0.5, head)]
    assert groups(frozen=True)[0] == (0.1, 0.5, slow[2:])
    same = groups(lr_head=0.1)
    assert [names for _, _, names in same] == [slow, head]


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        # a part of the head, and a parameter
        ({"fast": 3.0}, [(0.1, [*ENCODER, *UP, *UPPER]), (0.2, [SCALE]), (3.0, FAST)]),
        ({"scale": 3.0}, [(0.1, [*ENCODER, *UP, *UPPER]), (0.2, FAST), (3.0, [SCALE])]),
        # it wins over `slow_parameters`, and `up` is no prefix of `upper`
        ({"deep.up": 3.0}, [(0.1, [*ENCODER, *UPPER]), (0.2, [SCALE, *FAST]), (3.0, UP)]),
        # of two names the longer one wins, in either order of the file
        (
            {"deep.up": 3.0, "deep": 4.0},
            [(0.1, ENCODER), (0.2, [SCALE, *FAST]), (4.0, UPPER), (3.0, UP)],
        ),
        (
            {"deep": 4.0, "deep.up": 3.0},
            [(0.1, ENCODER), (0.2, [SCALE, *FAST]), (4.0, UPPER), (3.0, UP)],
        ),
        # it fits another backbone, and the encoder's names are not looked at
        ({"unet": 3.0, "weight": 4.0}, [(0.1, [*ENCODER, *UP, *UPPER]), (0.2, [SCALE, *FAST])]),
    ],
)
def test_parts_with_rates_of_their_own(rates, expected):
    assert groups(rates=rates) == [(rate, 0.5, names) for rate, names in expected]


def test_biases_and_norms_without_weight_decay():
    assert groups(decay="weights", rates={"fast": 3.0}) == [
        (0.1, 0.5, [ENCODER[0], UP[0]]),
        (0.1, 0.0, [ENCODER[1], UP[1], *UPPER]),
        (0.2, 0.5, [SCALE]),
        (3.0, 0.5, FAST[:1]),
        (3.0, 0.0, FAST[1:]),
    ]


def test_a_run_trains_with_its_rates(tmp_path, monkeypatch):
    """The rates of the last step of each epoch, and the decay."""
    seen, close = [], Loop._close_epoch

    def look(loop):
        seen.append([(g["lr"], g["weight_decay"]) for g in loop.optimizer.param_groups])
        close(loop)

    monkeypatch.setattr(Loop, "_close_epoch", look)
    settings = {"schedule": "constant", "rates": {"bilinear": 0.5}, "decay": "weights"}
    execute(tmp_path, config(**settings))
    rates = [(rate, decay) for rate in (1e-2, 1e-2, 0.5) for decay in (0.01, 0.0)]
    assert seen == [rates] * 3


def experiment(tmp_path, *overrides):
    path = tmp_path / "tiny.yaml"
    path.write_text(EXPERIMENT)
    return read_experiment(path, overrides)


BOTH = "backbones=[{atlop: {emb: 8, block: 4}}, {docunet: {emb: 8, block: 4, unet: 4, out: 8}}]"


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        ("{unett: 1e-3}", r"'unett'\. Did you mean 'unet'\? Known: bilinear, features, "),
        ("{bilinear: 1e-3, unet.entr: 1e-3}", "'unet.entr'. Did you mean 'unet.enter'"),
        ("{'': 1e-3}", "has a part ''"),
        ("{unet.: 1e-3}", "has a part 'unet.'. Did you mean 'unet'"),
    ],
)
def test_a_name_that_fits_no_backbone_is_refused(tmp_path, rates, message):
    with pytest.raises(ConfigError, match=f"^train.rates: no backbone.*{message}"):
        require_known_rates(experiment(tmp_path, BOTH, f"train.rates={rates}"))


def test_a_name_that_fits_one_of_the_backbones_is_taken(tmp_path):
    rates = "train.rates={unet: 1e-3, unet.enter: 2e-3, bilinear: 1e-3}"
    require_known_rates(experiment(tmp_path, BOTH, rates))
    require_known_rates(experiment(tmp_path, "encoder=/none_here"))  # nothing to look at
    with pytest.raises(ConfigError, match=r"'unet'\. Known: bilinear, features, and what is"):
        require_known_rates(experiment(tmp_path, "train.rates.unet=1e-3"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("train.rates.unet=0", "train.rates.unet: expected a number greater than 0"),
        ("train.rates=[unet]", "train.rates: expected a valid dictionary"),
        ("train.rates={1: 1e-3}", "train.rates.*expected a valid string"),
        ("train.schedule=cosin", "train.schedule: expected 'linear', 'const"),
        ("train.decay=0.1", "train.decay: expected 'all' or 'weights'"),
    ],
)
def test_values_that_are_refused(tmp_path, change, message):
    with pytest.raises(ConfigError, match=message):
        experiment(tmp_path, change)


@pytest.mark.parametrize("dry", [True, False])
def test_run_refuses_such_a_name_before_it_trains(tmp_path, dry):
    experiment(tmp_path)
    change = ["--set", "train.rates.bilinaer=1e-3", "--results", tmp_path / "results"]
    result = invoke("run", tmp_path / "tiny.yaml", *change, *["--dry-run"] * dry)
    assert "has a part 'bilinaer'. Did you mean 'bilinear'?" in result.stderr
    assert result.exit_code == (0 if dry else 2) and not (tmp_path / "results").exists()


def forget(state, keys):
    """Save a state as if by code that did not know these keys of `train`."""
    tensors, facts = read_tensors(state)
    train = facts["identity"]["train"]
    facts["identity"]["train"] = {name: train[name] for name in train.keys() - keys}
    write_tensors(state, tensors, {name: facts[name] for name in facts.keys() - {DIGEST}})


NEW = {"schedule", "rates", "decay"}


def test_a_state_from_before_a_key_was_added_is_gone_on_from(tmp_path, monkeypatch):
    run = config()
    whole = execute(tmp_path / "whole", run)
    folder = execute_and_kill(monkeypatch, tmp_path / "killed", run, epoch=2)
    forget(folder / CHECKPOINT, NEW)
    epochs = on_call(monkeypatch, Loop, "_epoch", 0)
    with pytest.raises(UserError, match='train.schedule: "linear" stored, "cosine" asked for'):
        execute(tmp_path / "killed", config(schedule="cosine"))
    assert_same(execute(tmp_path / "killed", run), whole)
    assert len(epochs) == 1


def test_so_is_the_state_of_the_none_run_and_a_fitted_augmenter(tmp_path, monkeypatch):
    stage1 = execute(tmp_path, config(), branch_epoch=1)
    forget(stage1.path / BRANCH, NEW)
    run = config(augmenter="vae")
    folder = execute_and_kill(monkeypatch, tmp_path, run, epoch=1)
    forget(folder / AUGMENTER, NEW)
    assert not (folder / CHECKPOINT).exists()
    epochs = on_call(monkeypatch, Loop, "_epoch", 0)
    fits = on_call(monkeypatch, AUGMENTERS["vae"], "fit", 0)
    execute(tmp_path, run)
    assert (len(epochs), len(fits)) == (2, 0)
