"""One experiment by two processes (gloo) and by one: the same losses, the same predictions, faults
and signals met by both.

The processes are told of each other as torchrun does it, by their environment; a long test goes
through `accelerate launch`.
"""

import itertools
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from forked import Fork, Forks
from samples import EMPTY_HANDED, LONELY
from tiny_runs import SIZE, five_documents, losses

from benchmark import processes, signals
from benchmark.data.docred import as_docred
from benchmark.scoring.verification import Documents, verify
from benchmark.store.runs import RunDirectory

ROOT = Path(__file__).parents[1]
NUMBERS = itertools.count()
HEAD = {"emb": 8, "block": 4, "layers": 1, "axial_rate": "head"}
TRAIN = {"epochs": 9, "batch_size": 3, "eval_batch_size": 2, "threads": 1}
TRAIN |= {"lr_encoder": 1e-2, "lr_head": 2e-2}
VAE = {"latent": 4, "epochs": 3, "warmup_epochs": 1, "batch_size": 4}

PLUGIN = '''
import os
import signal
from pathlib import Path

import torch

from augmenters.base import Augmenter
from benchmark.registry import AUGMENTERS


@AUGMENTERS.register("overflowing")
class Overflowing(Augmenter):
    """Pairs whose loss is infinite, once the quality has been measured."""

    calls = 0

    def _augment(self, representations, labels, *, rng):
        self.calls += 1
        if self.calls > 1:
            representations = torch.full_like(representations, 1e38)
        return representations, labels.clone()


@AUGMENTERS.register("stopping")
class Stopping(Augmenter):
    """Noise. Once, in the second of two processes, a signal comes with it.

    It comes in a "step", or when stage 3 is "prepared".
    """

    def __init__(self, *, when: str = "step"):
        self.when = when

    def _prepare(self, label_sets, *, rng, progress):
        self._stop("prepared")

    def _stop(self, when):
        marker = Path(__file__).with_name("stopped")
        if when == self.when and os.environ.get("RANK") == "1" and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGTERM)

    def _augment(self, representations, labels, *, rng):
        self._stop("step")
        noise = 0.5 * torch.randn(representations.shape, generator=rng)
        return representations + noise, labels.clone()
'''


def write_experiment(folder: Path, backbones, augmenters, *, encoder=None, **train) -> list[str]:
    """Seven training documents of one to four entities, in batches of three: the last batch is one
    document, for two processes.

    Returns the command's arguments.
    """
    documents = five_documents()
    splits = {"train": [*documents, EMPTY_HANDED, LONELY], "dev": documents[:2]}
    splits["test"] = documents[2:]
    files = {split: str(folder / f"{split}.json") for split in splits}
    for split, rows in splits.items():
        Path(files[split]).write_text(json.dumps(list(map(as_docred, rows))))
    (folder / "plugin.py").write_text(PLUGIN)
    experiment = dict(
        name="x",
        dataset={"name": "docred-format", **files},
        encoder={"name": "tiny", "options": SIZE, **(encoder or {})},
        backbones=backbones,
        augmenters=augmenters,
        seeds=[0],
        train={**TRAIN, **train},
        augment={"warmup_epochs": 7, "rarity": 0.5},
    )
    (folder / "x.yaml").write_text(json.dumps(experiment))
    plugin = ["--plugin", str(folder / "plugin.py")]
    return ["run", str(folder / "x.yaml"), *plugin]


def worlds(count: int) -> list[dict[str, str]]:
    """What tells each of `count` processes of the others; one knows of none."""
    if count == 1:
        return [{}]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    shared["ACCELERATE_USE_CPU"] = "true"
    return [shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(count)]


@pytest.fixture(scope="module")
def forks():
    with Forks() as forks:
        yield forks


def start(forks: Forks, count: int, command: list[str], results: Path) -> list[Fork]:
    """The command by `count` processes that know of each other."""
    words = [*command, "--results", str(results)]
    output = lambda: Path(f"{results}.output-{next(NUMBERS)}")
    return [forks.start(words, output(), **world) for world in worlds(count)]


def ended(started: list[Fork]) -> list[tuple[int, str]]:
    """Exit code and output of each."""
    return [process.wait() for process in started]


def run_of(results: Path, backbone: str, augmenter: str) -> RunDirectory:
    return RunDirectory.of(results, "x", backbone, augmenter, 0)


def facts(run: RunDirectory, name: str = "predictions_test.json") -> list[list]:
    found, keys = run.read_json(name), ("title", "h_idx", "t_idx", "r")
    return [[fact[key] for key in keys] for fact in found]


def assert_same(one: RunDirectory, other: RunDirectory) -> None:
    assert losses(other) == pytest.approx(losses(one), rel=1e-5)
    assert facts(other) == facts(one)
    for file in ("counts_dev.json", "counts_test.json", "relations.json"):
        assert other.read_json(file) == one.read_json(file)


@pytest.fixture(scope="module")
def grids(forks, tmp_path_factory):
    """The grid by one process, and by two, of which the second gets a signal in the last run."""
    folder = tmp_path_factory.mktemp("processes")
    baseline = {"baseline": {**HEAD, "temperature": 0.5}}
    augmenters = ["none", {"vae": VAE}, "overflowing", "stopping"]
    command = write_experiment(folder, [baseline], augmenters)
    started = [start(forks, 1, command, folder / "one"), start(forks, 2, command, folder / "two")]
    (one,), two = map(ended, started)
    stopped = run_of(folder / "two", "baseline", "stopping")
    left = stopped.state(), (stopped.path / "checkpoint.safetensors").is_file()
    return {"folder": folder, "command": command, "one": one, "two": two, "left": left}


@pytest.mark.parametrize("augmenter", ["none", "vae"])
def test_two_processes_train_and_predict_what_one_does(grids, augmenter):
    """A contrastive loss, requests by rarity; documents without a positive pair; a
    last batch of one document.
    """
    one, two = (run_of(grids["folder"] / name, "baseline", augmenter) for name in ("one", "two"))
    assert two.read_json("metrics.json")["device"].startswith("2 x cpu")
    assert len(facts(one)) > 3 and losses(one)[-1] != losses(one)[-2]
    assert_same(one, two)
    names = lambda run: {path.name for path in run.path.iterdir()}
    assert names(one) == names(two)
    if augmenter == "vae":
        history = lambda run: [e["loss"] for e in run.read_json("stage2_history.json")]
        assert history(two) == pytest.approx(history(one), rel=1e-5)


def test_only_the_main_process_speaks(grids):
    (_, main), (_, other) = grids["two"]
    assert "run 2 of 4: baseline vae seed 0" in main and "run " not in other


def test_a_fault_that_all_meet_is_recorded_and_the_next_run_begins(grids):
    for name in ("one", "two"):
        error = run_of(grids["folder"] / name, "baseline", "overflowing").failure()["error"]
        assert "TrainingError: the loss is" in error
        assert "after step 22 (epoch 8, its step 1;" in error
    assert "run 4 of 4" in grids["two"][0][1]


def test_a_signal_to_one_process_stops_both_with_the_state_saved(grids):
    assert [code for code, _ in grids["two"]] == [signals.AGAIN] * 2
    assert grids["left"] == ("killed", True)


@pytest.mark.long
def test_one_process_goes_on_with_what_two_have_begun(forks, grids):
    folder = grids["folder"]
    ((code, _),) = ended(start(forks, 1, grids["command"], folder / "two"))
    assert code == grids["one"][0] == 1  # for the run that overflows
    assert_same(*(run_of(folder / name, "baseline", "stopping") for name in ("one", "two")))


def test_fusion_by_two_processes_is_that_of_one_and_is_verified(forks, tmp_path):
    dreeam = {"dreeam": {"emb": 8, "block": 4, "layers": 1, "fusion": True}}
    command = write_experiment(tmp_path, [dreeam], ["none"])
    both = [start(forks, count, command, tmp_path / str(count)) for count in (1, 2)]
    for code, output in itertools.chain(*map(ended, both)):
        assert code == 0, output
    one, two = (run_of(tmp_path / name, "dreeam", "none") for name in ("1", "2"))
    assert_same(one, two)
    fused = "predictions_test_fused.json"
    assert facts(one, fused) == facts(two, fused) != []
    for run in (one, two):
        found = verify(run, Documents())
        assert found.differences == [] and found.unverified == []


@pytest.mark.long
@pytest.mark.parametrize(
    ("count", "options"),
    [
        (2, {"accumulation": 2, "batching": "bucketed"}),
        # never enough documents for all; encoded once, by the main process
        (3, {"batch_size": 2, "encoder": {"freeze": "all"}}),
    ],
)
def test_other_settings(forks, tmp_path, count, options):
    """All backbones; teachers for a student of which a process has no document."""

    def assert_the_same(name, backbones, augmenters, **more):
        command = write_experiment(tmp_path, backbones, augmenters, **options, **more)
        one, many = tmp_path / f"{name} one", tmp_path / f"{name} many"
        for started in [start(forks, 1, command, one), start(forks, count, command, many)]:
            for code, output in ended(started):
                assert code == 0, output
        for backbone in (next(iter(backbone)) for backbone in backbones):
            for augmenter in augmenters:
                assert_same(*(run_of(results, backbone, augmenter) for results in (one, many)))

    student, atlop = {"kd_docre": HEAD}, {"atlop": {"emb": 8, "block": 4}}
    assert_the_same("labels", [{"correl": {"emb": 8, "block": 4}}], ["none", "copies"])
    assert_the_same("teacher", [student, atlop], ["none", "gaussian"], store_logits=True)
    teacher = run_of(tmp_path / "teacher one", "kd_docre", "none").path
    assert_the_same("student", [student], ["none"], distill_from=str(teacher))


@pytest.mark.long
def test_drawn_negatives_and_an_auxiliary_loss_that_waits(forks, tmp_path):
    """Both processes take the negatives of the main one; parameters of the auxiliary loss alone get
    a gradient of 0 until it sets in.
    """
    gain = {"gain": {"hidden": 16, "negatives": 1, "least": 2, "rate": 0.0}}
    correl = {"correl": {"emb": 8, "block": 4}}
    command = write_experiment(tmp_path, [correl, gain], ["none", "copies"])
    experiment = json.loads((tmp_path / "x.yaml").read_text())
    experiment["augment"]["warmup_contrastive"] = False
    (tmp_path / "x.yaml").write_text(json.dumps(experiment))
    started = [
        start(forks, 1, command, tmp_path / "one"),
        start(forks, 2, command, tmp_path / "two"),
    ]
    assert all(code == 0 for processes in map(ended, started) for code, _ in processes)
    for cell in itertools.product(("correl", "gain"), ("none", "copies")):
        assert_same(*(run_of(tmp_path / name, *cell) for name in ("one", "two")))


@pytest.mark.long
def test_a_signal_between_steps(forks, tmp_path):
    augmenters = ["none", {"stopping": {"when": "prepared"}}]
    command = write_experiment(tmp_path, [{"atlop": {"emb": 8, "block": 4}}], augmenters)
    codes = lambda: [code for code, _ in ended(start(forks, 2, command, tmp_path / "results"))]
    state = lambda augmenter: run_of(tmp_path / "results", "atlop", augmenter).state()
    assert codes() == [signals.AGAIN] * 2
    assert (state("none"), state("stopping")) == ("done", "killed")
    assert codes() == [0, 0]


@pytest.mark.long
def test_accelerate_launch(tmp_path):
    command = write_experiment(tmp_path, [{"atlop": {"emb": 8, "block": 4}}], ["none"])
    launch = ["-m", "accelerate.commands.launch", "--multi_gpu"]
    launch += ["--num_processes", "2", "--main_process_port", "0"]
    for name, launcher in (("one", []), ("two", launch)):
        words = [sys.executable, *launcher, "run_benchmark.py", *command]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        words += ["--results", str(tmp_path / name)]
        subprocess.run(words, check=True, cwd=ROOT, env=environment, timeout=240)
    assert_same(*(run_of(tmp_path / name, "atlop", "none") for name in ("one", "two")))


def test_one_process_has_nobody_to_agree_with():
    assert processes.count() == 1 and processes.rank() == 0 and processes.is_main()
    value = object()
    assert processes.exchanged(value) == [value] and processes.on_main(lambda: value) is value
    with signals.listening(), signals.held_back():
        processes.stop_if_asked()
