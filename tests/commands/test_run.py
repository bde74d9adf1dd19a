"""The grid as a user meets it: what runs, what is kept, what a failure does to the others, what the
exit code says.
"""

import errno
import json
import os
import socket
import subprocess
import sys
import time

import pytest

from benchmark import signals
from benchmark.config import RunConfig
from benchmark.errors import DataError, UserError
from benchmark.grid import identity
from benchmark.progress import Progress
from benchmark.store.claims import HEARTBEAT
from benchmark.store.runs import RunDirectory

GRID = [
    f"{b} {a} {s}" for s in (0, 1) for b in ("left", "right") for a in ("none", "noisy", "learned")
]


def test_runs_the_whole_grid_and_writes_the_tables(lab):
    result = lab("run CONFIG")
    assert result.exit_code == 0, result.stderr
    assert lab.names() == GRID  # seed by seed, `none` first
    assert lab.loaded == 1
    assert all((lab.folder(name) / "DONE").exists() for name in GRID)
    assert "learned" in result.stdout and "50.00" in result.stdout
    assert "50.00 ± 0.00" in (lab.results / "toy" / "report.md").read_text()
    assert (lab.results / "toy" / "report.csv").read_text().count("\n") > 12
    assert "12 done now" in result.stderr


def test_augmented_runs_get_the_none_run_of_their_seed_as_stage_1(lab):
    lab("run CONFIG")
    calls = {call.name: call for call in lab.ran}
    assert calls["right learned 1"].stage1 == lab.folder("right none 1")
    assert calls["right noisy 1"].stage1 == lab.folder("right none 1")
    assert calls["right none 1"].stage1 is None
    assert calls["right none 1"].branch_epoch == 2
    assert calls["right noisy 1"].branch_epoch is None


def test_stores_what_the_runs_depend_on(lab):
    lab("run CONFIG")
    config = json.loads((lab.folder("left learned 1") / "config.json").read_text())
    assert (
        config["train"]["epochs"] == 3
        and config["augment"]["warmup_epochs"] == 2
        and config["seed"] == 1
    )
    assert config["facts"]["corpus_digest"] == "d1" and config["facts"]["torch"]
    assert json.loads((lab.folder("left none 1") / "config.json").read_text())["augment"] is None


def test_what_is_done_is_neither_computed_again_nor_is_data_loaded_for_it(lab):
    lab("run CONFIG")
    lab.ran.clear()
    result = lab("run CONFIG")
    assert (result.exit_code, lab.ran, lab.loaded) == (0, [], 1)
    assert "12 done before" in result.stderr


def test_a_failed_run_is_recorded_and_the_others_go_on(lab):
    lab.raises["left noisy 0"] = ValueError("the loss is not a number\nsecond line")
    result = lab("run CONFIG")
    assert result.exit_code == 1
    assert "11 done now, 1 failed" in result.stderr
    assert (
        "ValueError: the loss is not a number" in result.stderr and "Traceback" not in result.output
    )
    failure = json.loads((lab.folder("left noisy 0") / "FAILED").read_text())
    assert failure["error"] == "ValueError: the loss is not a number"
    assert "Traceback" in failure["traceback"] and "conftest.py" in failure["traceback"]
    assert not (lab.folder("left noisy 0") / "RUNNING").exists()

    lab.raises.clear()
    lab.ran.clear()
    assert lab("run CONFIG").exit_code == 0
    assert lab.names() == ["left noisy 0"]
    assert not (lab.folder("left noisy 0") / "FAILED").exists()


def test_only_fitted_augmenters_are_blocked_by_a_failed_none_run(lab):
    lab.raises["left none 0"] = RuntimeError("out of memory")
    result = lab("run CONFIG --seeds 0 --backbones left")
    assert result.exit_code == 1
    assert lab.names() == ["left none 0", "left noisy 0"]
    assert lab.ran[1].stage1 is None  # it trains from the beginning
    assert "1 done now, 1 failed, 1 blocked" in result.stderr
    assert "stage 1 is failed" in result.stderr
    assert not lab.folder("left learned 0").exists()


def test_a_killed_run_is_seen_and_done_again(lab):
    lab("run CONFIG")
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    folder = lab.folder("right learned 1")
    (folder / "DONE").unlink()
    (folder / "RUNNING").write_text(
        json.dumps({"host": socket.gethostname(), "pid": process.pid, "time": "then"})
    )
    assert "11 done, 1 killed of 12 runs" in lab("status CONFIG").stdout
    lab.ran.clear()
    assert lab("run CONFIG").exit_code == 0
    assert lab.names() == ["right learned 1"]


def test_a_run_of_another_process_is_left_alone(lab):
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        folder = lab.folder("left none 0")
        folder.mkdir(parents=True)
        (folder / "RUNNING").write_text(
            json.dumps({"host": socket.gethostname(), "pid": process.pid, "time": "now"})
        )
        result = lab("run CONFIG --seeds 0")
        # what starts from it waits for it, fitted or not: numbers and files must not depend on who
        # was faster
        assert (result.exit_code, lab.names()) == (
            1,
            ["right none 0", "right noisy 0", "right learned 0"],
        )
        assert (
            "another process works on it" in result.stderr
            and "3 at work in another process" in result.stderr
        )
        assert (folder / "RUNNING").exists() and not (folder / "FAILED").exists()
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("silent, taken", [(HEARTBEAT - 60, False), (HEARTBEAT + 60, True)])
def test_a_run_of_another_host_is_taken_over_when_that_gives_no_sign_of_life(lab, silent, taken):
    folder = lab.folder("left none 0")
    folder.mkdir(parents=True)
    marker = folder / "RUNNING"
    marker.write_text(json.dumps({"host": "elsewhere", "pid": os.getpid(), "time": "then"}))
    os.utime(marker, (time.time() - silent,) * 2)
    result = lab("run CONFIG --seeds 0 --backbones left")
    assert (result.exit_code, len(lab.ran)) == ((0, 3) if taken else (1, 0))
    assert marker.exists() == (not taken)


def test_a_run_taken_between_the_look_and_the_start_is_left_alone(lab, monkeypatch):
    folder = lab.folder("left none 0")

    def start(directory, config, *, facts):
        directory.path.mkdir(parents=True)
        (directory.path / "RUNNING").write_text(
            json.dumps({"host": socket.gethostname(), "pid": os.getppid(), "time": "now"})
        )
        raise UserError("another process works on this run")

    monkeypatch.setattr("benchmark.store.runs.RunDirectory.start", start)
    result = lab("run CONFIG --seeds 0 --backbones left --augmenters none")
    assert result.exit_code == 1
    assert "has just taken it" in result.stderr
    assert (folder / "RUNNING").exists() and not (folder / "FAILED").exists()


def test_what_starts_from_a_run_that_was_at_work_elsewhere_waits_even_if_it_has_died_since(
    lab, monkeypatch
):
    states = iter(
        ["missing", "running", *["killed"] * 20]
    )  # as seen by `prepare`, by the look at it, and from then on
    state = RunDirectory.state
    none = lab.folder("left none 0")
    monkeypatch.setattr(
        RunDirectory, "state", lambda run: next(states) if run.path == none else state(run)
    )
    result = lab("run CONFIG --seeds 0 --backbones left")
    assert (
        result.exit_code == 1
        and not lab.ran
        and "another process works on its `none` run" in result.stderr
    )


def test_a_run_that_another_process_finished_between_the_look_and_the_start_is_kept(
    lab, monkeypatch
):
    start, folder = RunDirectory.start, lab.folder("left none 0")

    def too_late(directory, config, *, facts):
        start(directory, config, facts=facts)
        nothing = dict.fromkeys(("stage1", "branch_epoch"))
        lab.execute(
            RunConfig.model_validate(config), directory, **nothing, progress=Progress.silent()
        )
        directory.finish()
        return start(directory, config, facts=facts)

    monkeypatch.setattr(RunDirectory, "start", too_late)
    result = lab("run CONFIG --seeds 0 --backbones left --augmenters none")
    assert result.exit_code == 0 and "1 done before" in result.stderr
    assert not (folder / "FAILED").exists() and RunDirectory(folder).damage() is None


def test_a_run_that_was_taken_over_meanwhile_is_left_to_who_took_it(lab, monkeypatch):
    """A process that slept for hours, and whose run another host took over, has no say in it any
    more.
    """
    folder, taken = (
        lab.folder("left none 0"),
        json.dumps({"host": "elsewhere", "pid": 1, "time": "now"}),
    )
    execute = lab.execute
    monkeypatch.setattr(
        "benchmark.training.stages.train_run",
        lambda *a, **k: (execute(*a, **k), (folder / "RUNNING").write_text(taken)),
    )
    result = lab("run CONFIG --seeds 0 --backbones left --augmenters none")
    assert result.exit_code == 1 and "has just taken it" in result.stderr
    assert (folder / "RUNNING").read_text() == taken and RunDirectory(folder).state() == "running"


def test_ctrl_c_stops_cleanly_and_the_next_call_goes_on(lab):
    lab.raises["left learned 0"] = KeyboardInterrupt()
    result = lab("run CONFIG")
    assert result.exit_code == 130
    assert "Traceback" not in result.output
    assert not (lab.folder("left learned 0") / "RUNNING").exists()
    assert "2 done, 1 killed, 9 missing of 12 runs" in lab("status CONFIG").stdout
    lab.raises.clear()
    lab.ran.clear()
    assert lab("run CONFIG").exit_code == 0
    assert lab.names() == GRID[2:]


def test_a_full_disk_stops_the_grid_and_loses_nothing(lab):
    def wrapped():
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            try:
                raise UserError("metrics.json: cannot be written: the disk is full") from error
            except UserError as user_error:
                return user_error

    lab.raises["right none 0"] = wrapped()
    result = lab("run CONFIG")
    assert result.exit_code == 1
    assert lab.names() == GRID[:4]
    assert "3 done now, 1 failed, 8 not tried" in result.stderr
    assert "the disk is full" in result.stderr


def test_safetensors_tells_of_a_full_disk_in_words_only(lab):
    lab.raises["left none 0"] = UserError(
        "best.safetensors cannot be written: I/O error: No space left on device (os error 28)"
    )
    result = lab("run CONFIG")
    assert (result.exit_code, lab.names()) == (1, GRID[:1])


def test_a_run_that_is_asked_to_stop_says_again(lab):
    lab.raises["left noisy 0"] = signals.Preempted("SIGTERM")
    result = lab("run CONFIG")
    assert result.exit_code == signals.AGAIN == 75
    assert "asked to stop" in result.stderr and "Traceback" not in result.output
    assert "1 done" in lab("status CONFIG").stdout and "1 killed" in lab("status CONFIG").stdout
    del lab.raises["left noisy 0"]
    assert lab("run CONFIG").exit_code == 0


def test_faults_of_the_data_stop_everything_before_it_starts(lab):
    lab.broken_data = DataError("train.json: document 3, labels[0].h: entity 9 does not exist")
    result = lab("run CONFIG")
    assert (result.exit_code, lab.ran) == (2, [])
    assert result.stderr == "error: train.json: document 3, labels[0].h: entity 9 does not exist\n"
    assert not lab.results.exists()


def test_a_finished_run_of_another_configuration_is_never_mixed_in_or_overwritten(lab):
    lab("run CONFIG --seeds 0")
    before = (lab.folder("left none 0") / "config.json").read_bytes()
    lab.ran.clear()
    result = lab("run CONFIG --set train.epochs=4")
    assert (result.exit_code, lab.ran) == (2, [])
    assert "train.epochs: 3 stored, 4 asked for" in result.stderr and "--set name" in result.stderr
    assert (lab.folder("left none 0") / "config.json").read_bytes() == before
    shown = lab("status CONFIG --set train.epochs=4").stdout
    assert (
        "6 missing, 6 changed of 12 runs" in shown
        and "changed: repeat here the --set options" in shown
    )
    assert lab("run CONFIG --set train.epochs=4 --set name=longer --seeds 0").exit_code == 0
    assert len(lab.ran) == 6


def test_moving_the_data_loses_no_run_but_changing_it_is_an_error(lab):
    lab("run CONFIG --seeds 0")
    moved = ("--set", "dataset={name: toy-data, path: elsewhere/train.json}")
    assert lab("run CONFIG --seeds 0", *moved).exit_code == 0
    assert len(lab.ran) == 6
    lab.digest = "d2"
    result = lab("run CONFIG", *moved)
    assert (result.exit_code, len(lab.ran)) == (2, 6)
    assert 'corpus_digest: "d1" stored, "d2" asked for' in result.stderr


def test_adding_seeds_and_augmenters_touches_nothing_that_is_there(lab):
    lab("run CONFIG --seeds 0")
    before = {
        file: file.read_bytes()
        for file in lab.results.rglob("*.json")
        if file.parent.name == "seed-0"
    }
    lab.ran.clear()
    assert lab("run CONFIG --set", "augmenters=[none, noisy, learned, spare]").exit_code == 0
    assert lab.names() == [
        "left spare 0",
        "right spare 0",
        *(f"{b} {a} 1" for b in ("left", "right") for a in ("none", "noisy", "learned", "spare")),
    ]
    assert all(file.read_bytes() == content for file, content in before.items())


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--seeds", "1"), GRID[6:]),
        (
            ("--seeds", "0-1", "--backbones", "right", "--augmenters", "noisy,none"),
            [GRID[3], GRID[4], GRID[9], GRID[10]],
        ),
        (("--augmenters", "noisy", "--seeds", "1"), ["left noisy 1", "right noisy 1"]),
        (("--augmenters", "learned", "--backbones", "left"), [GRID[0], GRID[2], GRID[6], GRID[8]]),
        (
            ("--augmenters", "spare", "--backbones", "left", "--seeds", "7"),
            ["left spare 7"],
        ),  # not in the file
    ],
)
def test_narrowing(lab, options, expected):
    result = lab("run CONFIG", *options)
    assert result.exit_code == 0, result.stderr
    assert lab.names() == expected
    assert ("'none' runs as well" in result.stderr) == ("learned" in options)


def test_none_is_added_when_the_file_lacks_it(lab):
    result = lab("run CONFIG --set augmenters=[learned] --seeds 0 --backbones left")
    assert lab.names() == ["left none 0", "left learned 0"]
    assert "'none' runs as well" in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--augmenters", "lerned"), "unknown augmenter 'lerned'. Did you mean 'learned'?"),
        (("--backbones", "rihgt"), "unknown backbone 'rihgt'. Did you mean 'right'?"),
        (("--seeds", "one"), "'one' is no seed"),
        (("--seeds", "-1"), "a seed is a whole number from 0 on, got -1"),
        (("--seeds", "5-2"), "'5-2' is no seed"),
        (("--augmenters", ","), "an empty list"),
        (("--seeds", ""), "an empty list"),
        (
            ("--set", "train.epochs=-1"),
            "train.epochs: Input should be greater than or equal to 1 (got -1)",
        ),
        (("--seeds", "0-99999999999"), "more than 10000 seeds"),
        (("--set", "train.epoch=5"), "unknown key 'train.epoch'. Did you mean 'epochs'?"),
        (("--set", "dataset=toy-dat"), "unknown dataset 'toy-dat'. Did you mean 'toy-data'?"),
        (("--set", "epochs"), "expected key=value"),
        (("--plugin", "nowhere.py"), "nowhere.py: no such file"),
    ],
)
def test_mistakes_on_the_command_line(lab, options, message):
    result = lab("run CONFIG", *options)
    assert result.exit_code == 2
    assert message in result.stderr and result.stderr.startswith("error: ")
    assert "Traceback" not in result.output
    assert not lab.ran and not lab.results.exists()


def test_an_added_none_is_remembered_as_part_of_the_grid(lab):
    lab("run CONFIG --set", "augmenters=[noisy, learned]", "--seeds", "0", "--backbones", "left")
    grid = json.loads((lab.results / "toy" / "experiment.json").read_text())
    assert [choice["name"] for choice in grid["augmenters"]] == ["none", "noisy", "learned"]
    assert "3 done, 9 missing of 12 runs" in lab("status", lab.results / "toy").stdout


def test_what_only_later_runs_need_is_kept_until_they_are_done(lab):
    lab("run CONFIG --seeds 0 --backbones left --augmenters none,noisy")
    # `learned` may still come and needs the `none` run
    assert lab.left("left none 0") == {"branch.safetensors", "best.safetensors"}
    assert lab.left("left noisy 0") == {"best.safetensors"}
    lab("run CONFIG --seeds 0 --backbones left --set train.keep_weights=best")
    assert lab.left("left none 0") == lab.left("left learned 0") == {"best.safetensors"}


@pytest.mark.parametrize("all_done", [True, False])
def test_what_a_process_killed_after_the_end_left_is_removed_by_the_next_call(lab, all_done):
    options = ("--seeds", "0", "--backbones", "left")
    lab("run CONFIG", *options)
    for name in ("left none 0", "left learned 0"):
        for file in (
            "RUNNING",
            "checkpoint.safetensors",
            "branch.safetensors",
            ".best.safetensors.host.17.tmp",
            ".tmpAbCdEf",
        ):
            (lab.folder(name) / file).touch()
    (lab.folder("left none 0") / "mine.txt").touch()
    lab("run CONFIG", *(options if all_done else ()))
    for name in ("left none 0", "left learned 0"):
        assert lab.left(name) == {"best.safetensors"} and not [
            *lab.folder(name).glob(".*"),
            *lab.folder(name).glob("RUNNING"),
        ]
    assert (lab.folder("left none 0") / "mine.txt").exists()


def test_what_killed_processes_were_writing_where_all_write_goes_after_a_day(lab):
    folder = lab.results / "toy"
    (folder / "cache").mkdir(parents=True)
    old, young = (
        (folder / ".report.md.host.1.tmp", folder / "cache" / ".tmpAbCdEf"),
        (folder / ".report.md.host.2.tmp",),
    )
    for path in (*old, *young):
        path.touch()
    for path in old:
        os.utime(path, (time.time() - 25 * 3600,) * 2)
    lab("run CONFIG --seeds 0 --backbones left")
    assert not any(path.exists() for path in old) and all(path.exists() for path in young)


def test_what_a_run_of_another_grid_needs_is_kept(lab):
    """The file was narrowed while `noisy` was killed: its `none` run's state is there for it
    still.
    """
    lab.raises["left noisy 0"] = KeyboardInterrupt()
    lab("run CONFIG --seeds 0 --backbones left --augmenters none,noisy")
    assert (
        lab("run CONFIG --seeds 0 --backbones left --set", "augmenters=[none, learned]").exit_code
        == 0
    )
    assert lab.left("left none 0") == {"branch.safetensors", "best.safetensors"}


def test_weights_are_given_up_when_the_experiment_says_so(lab):
    lab("run CONFIG --seeds 0 --backbones left --set train.keep_weights=none")
    assert not any(lab.left(name) for name in ("left none 0", "left noisy 0", "left learned 0"))


def test_dry_run_runs_nothing(lab):
    result = lab("run CONFIG --dry-run")
    assert (result.exit_code, lab.ran) == (0, [])
    assert (
        "12 of 12 runs to do: time and disk are unknown until a first run is done" in result.stdout
    )
    assert not lab.results.exists()


def test_dry_run_tells_what_run_would_refuse(lab):
    lab.broken_data = UserError("data/train.json: no such file")
    result = lab("run CONFIG --dry-run")
    assert result.exit_code == 0 and "12 of 12 runs to do" in result.stdout
    assert (
        "`run` would stop: data/train.json: no such file" in result.stderr
        and not lab.results.exists()
    )


def test_dry_run_estimates_from_what_is_done(lab):
    lab("run CONFIG --seeds 0")
    result = lab("run CONFIG --dry-run --backbones left")
    # three runs left, 90 s each as those of seed 0
    assert "3 of 6 runs to do: about 4 min 30 s" in result.stdout
    assert result.stdout.count("1 min 30 s") == 3
    assert result.stdout.count("missing") == 3 and result.stdout.count("done") == 3


def test_status_names_failures_and_counts_states(lab):
    lab.raises["left noisy 0"] = ValueError("the loss is not a number")
    lab("run CONFIG --backbones left --seeds 0")
    for target in ("CONFIG", lab.results / "toy"):
        result = lab("status", target)
        assert result.exit_code == 0
        assert "2 done, 1 failed, 9 missing of 12 runs" in result.stdout
        assert (
            f"failed: {lab.folder('left noisy 0')}: ValueError: the loss is not a number"
            in result.stdout
        )


def test_status_of_a_folder_without_the_experiment(lab):
    lab("run CONFIG --backbones left")
    (lab.results / "toy" / "experiment.json").unlink()
    assert "6 done of 6 runs" in lab("status", lab.results / "toy").stdout


def test_status_of_what_is_no_experiment(lab, tmp_path):
    assert lab("status", tmp_path / "nothing.yaml").exit_code == 2
    empty = tmp_path / "empty"
    empty.mkdir()
    result = lab("status", empty)
    assert result.exit_code == 2 and "holds no runs" in result.stderr


def test_report_from_the_folder_equals_the_one_that_run_wrote(lab):
    lab("run CONFIG --seeds 0 --augmenters none,noisy")
    report = lab.results / "toy" / "report.md"
    written = report.read_text()
    for target in ("CONFIG", lab.results / "toy"):
        report.unlink()
        result = lab("report", target)
        assert result.exit_code == 0, result.stderr
        assert report.read_text() == written
    assert "missing" in written and "learned" in written


def test_report_without_a_finished_run(lab):
    result = lab("report CONFIG")
    assert result.exit_code == 2 and "nothing to report" in result.stderr


def test_report_of_a_file_that_was_changed_by_hand(lab):
    lab("run CONFIG --seeds 0 --backbones left")
    metrics = lab.folder("left none 0") / "metrics.json"
    metrics.write_text(metrics.read_text().replace("0.5", "0.9"))
    result = lab("report CONFIG")
    assert result.exit_code == 0
    assert (
        "left out: " in result.stderr
        and f"{metrics}: changed after the run was done" in result.stderr
    )
    assert "Missing: left/none (seed 0, 1)" in (lab.results / "toy" / "report.md").read_text()


@pytest.mark.parametrize("file", ["metrics.json", "config.json", "DONE"])
def test_a_damaged_run_hinders_only_what_starts_from_it(lab, file):
    lab("run CONFIG --seeds 0 --augmenters none")
    torn = lab.folder("left none 0") / file
    torn.write_text(torn.read_text()[:20])
    lab.ran.clear()
    result = lab("run CONFIG --seeds 0")
    assert result.exit_code == 1
    assert lab.names() == ["left noisy 0", "right noisy 0", "right learned 0"]
    assert str(torn) in result.stderr and "Move the folder away" in result.stderr
    assert "1 damaged" in result.stderr and "1 blocked" in result.stderr
    assert torn.read_text() == torn.read_text()[:20]
    found = lab("status CONFIG").stdout
    assert "1 damaged" in found and str(torn) in found.replace("\n", "")


def test_a_torn_record_of_a_failure_stops_no_status(lab):
    lab.raises["left noisy 0"] = ValueError("bad")
    lab("run CONFIG --seeds 0")
    (lab.folder("left noisy 0") / "FAILED").write_text('{"error": "Val')
    result = lab("status CONFIG")
    assert result.exit_code == 0 and "FAILED is torn" in result.stdout.replace("\n", " ")


def test_what_the_command_line_adds_changes_no_expectation(lab):
    lab("run CONFIG --seeds 7 --backbones left --augmenters spare")
    assert "1 done, 12 missing of 13 runs" in lab("status", lab.results / "toy").stdout
    assert "1 done, 12 missing of 13 runs" in lab("status CONFIG").stdout
    lab("run CONFIG --seeds 0 --backbones left --augmenters none")
    assert "2 done, 11 missing of 13 runs" in lab("status", lab.results / "toy").stdout
    lab("report CONFIG")
    from_file = (lab.results / "toy" / "report.md").read_text()
    lab("report", lab.results / "toy")
    assert (lab.results / "toy" / "report.md").read_text() == from_file
    assert "| spare | 1 |" in " ".join(from_file.split())


def test_the_grid_is_known_before_the_first_run_ends(lab):
    lab.raises["left none 0"] = ValueError("bad")
    assert lab("run CONFIG --seeds 0 --backbones left --augmenters none").exit_code == 1
    assert (lab.results / "toy" / "experiment.json").is_file()


def test_a_plugin_joins_the_grid(lab, tmp_path, monkeypatch):
    from benchmark.registry import AUGMENTERS

    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "from benchmark.registry import AUGMENTERS\n"
        "@AUGMENTERS.register('mine')\n"
        "class Mine:\n"
        "    '''My own.'''\n"
        "    needs_fitting = False\n"
        "    def __init__(self, *, share=0.5): ...\n"
    )
    try:
        result = lab(
            "run CONFIG --plugin",
            plugin,
            "--augmenters",
            "none,mine",
            "--seeds",
            "0",
            "--backbones",
            "left",
        )
        assert result.exit_code == 0, result.stderr
        assert lab.names() == ["left none 0", "left mine 0"]
        assert lab.ran[1].run.augmenter.options == {"share": 0.5}
        assert "mine" in lab("list augmenters --plugin", plugin).stdout
    finally:
        AUGMENTERS.entries().pop("mine", None)
        sys.modules.pop("plugin_mine", None)


def test_a_plugin_that_does_not_import(lab, tmp_path):
    plugin = tmp_path / "broken.py"
    plugin.write_text("import nowhere_to_be_found\n")
    result = lab("status CONFIG --plugin", plugin)
    assert (
        result.exit_code == 2
        and "ModuleNotFoundError" in result.stderr
        and "Traceback" not in result.stderr
    )


def test_demo_is_the_grid_of_its_file(lab, monkeypatch):
    monkeypatch.setattr("benchmark.commands.run.DEMO", lab.config)
    assert lab("demo").exit_code == 0
    assert lab.names() == GRID


def test_stage_1_of_other_data_is_no_stage_1(lab):
    assert lab("run CONFIG --augmenters none").exit_code == 0
    lab.digest, lab.ran = "d2", []
    result = lab("run CONFIG --augmenters learned")
    assert (result.exit_code, lab.ran) == (2, []) and "corpus_digest" in result.stderr


def test_data_that_moved_is_looked_at_even_when_all_is_done(lab):
    lab("run CONFIG")
    moved = ("--set", "dataset={name: toy-data, path: elsewhere/train.json}")
    assert lab("run CONFIG", *moved).exit_code == 0
    lab.digest = "d2"
    result = lab("run CONFIG", *moved)
    assert result.exit_code == 2 and "corpus_digest" in result.stderr


def test_a_table_that_cannot_be_written_hides_no_outcome(lab, monkeypatch):
    def full(*_):
        raise UserError("report.md: the disk is full")

    monkeypatch.setattr("benchmark.commands.run.publish", full)
    lab.raises["left noisy 0"] = ValueError("broken")
    result = lab("run CONFIG")
    assert (
        result.exit_code == 1
        and "failed: left noisy seed 0" in result.stderr
        and "the disk is full" in result.stderr
    )


@pytest.mark.parametrize("content", ["{}", "[]", '{"backbones": 3}'])
def test_a_grid_file_that_is_none_is_named(lab, content):
    lab("run CONFIG --seeds 0 --augmenters none")
    (lab.results / "toy" / "experiment.json").write_text(content)
    result = lab("status", lab.results / "toy")
    assert (
        result.exit_code == 2 and "experiment.json: not the grid of an experiment" in result.stderr
    )


def test_a_folder_that_only_looks_like_a_run_is_passed_over(lab):
    lab("run CONFIG --seeds 0 --augmenters none")
    stray = lab.results / "toy" / "left" / "none" / "seed-abc"
    stray.mkdir()
    (stray / "config.json").write_text("{}")
    assert lab("status CONFIG").exit_code == 0 and lab("status", lab.results / "toy").exit_code == 0


def test_differences_are_shown_once_there_is_one(lab):
    result = lab("run CONFIG --augmenters none --backbones left --seeds 0")
    assert (
        "no difference to show yet" in result.stderr and "difference to none" not in result.stdout
    )
    assert (
        "difference to none" in (lab.results / "toy" / "report.md").read_text()
    )  # a file that is kept shows what is missing
    result = lab("run CONFIG --augmenters noisy --backbones left --seeds 0")
    assert (
        "no difference to show yet" not in result.stderr and "difference to none" in result.stdout
    )


def stop(lab, name, saved="checkpoint"):
    """Leave a run as a killed process does, with a saved state."""
    lab.raises[name] = KeyboardInterrupt()
    backbone, _, seed = name.split()
    options = f"--seeds {seed} --backbones {backbone} --augmenters none"
    assert lab(f"run CONFIG {options}").exit_code == 130
    del lab.raises[name]
    state = lab.folder(name) / f"{saved}.safetensors"
    state.touch()
    return state


@pytest.mark.parametrize("saved", ["checkpoint", "augmenter"])
def test_a_saved_state_is_not_thrown_away_for_other_settings(lab, saved):
    state = stop(lab, "left none 0", saved)
    changed = "run CONFIG --seeds 0 --backbones left --augmenters none --set train.epochs=5".split()
    refused = lab(*changed)
    assert refused.exit_code == 2 and state.is_file()
    assert (
        "holds an unfinished run of another configuration" in refused.stderr
        and "train.epochs: 3 stored, 5 asked" in refused.stderr
    )
    assert "--restart" in refused.stderr
    assert lab(*changed, "--restart").exit_code == 0
    assert (
        json.loads((lab.folder("left none 0") / "config.json").read_text())["train"]["epochs"] == 5
    )


def test_a_saved_state_of_other_data_is_not_thrown_away_and_the_same_settings_go_on(lab):
    state = stop(lab, "left none 0")
    lab.digest = "d2"
    refused = lab("run CONFIG --seeds 0 --backbones left --augmenters none")
    assert refused.exit_code == 2 and "corpus_digest" in refused.stderr and state.is_file()
    lab.digest = "d1"
    assert lab("run CONFIG --seeds 0 --backbones left --augmenters none").exit_code == 0


def test_another_numerics_version_is_refused_even_when_all_is_done(lab, monkeypatch):
    lab("run CONFIG --seeds 0 --backbones left")
    monkeypatch.setattr(identity, "NUMERICS_VERSION", identity.NUMERICS_VERSION + 1)
    refused = lab("run CONFIG --seeds 0 --backbones left")
    assert refused.exit_code == 2 and "numerics_version" in refused.stderr


@pytest.mark.parametrize("change", [("--set", "train.epochs=5"), None])
def test_a_new_seed_must_fit_beside_those_that_are_done(lab, change):
    lab("run CONFIG --seeds 0 --backbones left")
    lab.digest = "d1" if change else "d2"
    refused = lab("run CONFIG --seeds 7 --backbones left --set seeds=[7]", *(change or ()))
    assert (
        refused.exit_code == 2 and ("train.epochs" if change else "corpus_digest") in refused.stderr
    )
    assert not lab.folder("left none 7").exists()


def test_runs_of_another_commit_are_only_said(lab):
    lab("run CONFIG --seeds 0 --backbones left")
    directory = RunDirectory(lab.folder("left none 0"))
    config = directory.read_json("config.json")
    config["facts"]["commit"] = "0123456789abcdef"
    directory.write_json("config.json", config)
    directory.finish()
    done = lab("run CONFIG --seeds 0,1 --backbones left")
    assert done.exit_code == 0 and "were made by commit 0123456789ab" in done.stderr
