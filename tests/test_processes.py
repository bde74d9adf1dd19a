"""One experiment by two processes (gloo) and by one: the same losses, the same predictions, faults
and signals met by both.

The processes are told of each other as torchrun does it, by their environment; a long test goes
through `accelerate launch`.
"""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from forked import Forks
from samples import EMPTY_HANDED, LONELY
from tiny_runs import five_documents

from benchmark import processes, signals
from benchmark.store.runs import RunDirectory

ROOT = Path(__file__).parents[1]
SIZE = {"vocabulary": 200, "width": 8, "layers": 1, "heads": 2, "positions": 64}
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


def raw(document):
    """A canonical row as DocRED-format JSON."""
    mention = lambda m: dict(
        name=m["name"], sent_id=m["sentence"], pos=[m["start"], m["end"]], type="MISC"
    )
    fact = lambda f: {"h": f["head"], "t": f["tail"], "r": f["relation"], "evidence": []}
    return dict(
        title=document["title"],
        sents=document["sentences"],
        vertexSet=[[mention(m) for m in entity["mentions"]] for entity in document["entities"]],
        labels=list(map(fact, document["facts"])),
    )


def write_experiment(folder: Path, backbones, augmenters, *, encoder=None, **train) -> list[str]:
    """Seven training documents of one to four entities, in batches of three: the last batch is one
    document, for two processes.

    Returns the command's arguments.
    """
    splits = dict(
        train=[*five_documents(), EMPTY_HANDED, LONELY],
        dev=five_documents()[:2],
        test=five_documents()[2:],
    )
    for split, documents in splits.items():
        (folder / f"{split}.json").write_text(json.dumps([raw(document) for document in documents]))
    (folder / "plugin.py").write_text(PLUGIN)
    experiment = dict(
        name="x",
        dataset={
            "name": "docred-format",
            **{split: str(folder / f"{split}.json") for split in splits},
        },
        encoder={"name": "tiny", "options": SIZE, **(encoder or {})},
        backbones=backbones,
        augmenters=augmenters,
        seeds=[0],
        train={**TRAIN, **train},
        augment={"warmup_epochs": 7, "rarity": 0.5},
    )
    (folder / "x.yaml").write_text(json.dumps(experiment))
    plugin = ["--plugin", str(folder / "plugin.py")]
    return ["run_benchmark.py", "run", str(folder / "x.yaml"), *plugin]


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


def start(count: int, command: list[str]) -> list[subprocess.Popen]:
    """`count` processes that know of each other."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    own = os.environ | {"OMP_NUM_THREADS": "1"}
    words = [sys.executable, *command]
    return [subprocess.Popen(words, cwd=ROOT, env=own | one, **pipes) for one in worlds(count)]


def ended(started: list[subprocess.Popen]) -> list[tuple[int, str]]:
    """Exit code and output of each."""
    try:
        outputs = [process.communicate(timeout=240)[0] for process in started]
    finally:
        for process in started:
            process.kill()
    return [(process.returncode, output) for process, output in zip(started, outputs, strict=True)]


def run_both(count: int, command: list[str], one: Path, many: Path) -> None:
    """To the end without an error, by one process and by `count`."""
    started = [
        start(number, [*command, "--results", str(results)])
        for number, results in ((1, one), (count, many))
    ]
    for code, output in [result for group in started for result in ended(group)]:
        assert code == 0, output


def run_of(results: Path, backbone: str, augmenter: str) -> RunDirectory:
    return RunDirectory.of(results, "x", backbone, augmenter, 0)


def losses(run: RunDirectory) -> list[float]:
    return [epoch["loss"] for epoch in run.read_history()]


def facts(run: RunDirectory) -> list[tuple]:
    return [
        (fact["title"], fact["h_idx"], fact["t_idx"], fact["r"])
        for fact in run.read_json("predictions_test.json")
    ]


def assert_same(one: RunDirectory, other: RunDirectory) -> None:
    assert losses(other) == pytest.approx(losses(one), rel=1e-5)
    assert facts(other) == facts(one)
    for file in ("counts_dev.json", "counts_test.json", "relations.json"):
        assert other.read_json(file) == one.read_json(file)


@pytest.fixture(scope="module")
def grids(tmp_path_factory):
    """The grid by one process, and by two, of which the second gets a signal in the last run."""
    folder = tmp_path_factory.mktemp("processes")
    baseline = {"baseline": {**HEAD, "temperature": 0.5}}
    command = write_experiment(
        folder, [baseline], ["none", {"vae": VAE}, "overflowing", "stopping"]
    )
    with Forks() as forks:
        started = [
            forks.start(
                [*command[1:], "--results", str(folder / name)], folder / f"{name}{i}", **one
            )
            for name, count in (("one", 1), ("two", 2))
            for i, one in enumerate(worlds(count))
        ]
        one, *two = [process.wait() for process in started]
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
    assert sorted(path.name for path in one.path.iterdir()) == sorted(
        path.name for path in two.path.iterdir()
    )
    if augmenter == "vae":
        stage2 = [
            [epoch["loss"] for epoch in run.read_json("stage2_history.json")] for run in (one, two)
        ]
        assert stage2[1] == pytest.approx(stage2[0], rel=1e-5)


def test_only_the_main_process_speaks(grids):
    (_, main), (_, other) = grids["two"]
    assert "run 2 of 4: baseline vae seed 0" in main and "run " not in other


def test_a_fault_that_all_meet_is_recorded_and_the_next_run_begins(grids):
    failures = [
        run_of(grids["folder"] / name, "baseline", "overflowing").failure()["error"]
        for name in ("one", "two")
    ]
    assert all(
        "TrainingError: the loss is" in text and "after step 22 (epoch 8, its step 1;" in text
        for text in failures
    )
    assert "run 4 of 4" in grids["two"][0][1]


def test_a_signal_to_one_process_stops_both_with_the_state_saved(grids):
    assert [code for code, _ in grids["two"]] == [signals.AGAIN] * 2
    assert grids["left"] == ("killed", True)


@pytest.mark.long
def test_one_process_goes_on_with_what_two_have_begun(grids):
    (resumed,) = ended(start(1, [*grids["command"], "--results", str(grids["folder"] / "two")]))
    assert resumed[0] == grids["one"][0] == 1  # for the run that overflows
    assert_same(
        *(run_of(grids["folder"] / name, "baseline", "stopping") for name in ("one", "two"))
    )


@pytest.mark.long
@pytest.mark.parametrize(
    ("count", "options"),
    [
        (2, {"accumulation": 2, "batching": "bucketed"}),
        # never enough documents for all; encoded once, by the main process
        (3, {"batch_size": 2, "encoder": {"freeze": "all"}}),
    ],
)
def test_other_settings(tmp_path, count, options):
    """All backbones; teachers for a student of which a process has no document."""
    backbones = [{"kd_docre": HEAD}, {"atlop": {"emb": 8, "block": 4}}]
    command = write_experiment(
        tmp_path, backbones, ["none", "gaussian"], store_logits=True, **options
    )
    run_both(count, command, tmp_path / "one", tmp_path / "many")
    for backbone in ("kd_docre", "atlop"):
        for augmenter in ("none", "gaussian"):
            assert_same(*(run_of(tmp_path / name, backbone, augmenter) for name in ("one", "many")))
    teacher = str(run_of(tmp_path / "one", "kd_docre", "none").path)
    command = write_experiment(
        tmp_path, [{"kd_docre": HEAD}], ["none"], distill_from=teacher, **options
    )
    run_both(count, command, tmp_path / "taught", tmp_path / "taught by many")
    names = ("taught", "taught by many")
    assert_same(*(run_of(tmp_path / name, "kd_docre", "none") for name in names))


@pytest.mark.long
def test_a_signal_between_steps(tmp_path):
    command = write_experiment(
        tmp_path, [{"atlop": {"emb": 8, "block": 4}}], ["none", {"stopping": {"when": "prepared"}}]
    )
    codes = lambda: [code for code, _ in ended(start(2, [*command, "--results", str(tmp_path)]))]
    assert codes() == [signals.AGAIN] * 2
    assert run_of(tmp_path, "atlop", "none").state() == "done"
    assert run_of(tmp_path, "atlop", "stopping").state() == "killed"
    assert codes() == [0, 0]


@pytest.mark.long
def test_accelerate_launch(tmp_path):
    command = write_experiment(tmp_path, [{"atlop": {"emb": 8, "block": 4}}], ["none"])
    launch = ["-m", "accelerate.commands.launch", "--multi_gpu"]
    launch += ["--num_processes", "2", "--main_process_port", "0"]
    alone = start(1, [*command, "--results", str(tmp_path / "one")])
    together = start(1, [*launch, *command, "--results", str(tmp_path / "two")])
    assert [code for code, _ in ended(alone) + ended(together)] == [0, 0]
    assert_same(*(run_of(tmp_path / name, "atlop", "none") for name in ("one", "two")))


def test_one_process_has_nobody_to_agree_with():
    assert processes.count() == 1 and processes.rank() == 0 and processes.is_main()
    value = object()
    assert processes.exchanged(value) == [value] and processes.on_main(lambda: value) is value
    with signals.listening(), signals.held_back():
        processes.stop_if_asked()
