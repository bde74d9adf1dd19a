"""Experiment trackers, by what tensorboard finds in their files."""

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_runs import config, execute, numbers

from benchmark.errors import ConfigError
from benchmark.store.differences import differing
from benchmark.training import tracking


def scalars(directory):
    found = {}
    for file in (directory.path / tracking.FOLDER).rglob("events.*"):
        events = EventAccumulator(str(file)).Reload()
        for tag in events.Tags()["scalars"]:
            found[tag] = [(event.step, event.value) for event in events.Scalars(tag)]
    return found


def test_a_run_is_tracked_and_its_numbers_stay(tmp_path):
    execute(tmp_path / "plain", config("atlop"))
    plain = execute(tmp_path / "plain", config("atlop", "vae"))
    execute(tmp_path / "tracked", config("atlop"))
    run = config("atlop", "vae", trackers=["tensorboard"])
    directory = execute(tmp_path / "tracked", run)
    assert numbers(plain) == numbers(directory)
    found, history = scalars(directory), directory.read_history()
    dev = [value for _, value in found["dev/f1"]]
    assert dev == pytest.approx([epoch["dev"]["f1"] for epoch in history])
    assert [step for step, _ in found["dev/f1"]] == [3, 6, 9]
    assert [step for step, _ in found["train/loss"]] == [3, 6, 9]
    assert found["train/rate_1"][0][1] > found["train/rate_1"][-1][1] >= 0
    assert any(tag.startswith("stage2/") for tag in found)


def test_trackers_are_no_part_of_what_a_run_is():
    one, other = (config("atlop", trackers=names) for names in ([], ["tensorboard"]))
    assert not differing(one.model_dump(mode="json"), other.model_dump(mode="json"))


def test_a_tracker_must_be_installed():
    tracking.require_installed(["tensorboard"])
    with pytest.raises(ConfigError, match="trackers: aim is not installed: `pip install aim`"):
        tracking.require_installed(["tensorboard", "aim"])
