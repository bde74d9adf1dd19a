"""The grid as a user meets it: options, mistakes, the preview, and what the exit code says."""

import re
import sys

import pytest
from command_line import invoke

from benchmark.errors import UserError

GRID = [
    f"{b} {a} {s}" for s in (0, 1) for b in ("left", "right") for a in ("none", "noisy", "learned")
]
LEFT = "run CONFIG --seeds 0 --backbones left"


def test_runs_the_whole_grid_and_writes_the_tables(lab, monkeypatch):
    monkeypatch.setattr("benchmark.commands.run.DEMO", lab.config)
    result = lab("demo")
    assert result.exit_code == 0 and "12 done now" in result.stderr, result.stderr
    assert lab.names() == GRID
    assert "learned" in result.stdout and "50.00" in result.stdout
    assert "50.00 ± 0.00" in (lab.results / "toy" / "report.md").read_text()
    assert (lab.results / "toy" / "report.csv").read_text().count("\n") > 12


def test_a_model_that_finds_nothing_is_told(lab):
    assert "no epoch found" not in lab(f"{LEFT} --augmenters none").stderr
    lab.f1 = 0.0
    result = lab("run CONFIG --seeds 1 --backbones left --augmenters none")
    assert "dev F1 0.00, test F1 0.00; no epoch found a fact of dev" in result.stderr


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("--seeds 1", GRID[6:]),
        ("--seeds 0-1 --backbones right --augmenters noisy,none", GRID[3:5] + GRID[9:11]),
        ("--augmenters noisy --seeds 1", ["left noisy 1", "right noisy 1"]),
        ("--augmenters learned --backbones left", GRID[:3:2] + GRID[6:9:2]),
        # not in the file
        ("--augmenters spare --backbones left --seeds 7", ["left spare 7"]),
        ("--set augmenters=[learned] --seeds 0 --backbones left", GRID[:3:2]),
    ],
)
def test_narrowing(lab, options, expected):
    result = lab(f"run CONFIG {options}")
    assert result.exit_code == 0, result.stderr
    assert lab.names() == expected
    assert ("'none' is trained, too" in result.stderr) == ("learned" in options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--augmenters", "lerned"), "unknown augmenter 'lerned'. Did you mean 'learned'?"),
        (("--backbones", "rihgt"), "unknown backbone 'rihgt'. Did you mean 'right'?"),
        (("--seeds", "one"), "'one' is no seed"),
        (("--seeds", "-1"), "a seed is a whole number, 0 or more, got -1"),
        (("--seeds", "5-2"), "'5-2' is no seed"),
        (("--augmenters", ","), "--augmenters ',': an empty list; leave the option out"),
        (("--seeds", ""), "--seeds '': an empty list"),
        (("--seeds", "0-99999999999"), "more than 10000 seeds"),
        (("--seeds", f"0-{10**20}"), "more than 10000 seeds"),
        (("--set", "train.epoch=5"), "unknown key 'train.epoch'. Did you mean 'epochs'?"),
        (("--plugin", "nowhere.py"), "nowhere.py: no such file"),
    ],
)
def test_mistakes_on_the_command_line(lab, options, message):
    result = lab("run CONFIG", *options)
    assert result.exit_code == 2
    assert message in result.stderr and result.stderr.startswith("error: ")
    assert "Traceback" not in result.output
    assert not lab.ran and not lab.results.exists()


@pytest.mark.parametrize(
    ("command", "options", "ways"),
    [
        ("run CONFIG", ("--epochs", "9"), "--set train.epochs=9"),
        ("run CONFIG", ("--lr-head=3e-4",), "--set train.lr_head=3e-4"),
        ("run CONFIG", ("--warmup_epochs", "--dry-run"), "--set augment.warmup_epochs=VALUE"),
        ("report CONFIG", ("--name", "a b"), "--set 'name=a b' or --set 'encoder.name=a b'"),
        ("status CONFIG", ("--seeds", "0-2"), "--set 'seeds=[0,1,2]'"),
        ("report CONFIG", ("--augmenters", "none,vae"), "--set 'augmenters=[none,vae]'"),
    ],
)
def test_a_key_of_the_experiment_file_given_as_an_option(lab, command, options, ways):
    result = lab(command, *options)
    assert result.exit_code == 2 and not lab.ran
    told = f"No such option: {options[0].partition('=')[0]}. It is a key of the experiment file"
    assert f"{told}: {ways}\n" in result.stderr


def test_other_unknown_options_are_told_as_ever(lab):
    assert re.search("No such option:? '?--zzz'?", lab("run CONFIG --zzz 3").stderr)
    assert "experiment file" not in lab("run CONFIG --zzz 3").stderr
    assert "requires an argument" in invoke("run", lab.config, "--seeds").stderr
    assert "experiment file" not in lab("run CONFIG --set --epochs").stderr
    assert "experiment file" not in lab("run CONFIG -- --epochs").stderr


def test_a_torn_grid_file_is_written_anew(lab):
    lab(f"{LEFT} --augmenters none")
    grid = lab.results / "toy" / "experiment.json"
    whole = grid.read_text()
    grid.write_text(whole[:20])
    assert lab(f"{LEFT} --augmenters none").exit_code == 0 and grid.read_text() == whole


def test_results_in_a_file(lab):
    result = invoke("run", lab.config, "--dry-run", "--results", lab.config)
    assert result.exit_code == 2 and "is a file" in result.stderr


def test_dry_run_runs_nothing_and_tells_what_run_would_refuse(lab):
    result = lab("run CONFIG --dry-run")
    assert (result.exit_code, lab.ran) == (0, [])
    text = "12 of 12 runs to do: disk space, and the time of augmented runs, are known once a first"
    assert text in result.stdout
    for backbone in ("left", "right"):
        assert f"{backbone}: about 1 min 30 s for a run with `none`, from a" in result.stderr
    lab.broken_data = UserError("data/train.json: no such file")
    result = lab("run CONFIG --dry-run")
    assert result.exit_code == 0 and "12 of 12 runs to do" in result.stdout
    assert "`run` would stop: data/train.json: no such file" in result.stderr
    assert not lab.results.exists()


def test_dry_run_estimates_from_what_is_done(lab):
    lab("run CONFIG --seeds 0")
    result = lab("run CONFIG --dry-run --backbones left")
    # three runs left, 90 s each as those of seed 0
    assert "3 of 6 runs to do: about 4 min 30 s" in result.stdout
    assert result.stdout.count("1 min 30 s") == 3
    assert "from a training step" not in result.stderr
    assert result.stdout.count("missing") == 3 and result.stdout.count("done") == 3


def test_dry_run_says_where_weights_that_a_run_needs_are_gone(lab):
    lab("run CONFIG --seeds 0 --backbones left --augmenters none")
    assert "would fail" not in lab("run CONFIG --dry-run --seeds 0 --backbones left").stderr
    (lab.folder("left none 0") / "best.safetensors").unlink()
    gone = f"runs would fail: {lab.folder('left none 0')}: its weights are gone, and"
    found = lab("run CONFIG --dry-run --seeds 0 --backbones left").stderr
    assert f"1 of 3 {gone} stage 2 needs them: run `none` again" in found
    found = lab(f"{LEFT} --dry-run --set augment.stage3=head").stderr
    assert f"3 of 4 {gone} augment.stage3: head needs them" in found


def test_report_from_the_folder_equals_the_one_that_run_wrote(lab):
    result = lab("report CONFIG")
    assert result.exit_code == 2 and "nothing to report" in result.stderr
    lab("run CONFIG --seeds 0 --augmenters none,noisy")
    report = lab.results / "toy" / "report.md"
    written = report.read_text()
    for target in ("CONFIG", lab.results / "toy"):
        report.unlink()
        result = lab("report", target)
        assert result.exit_code == 0, result.stderr
        assert report.read_text() == written
    assert "Not run yet" in written and "learned" in written


def test_report_leaves_out_a_run_that_was_changed_by_hand(lab):
    lab(LEFT)
    metrics = lab.folder("left none 0") / "metrics.json"
    metrics.write_text(metrics.read_text().replace("0.5", "0.9"))
    result = lab("report CONFIG")
    assert result.exit_code == 0
    assert f"left out: {metrics}: changed after the run was done" in result.stderr
    assert "1/2" in (lab.results / "toy" / "report.md").read_text()


def test_a_plugin_joins_the_grid(lab, tmp_path):
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
        result = lab(f"{LEFT} --augmenters none,mine --plugin", plugin)
        assert result.exit_code == 0, result.stderr
        assert lab.names() == ["left none 0", "left mine 0"]
        assert lab.ran[1].run.augmenter.options == {"share": 0.5}
        assert "mine" in lab("list augmenters --plugin", plugin).stdout
    finally:
        AUGMENTERS.entries().pop("mine", None)
        sys.modules.pop("plugin_mine", None)


def test_a_table_that_cannot_be_written_hides_no_outcome(lab, monkeypatch):
    def full(*_):
        raise UserError("report.md: the disk is full")

    monkeypatch.setattr("benchmark.commands.run.publish", full)
    lab.raises["left noisy 0"] = ValueError("broken")
    result = lab("run CONFIG")
    assert result.exit_code == 1 and "the disk is full" in result.stderr
    assert "failed: left noisy seed 0" in result.stderr


def test_differences_are_shown_once_there_is_one(lab):
    result = lab(f"{LEFT} --augmenters none")
    assert "no difference to show yet" in result.stderr
    # the file shows what is missing
    assert "difference to none" in (lab.results / "toy" / "report.md").read_text()
    result = lab(f"{LEFT} --augmenters noisy")
    assert "no difference to show yet" not in result.stderr
