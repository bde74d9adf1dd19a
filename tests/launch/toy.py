"""A plugin for the tests of the launchers: runs that take no time and no torch, in any process.

The environment names a folder, TOY. Its `plan.json` tells what the run
"<backbone>.<augmenter>.<seed>" does instead of finishing; each run appends to `events`.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import benchmark.training
from benchmark import signals
from benchmark.registry import AUGMENTERS, BACKBONES, DATASETS

sys.path.append(str(Path(__file__).parents[1]))
from stored_runs import scores

CHECKS = ("require_buildable", "require_fitting_documents", "require_known_rates")
FOLDER = Path(os.environ["TOY"])


@BACKBONES.register("left")
class Left:
    """A toy."""


@AUGMENTERS.register("noisy")
class Noisy:
    """A toy."""

    needs_fitting = False


@AUGMENTERS.register("learned")
class Learned:
    """A toy that is fitted."""

    needs_fitting = True


@DATASETS.register("toy-data")
def corpus():
    """A toy."""
    return SimpleNamespace(name="toy-data", digest="d1", notes=("toy",))


def event(what, name):
    with open(FOLDER / "events", "a") as file:
        file.write(f"{what} {name} {time.time()}\n")


def saved(name, kill=None, seconds=0):
    """Work until a signal comes (or send `kill`), then save, as the training loop does."""
    with signals.held_back():
        if kill:
            os.kill(os.getpid(), kill)
        while not signals.received():
            time.sleep(0.01)
        time.sleep(seconds)
        event("saved", name)


def execute(run, directory, **_):
    name = f"{run.backbone.name}.{run.augmenter.name}.{run.seed}"
    event("start", name)
    match json.loads((FOLDER / "plan.json").read_text()).get(name):
        case "fail":
            raise ValueError("broken")
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "wait":
            saved(name)
        case "wait and save slowly":
            saved(name, seconds=5)
        case "once more" if f"saved {name}" not in (FOLDER / "events").read_text():
            saved(name, kill=signal.SIGUSR1)
        case "slow":
            time.sleep(3)
    time.sleep(0.1)
    event("end", name)
    metrics = {"dev": scores(0.5), "test": scores(0.5), "best_epoch": 1, "seconds": 90.0}
    directory.write_json("metrics.json", metrics | {"parameters": 10})


for room, functions in {
    "stages": {"train_run": execute},
    "tried_first": dict.fromkeys(CHECKS, lambda *_: None),
}.items():
    module = ModuleType(f"benchmark.training.{room}")
    vars(module).update(functions)
    sys.modules[module.__name__] = module
    setattr(benchmark.training, room, module)
