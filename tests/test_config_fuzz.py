"""Any nested YAML is either an experiment, which then survives being planned and stored, or a
UserError that names the file.
"""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from nested import places, replaced

from benchmark.config import Experiment, read_experiment
from benchmark.errors import UserError
from benchmark.grid.plan import plan

SOME = settings(max_examples=100, deadline=None, derandomize=True)
SOUND = dict(
    name="trial",
    dataset={"name": "synthetic", "train": 20},
    encoder={"name": "tiny", "options": {"width": 8}},
    backbones=["atlop", {"baseline": {"layers": 2}}],
    augmenters=["none", {"gaussian": {"scale": 0.5}}, "vae"],
    seeds=[0, 3],
    train={"epochs": 4, "precision": "fp32"},
    augment={"warmup_epochs": 2},
)
KEYS = ["options", "epochs", "scale", "documents", "freeze", "warmup_epochs", "none", "atlop", "x"]
KEYS = sorted({*Experiment.model_fields, *KEYS})
KNOWN = ["", "atlop", "none", "vae", "synthetic", "dwie", "tiny", "fresh", "all", "../x"]

numbers = st.none() | st.booleans() | st.integers() | st.floats()
scalars = numbers | st.sampled_from(KNOWN) | st.text(max_size=6)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


def assert_sound_or_refused(content, folder):
    """Whether it is an experiment."""
    path = folder / "fuzz.yaml"
    path.write_text(content, encoding="utf-8", errors="surrogatepass")
    try:
        experiment = read_experiment(path)
        assert Experiment.model_validate(experiment.model_dump(mode="json")) == experiment
        for job in plan(experiment, folder / "results"):
            assert job.directory.path.resolve().is_relative_to((folder / "results").resolve())
            assert job.directory.state() == "missing"
            assert type(job.config).model_validate_json(job.config.model_dump_json()) == job.config
    except UserError as error:
        assert "fuzz.yaml" in str(error) and len(str(error)) < 20_000
        return False
    return True


def test_the_sound_one_is_an_experiment(folder):
    assert assert_sound_or_refused(yaml.safe_dump(SOUND), folder)


@SOME
@given(st.data())
def test_any_value_at_any_place(folder, data):
    path = data.draw(st.sampled_from(list(places(SOUND))))
    assert_sound_or_refused(yaml.safe_dump(replaced(SOUND, path, data.draw(values))), folder)


@SOME
@given(st.text(alphabet="ab: -[]{}&*!|>'\"#%@`\n\t\\\x00\u2028\ud800,?0.<", max_size=60))
def test_any_text(folder, text):
    assert not assert_sound_or_refused(text, folder)


@SOME
@given(st.sampled_from(sorted(SOUND)), st.text(max_size=20))
def test_any_override(folder, key, text):
    path = folder / "sound.yaml"
    path.write_text(yaml.safe_dump(SOUND))
    try:
        read_experiment(path, [f"{key}={text}"])
    except UserError as error:
        assert "sound.yaml" in str(error) or "--set" in str(error)
