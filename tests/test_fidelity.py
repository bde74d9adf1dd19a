"""docs/fidelity.md against the code: every option that it names exists, takes the values listed,
and has the default stated.
"""

import math
import re
from pathlib import Path

import pytest
import torch
import yaml
from pydantic import ValidationError

from benchmark.config import AugmentConfig, EncoderConfig, Experiment, TrainConfig
from benchmark.errors import UserError
from benchmark.registry import AUGMENTERS, BACKBONES, DATASETS

TEXT = (Path(__file__).parents[1] / "docs" / "fidelity.md").read_text(encoding="utf-8")
SECTIONS = {"train": TrainConfig, "augment": AugmentConfig, "encoder": EncoderConfig}
REGISTRIES = (AUGMENTERS, BACKBONES, DATASETS)
NECESSARY = {"encoder": {"name": "a/b"}}  # fields without a default
TOPICS = 46  # places where the paper and its code disagree, by a first analysis of both


def rows():
    """The table rows with five columns: topic, paper, official code, ours, option."""
    lines = [line for line in TEXT.splitlines() if line.startswith("|")]
    cells = [[c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [row for row in cells if len(row) == 5 and row[0] not in ("topic", "---")]


def options():
    """(key, the values listed, whether others are possible, the default or ...) of every option in
    the tables.
    """
    for *_, cell in rows():
        for part in () if cell.startswith("none: ") else cell.split("; "):
            key, *values = re.findall(r"`([^`]+)`", part)
            bold = re.findall(r"\*\*`([^`]+)`\*\*", part)
            assert len(bold) <= 1, f"{key}: two defaults"
            default = yaml.safe_load(bold[0]) if bold else ...
            yield key, [yaml.safe_load(v) for v in values], "…" in part, default


OPTIONS = list(options())
CLOSED = {}  # keys whose values are all listed: every value, of all rows
for _key, _values, _more, _ in OPTIONS:
    if not _more and all(isinstance(value, str) for value in _values):
        CLOSED.setdefault(_key, set()).update(_values)


def take(key, value):
    """Make the thing whose option `key` is, with this value. Raises what a user would see."""
    name, _, option = key.partition(".")
    if key == "seeds":
        values = dict(name="x", dataset="synthetic", encoder="tiny")
        values |= {"backbones": ["atlop"], "augmenters": ["none"]}
        return Experiment.model_validate({**values, "seeds": value})
    if name in SECTIONS:
        return SECTIONS[name].model_validate({**NECESSARY.get(name, {}), option: value})
    if name in DATASETS:  # that it has a default is all that can be told without a file
        return DATASETS.entry(name).parameters[option]
    registry = next(registry for registry in REGISTRIES if name in registry)
    with torch.device("meta"):
        return registry[name](*((64, 3) if registry is BACKBONES else ()), **{option: value})


def default_of(key):
    name, _, option = key.partition(".")
    if name in SECTIONS:
        return SECTIONS[name].model_fields[option].default
    registry = next(registry for registry in REGISTRIES if name in registry)
    return registry.entry(name).parameters[option]


def test_every_disagreement_has_its_row():
    """And no row is empty: each says what the code does here, and names an option or the reason why
    there is none.
    """
    main = TEXT[TEXT.index("## Where they disagree") : TEXT.index("Further differences")]
    assert sum(line.startswith("|") for line in main.splitlines()) - 2 == TOPICS
    assert len(rows()) > TOPICS
    for topic, *columns in rows():
        assert all(columns), topic
        assert columns[-1].startswith(("none: ", "`")), (
            f"{topic}: neither an option nor the reason why there is none"
        )


@pytest.mark.parametrize(("key", "values", "more", "default"), OPTIONS, ids=[o[0] for o in OPTIONS])
def test_an_option_takes_the_values_listed_and_has_the_default_stated(key, values, more, default):
    for value in values:
        take(key, value)
    if default is not ...:
        known = default_of(key)
        assert type(known) is type(default) and known == default, f"{key} is {known!r} by default"
    else:
        assert key in ("seeds", "encoder.name"), f"{key}: no default is marked"


@pytest.mark.parametrize("key", CLOSED)
def test_an_option_whose_values_are_all_listed_takes_no_other(key):
    with pytest.raises((UserError, ValidationError)) as caught:
        take(key, "something else")
    assert all(value in str(caught.value) for value in CLOSED[key])


def test_options_said_to_be_open_to_other_augmenters_and_backbones_are():
    """ "What is said of `vaediff` holds for `vae` where `vae` has the option", likewise `baseline`
    and `kd_docre`.
    """
    for one, other in (("vaediff", "vae"), ("baseline", "kd_docre")):
        for key, values, _, default in OPTIONS:
            name, _, option = key.partition(".")
            registry = AUGMENTERS if one in AUGMENTERS else BACKBONES
            if name == one and option in registry.entry(other).parameters:
                assert registry.entry(other).parameters[option] == default, f"{other}.{option}"
                for value in values:
                    take(f"{other}.{option}", value)
    assert {"axial"} <= set(BACKBONES.entry("kd_docre").parameters)


def test_the_sizes_of_the_denoiser_are_as_stated():
    from augmenters.vaediff.denoiser import Denoiser

    options = dict(width=256, depth=6, dropout=0.1, label_embedding="mean", null_class="omit")
    for attention, stated in (("linear", "10,443,264"), ("one_token", "10,836,480")):
        denoiser = Denoiser(384, 97, **options, attention=attention)
        size = sum(math.prod(p.shape) for p in denoiser.parameters())
        assert f"{size:,}" == stated and stated in TEXT
