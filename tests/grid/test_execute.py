"""What runs, what is kept, what a failure does to the others, and what is refused."""

import errno
import json
import os
import platform
import socket
import subprocess
import sys
import time
import weakref

import pytest

from benchmark import numerics, signals
from benchmark.config import RunConfig
from benchmark.errors import DataError, UserError
from benchmark.progress import Progress
from benchmark.store.claims import HEARTBEAT
from benchmark.store.runs import IDENTIFYING_FACTS, RunDirectory
from benchmark.training.checkpoints import write_tensors
from benchmark.training.resume import state_identity

AUGMENTERS = ("none", "noisy", "learned")
GRID = [f"{b} {a} {s}" for s in (0, 1) for b in ("left", "right") for a in AUGMENTERS]
LEFT = "run CONFIG --seeds 0 --backbones left"
NONE = f"{LEFT} --augmenters none"
MOVED = ("--set", "dataset={name: toy-data, path: elsewhere/train.json}")


def config_of(lab, name):
    """The stored configuration."""
    return RunDirectory(lab.folder(name)).read_json("config.json")


def ran(lab, *options, code=0):
    """The names of the runs that this call does."""
    lab.ran.clear()
    assert lab(*options).exit_code == code
    return lab.names()


def claimed(folder, *, host=None, pid):
    """The RUNNING file of another process."""
    folder.mkdir(parents=True, exist_ok=True)
    marker = folder / "RUNNING"
    marker.write_text(json.dumps({"host": host or socket.gethostname(), "pid": pid}))
    return marker


def test_all_runs_once_and_augmented_ones_with_the_none_run_of_their_seed_as_stage_1(lab):
    lab("run CONFIG")
    assert lab.names() == GRID and lab.loaded == 1  # seed by seed, `none` first
    calls = {call.name: call for call in lab.ran}
    for name in ("right learned 1", "right noisy 1"):
        assert calls[name].stage1 == lab.folder("right none 1") and not calls[name].branch_epoch
    assert calls["right none 1"].stage1 is None and calls["right none 1"].branch_epoch == 2
    assert set(lab.ran[0].facts) == set(IDENTIFYING_FACTS)  # what training states belong to
    config = config_of(lab, "left learned 1")
    assert (config["train"]["epochs"], config["augment"]["warmup_epochs"]) == (3, 2)
    assert config["facts"]["corpus_digest"] == "d1" and config["facts"]["torch"]
    assert config_of(lab, "left none 1")["augment"] is None
    # what is done is neither computed again, nor is its data loaded
    assert ran(lab, "run CONFIG") == [] and lab.loaded == 1


def test_a_failed_run_is_recorded_and_the_others_go_on(lab):
    lab.raises["left noisy 0"] = ValueError("the loss is not a number\nsecond line")
    result = lab("run CONFIG")
    assert result.exit_code == 1 and "11 done now, 1 failed" in result.stderr
    assert "ValueError: the loss is not a number" in result.stderr
    assert "Traceback" not in result.output
    failure = json.loads((lab.folder("left noisy 0") / "FAILED").read_text())
    assert failure["error"] == "ValueError: the loss is not a number"
    assert "Traceback" in failure["traceback"] and "conftest.py" in failure["traceback"]
    assert not (lab.folder("left noisy 0") / "RUNNING").exists()

    lab.raises.clear()
    assert ran(lab, "run CONFIG") == ["left noisy 0"]
    assert not (lab.folder("left noisy 0") / "FAILED").exists()


def test_the_model_of_a_failed_run_is_gone_when_the_next_begins(lab, monkeypatch):
    """A run that ran out of GPU memory must not leave less of it for the next one."""
    models = []

    class Model:
        pass

    def fails(*_, **__):
        assert not any(model() for model in models)
        model = Model()
        model.forward = lambda: model  # a cycle, as Accelerate makes one
        models.append(weakref.ref(model))
        raise RuntimeError("out of memory")

    monkeypatch.setattr("benchmark.training.stages.train_run", fails)
    assert "2 failed" in lab("run CONFIG --seeds 0 --augmenters none").stderr
    assert "2 failed" in lab("status CONFIG").stdout and len(models) == 2


def test_only_fitted_augmenters_are_blocked_by_a_failed_none_run(lab):
    lab.raises["left none 0"] = RuntimeError("out of memory")
    result = lab(LEFT)
    assert (result.exit_code, lab.names()) == (1, ["left none 0", "left noisy 0"])
    assert lab.ran[1].stage1 is None  # it trains from the beginning
    assert (lab.results / "toy" / "experiment.json").is_file()  # written before any run
    assert "1 done now, 1 failed, 1 blocked" in result.stderr
    assert "stage 1 is failed" in result.stderr and not lab.folder("left learned 0").exists()


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
    assert "runs: 5/5 in" in result.stderr
    found = lab("status CONFIG").stdout
    assert "1 damaged" in found and str(torn) in found.replace("\n", "")


# Runs of other processes


def test_a_killed_run_is_seen_and_done_again(lab):
    lab("run CONFIG")
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    folder = lab.folder("right learned 1")
    (folder / "DONE").unlink()
    claimed(folder, pid=process.pid)
    assert "11 done, 1 killed of 12 runs" in lab("status CONFIG").stdout
    assert ran(lab, "run CONFIG") == ["right learned 1"]


def test_a_run_of_another_process_is_left_alone(lab):
    """What starts from it waits: numbers must not depend on which process was faster."""
    marker = claimed(lab.folder("left none 0"), pid=os.getppid())
    result = lab("run CONFIG --seeds 0")
    assert result.exit_code == 1
    assert lab.names() == ["right none 0", "right noisy 0", "right learned 0"]
    assert "another process works on it" in result.stderr
    assert "3 running in another process" in result.stderr
    assert marker.exists() and not marker.with_name("FAILED").exists()


@pytest.mark.parametrize("silent, taken", [(HEARTBEAT - 60, False), (HEARTBEAT + 60, True)])
def test_a_run_of_another_host_is_taken_over_when_that_gives_no_sign_of_life(lab, silent, taken):
    marker = claimed(lab.folder("left none 0"), host="elsewhere", pid=os.getpid())
    os.utime(marker, (time.time() - silent,) * 2)
    assert (lab(LEFT).exit_code, len(lab.ran)) == ((0, 3) if taken else (1, 0))
    assert marker.exists() == (not taken)


def test_what_starts_from_a_run_at_work_elsewhere_waits_even_if_that_has_died_since(
    lab, monkeypatch
):
    # as `prepare` sees it twice, the look at it once, and from then on
    states = iter(["missing", "missing", "running", *["killed"] * 20])
    state, none = RunDirectory.state, lab.folder("left none 0")
    look = lambda run: next(states) if run.path == none else state(run)
    monkeypatch.setattr(RunDirectory, "state", look)
    result = lab(LEFT)
    assert result.exit_code == 1 and not lab.ran
    assert "another process works on its `none` run" in result.stderr


@pytest.mark.parametrize("finished", [False, True])
def test_a_run_that_another_process_takes_between_the_look_and_the_start_is_left_to_it(
    lab, monkeypatch, finished
):
    start, folder = RunDirectory.start, lab.folder("left none 0")

    def too_late(directory, config, *, facts):
        if not finished:
            claimed(directory.path, pid=os.getppid())
            raise UserError("another process works on this run")
        start(directory, config, facts=facts)
        nothing = dict.fromkeys(("stage1", "base", "branch_epoch"))
        run, silent = RunConfig.model_validate(config), Progress.silent()
        lab.execute(run, directory, facts=facts, **nothing, progress=silent)
        directory.finish()
        return start(directory, config, facts=facts)

    monkeypatch.setattr(RunDirectory, "start", too_late)
    result = lab(NONE)
    assert result.exit_code == (not finished) and not (folder / "FAILED").exists()
    assert ("1 done before" if finished else "has just taken it") in result.stderr
    assert (folder / "RUNNING").exists() == (not finished)


def test_a_run_that_another_host_took_over_meanwhile_is_left_to_it(lab, monkeypatch):
    """Its first process slept for hours, and has no say in it any more."""
    folder, execute = lab.folder("left none 0"), lab.execute
    taken = lambda *a, **k: (execute(*a, **k), claimed(folder, host="elsewhere", pid=1))
    monkeypatch.setattr("benchmark.training.stages.train_run", taken)
    result = lab(NONE)
    assert result.exit_code == 1 and "has just taken it" in result.stderr
    assert "elsewhere" in (folder / "RUNNING").read_text()
    assert RunDirectory(folder).state() == "running"


# What stops the whole grid


@pytest.mark.parametrize(
    ("error", "code"), [(KeyboardInterrupt(), 130), (signals.Preempted("SIGTERM"), signals.AGAIN)]
)
def test_stopped_it_ends_cleanly_and_the_next_call_goes_on(lab, error, code):
    lab.raises["left learned 0"] = error
    result = lab("run CONFIG")
    assert result.exit_code == code and "Traceback" not in result.output
    assert ("asked to stop" in result.stderr) == (code == 75)
    assert not (lab.folder("left learned 0") / "RUNNING").exists()
    assert "2 done, 1 killed, 9 missing of 12 runs" in lab("status CONFIG").stdout
    lab.raises.clear()
    assert ran(lab, "run CONFIG") == GRID[2:]


def test_a_full_disk_stops_the_grid_and_loses_nothing(lab):
    error = UserError("metrics.json: cannot be written: the disk is full")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    lab.raises["right none 0"] = error
    result = lab("run CONFIG")
    assert (result.exit_code, lab.names()) == (1, GRID[:4])
    assert "3 done now, 1 failed, 8 not tried" in result.stderr
    assert "the disk is full" in result.stderr


def test_faults_of_the_data_stop_everything_before_it_starts(lab):
    lab.broken_data = DataError("train.json: document 3, labels[0].h: entity 9 does not exist")
    result = lab("run CONFIG")
    assert (result.exit_code, lab.ran) == (2, []) and not lab.results.exists()
    told = "error: train.json: document 3, labels[0].h: entity 9 does not exist\n"
    assert result.stderr == f"preparing\n{told}"


# What does not fit is refused


def refused(lab, *options):
    """The message with which `run` stops, nothing having been run."""
    lab.ran.clear()
    result = lab(*options)
    assert (result.exit_code, lab.ran) == (2, [])
    return result.stderr


def test_a_finished_run_of_another_configuration_is_never_mixed_in_or_overwritten(lab):
    lab("run CONFIG --seeds 0")
    before = (lab.folder("left none 0") / "config.json").read_bytes()
    message = refused(lab, "run CONFIG --set train.epochs=4")
    assert "train.epochs: 3 stored, 4 asked for" in message and "--set name" in message
    assert (lab.folder("left none 0") / "config.json").read_bytes() == before
    shown = lab("status CONFIG --set train.epochs=4").stdout
    assert "6 missing, 6 changed of 12 runs" in shown
    assert "changed: repeat the --set options" in shown
    assert len(ran(lab, "run CONFIG --set train.epochs=4 --set name=longer --seeds 0")) == 6


def test_moving_the_data_loses_no_run_but_changing_it_is_an_error(lab):
    lab(LEFT)
    assert lab(LEFT, *MOVED).exit_code == 0 and len(lab.ran) == 3
    lab.digest = "d2"
    for options in ((LEFT, *MOVED), ("run CONFIG --backbones left",)):  # all done; a seed to come
        assert 'corpus_digest: "d1" stored, "d2" asked for' in refused(lab, *options)


def test_an_encoder_of_the_same_name_elsewhere_is_looked_at(lab, monkeypatch, tmp_path):
    """Even when all is done: the folder may hold another encoder."""
    for place, weights in (("one", "a"), ("copy", "a"), ("two", "b")):
        (tmp_path / place / "mini").mkdir(parents=True)
        (tmp_path / place / "mini" / "model.safetensors").write_text(weights)
    of = lambda place: f"{NONE} --set encoder.name={tmp_path / place / 'mini'}"
    lab(of("one"))
    assert ran(lab, of("copy")) == []
    assert "encoder_digest" in refused(lab, of("two"))


def test_another_numerics_version_is_refused_even_when_all_is_done(lab, monkeypatch):
    lab(LEFT)
    monkeypatch.setattr(numerics, "NUMERICS_VERSION", numerics.NUMERICS_VERSION + 1)
    assert "numerics_version" in refused(lab, LEFT)


def test_another_version_of_a_part_is_refused_where_it_takes_part(lab, monkeypatch):
    lab(LEFT)
    monkeypatch.setitem(numerics.PART_VERSIONS, "right", 2)
    assert ran(lab, LEFT) == []
    monkeypatch.setitem(numerics.PART_VERSIONS, "noisy", 2)
    version = numerics.NUMERICS_VERSION
    assert f'numerics_version: {version} stored, "{version}, noisy 2" asked' in refused(lab, LEFT)
    assert ran(lab, NONE, "--seeds", "1") == ["left none 1"]


@pytest.mark.parametrize(
    ("digest", "change", "difference"),
    [("d1", "--set train.epochs=5", "train.epochs"), ("d2", "", "corpus_digest")],
)
def test_a_new_seed_must_fit_beside_those_that_are_done(lab, digest, change, difference):
    lab(LEFT)
    lab.digest = digest
    new = f"run CONFIG --seeds 7 --backbones left --set seeds=[7] {change}"
    assert difference in refused(lab, new)
    assert not lab.folder("left none 7").exists()


def stop(lab, saved="checkpoint"):
    """Leave the first run as a killed process does, with a saved state."""
    lab.raises["left none 0"] = KeyboardInterrupt()
    assert lab(NONE).exit_code == 130
    del lab.raises["left none 0"]
    state, call = lab.folder("left none 0") / f"{saved}.safetensors", lab.ran[-1]
    write_tensors(state, {}, {"identity": state_identity(call.run, call.facts)})
    return state


@pytest.mark.parametrize("saved", ["checkpoint", "augmenter"])
def test_a_saved_state_is_not_thrown_away_for_other_settings(lab, saved):
    state, changed = stop(lab, saved), f"{NONE} --set train.epochs=5"
    message = refused(lab, changed)
    assert "holds an unfinished run of another configuration" in message
    assert "train.epochs: 3 stored, 5 asked" in message and "--restart" in message
    lab.digest = "d2"
    assert "corpus_digest" in refused(lab, NONE) and state.is_file()
    assert lab(f"{changed} --restart").exit_code == 0
    assert config_of(lab, "left none 0")["train"]["epochs"] == 5


def test_a_saved_state_stays_where_the_new_settings_are_refused(lab, monkeypatch):
    def refuse(run):
        raise UserError("block must divide emb")

    state = stop(lab)
    with monkeypatch.context() as patch:
        patch.setattr("benchmark.training.tried_first.require_buildable", refuse)
        assert "block must divide" in refused(lab, f"{NONE} --set train.epochs=5 --restart")
    assert state.is_file() and lab(NONE).exit_code == 0  # with the same settings it goes on


@pytest.mark.parametrize(
    ("fact", "value", "note"),
    [
        ("commit", "0123456789abcdef", "were made by commit 0123456789ab, the others"),
        ("commit", "0123456789abcdef+", "by commit 0123456789ab with changes, the others"),
        ("machine", "Linux m68k, old", "were made on Linux m68k, old, the others"),
        ("machine", f"{platform.system()} {platform.machine()}", ""),  # as older runs have it
    ],
)
def test_runs_of_another_commit_or_machine_are_only_said(lab, fact, value, note):
    lab(LEFT)
    directory = RunDirectory(lab.folder("left none 0"))
    config = config_of(lab, "left none 0")
    config["facts"][fact] = value
    directory.write_json("config.json", config)
    directory.finish()
    done = lab("run CONFIG --seeds 0,1 --backbones left")
    assert done.exit_code == 0 and note in done.stderr
    assert ("note: the runs that are done" in done.stderr) == bool(note)


# What is kept, and what is cleaned up


def test_adding_seeds_and_augmenters_touches_nothing_that_is_there(lab):
    lab("run CONFIG --seeds 0")
    files = [file for file in lab.results.rglob("*.json") if file.parent.name == "seed-0"]
    before = {file: file.read_bytes() for file in files}
    wider = ran(lab, "run CONFIG --set", "augmenters=[none, noisy, learned, spare]")
    of_seed_1 = [f"{b} {a} 1" for b in ("left", "right") for a in (*AUGMENTERS, "spare")]
    assert wider == ["left spare 0", "right spare 0", *of_seed_1]
    assert all(file.read_bytes() == content for file, content in before.items())


def test_what_only_later_runs_need_is_kept_until_they_are_done(lab):
    lab(f"{LEFT} --augmenters none,noisy")
    # `learned` may still come and needs the `none` run
    assert lab.left("left none 0") == {"branch.safetensors", "best.safetensors"}
    assert lab.left("left noisy 0") == {"best.safetensors"}
    lab(f"{LEFT} --set train.keep_weights=best")
    assert lab.left("left none 0") == lab.left("left learned 0") == {"best.safetensors"}


@pytest.mark.parametrize("options", ["--seeds 0 --backbones left", ""], ids=["all done", "more"])
def test_what_a_process_killed_after_the_end_left_is_removed_by_the_next_call(lab, options):
    lab(LEFT)
    folders = [lab.folder(name) for name in ("left none 0", "left learned 0")]
    left_over = ("RUNNING", "checkpoint.safetensors", "branch.safetensors")
    for folder in folders:
        for file in (*left_over, ".best.safetensors.host.17.tmp", ".tmpAbCdEf"):
            (folder / file).touch()
    (folders[0] / "mine.txt").touch()
    lab(f"run CONFIG {options}")
    for folder in folders:
        assert [path.name for path in folder.glob("*.safetensors")] == ["best.safetensors"]
        assert not [*folder.glob(".*"), *folder.glob("RUNNING")]
    assert (folders[0] / "mine.txt").exists()


def test_what_killed_processes_were_writing_where_all_write_goes_after_a_day(lab):
    folder = lab.results / "toy"
    (folder / "cache").mkdir(parents=True)
    old = (folder / ".report.md.host.1.tmp", folder / "cache" / ".tmpAbCdEf")
    young = folder / ".report.md.host.2.tmp"
    for path in (*old, young):
        path.touch()
    for path in old:
        os.utime(path, (time.time() - 25 * 3600,) * 2)
    lab(LEFT)
    assert not any(path.exists() for path in old) and young.exists()


def test_what_killed_processes_were_writing_in_the_cheap_protocol_goes_as_well(lab):
    old = lab.results / "toy_head" / "cache" / ".tmpAbCdEf"
    old.parent.mkdir(parents=True)
    old.touch()
    os.utime(old, (time.time() - 25 * 3600,) * 2)
    lab(*CHEAP)
    assert not old.exists()


def test_what_a_run_of_another_grid_needs_is_kept(lab):
    """The file was narrowed while `noisy` was killed: what it starts from is still there."""
    lab.raises["left noisy 0"] = KeyboardInterrupt()
    lab(f"{LEFT} --augmenters none,noisy")
    assert lab(LEFT, "--set", "augmenters=[none, learned]").exit_code == 0
    assert lab.left("left none 0") == {"branch.safetensors", "best.safetensors"}


def test_weights_are_given_up_when_the_experiment_says_so(lab):
    lab(f"{LEFT} --set train.keep_weights=none")
    assert not any(lab.left(name) for name in ("left none 0", "left noisy 0", "left learned 0"))


CHEAP = (f"{LEFT} --set augment.stage3=head",)


def test_the_cheap_protocol_runs_stage_1_once_and_the_head_runs_on_it(lab):
    assert lab(*CHEAP).exit_code == 0
    stage1, none, noisy, learned = lab.ran
    whole, base = lab.folder("left none 0"), lab.results / "toy_head" / "left" / "none" / "seed-0"
    assert stage1.run.augment is None and stage1.stage1 is stage1.base is None
    assert (none.stage1, none.base, none.branch_epoch) == (whole, None, 2)
    for call in (noisy, learned):
        assert (call.stage1, call.base, call.branch_epoch) == (whole, base, None)
    assert ran(lab, *CHEAP) == []
    # the paper's protocol goes on from the same stage 1
    assert ran(lab, LEFT) == ["left noisy 0", "left learned 0"]
    assert ran(lab, *CHEAP) == []


def test_encodings_of_stage_1_go_when_all_head_runs_are_done(lab):
    encoding = lab.folder("left none 0") / "encoded_dev.safetensors"
    lab.raises["left learned 0"] = RuntimeError("no")
    assert lab(*CHEAP).exit_code == 1
    encoding.touch()
    lab(*CHEAP)
    assert encoding.exists()
    lab.raises.clear()
    assert lab(*CHEAP).exit_code == 0
    assert not encoding.exists()
    assert lab.left("left none 0") == {"branch.safetensors", "best.safetensors"}  # of its own grid


def test_encodings_stay_for_a_head_run_of_another_grid(lab):
    """The file was narrowed while `noisy` was killed."""
    lab.raises["left noisy 0"] = KeyboardInterrupt()
    lab(*CHEAP)
    encoding = lab.folder("left none 0") / "encoded_dev.safetensors"
    encoding.touch()
    assert lab(*CHEAP, "--set", "augmenters=[none, learned]").exit_code == 0
    assert encoding.exists()


def test_stage_1_keeps_its_weights_for_unfinished_runs_of_the_cheap_protocol(lab):
    small = "--set", "train.keep_weights=none"
    lab.raises["left learned 0"] = RuntimeError("no")
    assert lab(*CHEAP, *small).exit_code == 1
    lab.raises.clear()
    assert lab(LEFT, *small).exit_code == 0
    assert "best.safetensors" in lab.left("left none 0")
    assert lab(*CHEAP, *small).exit_code == lab(LEFT, *small).exit_code == 0
    assert not lab.left("left none 0")


def test_a_new_seed_of_stage_1_must_fit_beside_those_that_are_done(lab):
    lab(NONE)
    asked = "run CONFIG --seeds 1 --backbones left --set augment.stage3=head --set train.epochs=4"
    assert "train.epochs: 3 stored, 4 asked for" in refused(lab, asked)


def test_a_head_run_is_blocked_without_stage_1(lab):
    lab.raises["left none 0"] = RuntimeError("no")
    result = lab(*CHEAP)
    assert result.exit_code == 1 and lab.names() == ["left none 0"]
    assert "its stage 1 is failed" in result.stderr
