"""What is handed to Slurm, with stand-ins for its commands: arrays, dependencies, options, nothing
twice.
"""

import json
import os
import re

import pytest

SBATCH = """#!/bin/sh
cd "$(dirname "$0")"
if [ -e refuses ]; then
  echo "sbatch: error: Batch job submission failed: Invalid partition" >&2
  exit 1
fi
number=$(($(ls script.* 2> /dev/null | wc -l) + 1))
cat "$1" > script.$number
echo "Submitted batch job $number"
"""
SQUEUE = '#!/bin/sh\ncat "$(dirname "$0")/queue"\n'


class Slurm:
    def __init__(self, folder):
        self.folder = folder
        for name, text in {"sbatch": SBATCH, "squeue": SQUEUE, "srun": "#!/bin/sh\n"}.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        self.queue()

    def queue(self, *job_ids):
        (self.folder / "queue").write_text("\n".join(job_ids))

    def scripts(self):
        """The options of each script that was submitted, by job id, and its command."""
        found = {}
        for path in sorted(self.folder.glob("script.*")):
            text = path.read_text()
            options = re.findall(r"^#SBATCH --([a-z-]+)(?:=(.*))?$", text, re.MULTILINE)
            found[path.suffix[1:]] = dict(options) | {"command": text.splitlines()[-1]}
        return found


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return Slurm(folder)


ONE = ("--seeds", "0", "--backbones", "left", "--augmenters", "none")


def submit(lab, *options):
    return lab("run", "CONFIG", "--executor", "slurm", *options)


def test_what_starts_from_a_none_run_is_an_array_that_waits_for_theirs(lab, slurm):
    result = submit(lab, "--jobs", "3")
    assert result.exit_code == 0, result.stderr
    scripts = slurm.scripts()
    arrays = {job_id: script["array"] for job_id, script in scripts.items()}
    assert arrays == {"1": "0-3%3", "2": "0-7%3"}
    assert "dependency" not in scripts["1"] and scripts["2"]["dependency"] == "afterany:1"
    assert "submitted left none seed 0: as job 1_0" in result.stderr
    assert "submitted right learned seed 1: as job 2_7" in result.stderr
    assert "12 submitted" in result.stderr and "status" in result.stdout and not lab.ran


def test_the_section_of_the_experiment_file(lab, slurm):
    cluster = "partition: gpu, hours: 1.5, gpus: 1, cpus: 8, memory_gb: 0.5"
    extra = "extra: {account: mine, signal: USR2@300}"
    submit(lab, *ONE, "--set", f"cluster={{{cluster}, {extra}}}")
    (script,) = slurm.scripts().values()
    wanted = {"partition": "gpu", "time": "90", "gpus-per-node": "1", "cpus-per-task": "8"}
    wanted |= {"mem": "512MB", "account": "mine", "signal": "USR2@300", "requeue": ""}
    wanted |= {"job-name": "toy"}
    assert {name: script[name] for name in wanted} == wanted
    assert "--cpus-per-task=8" in script["command"]


def test_without_the_section_a_run_asks_for_its_threads(lab, slurm):
    submit(lab, *ONE, "--set", "train.threads=3")
    (script,) = slurm.scripts().values()
    assert script["cpus-per-task"] == "3" and script["time"] == "1440"
    assert not script.keys() & {"partition", "mem", "gpus-per-node", "array"}


def test_the_section_is_no_part_of_a_runs_identity(lab):
    grid, config = (
        lab.results / "toy" / "experiment.json",
        lab.folder("left none 0") / "config.json",
    )
    assert lab("run", "CONFIG", "--set", "cluster={partition: one}").exit_code == 0
    ran, before = list(lab.ran), grid.read_text()
    assert "cluster" not in before and "cluster" not in config.read_text()
    assert lab("run", "CONFIG", "--set", "cluster={partition: other, hours: 2}").exit_code == 0
    assert lab.ran == ran and grid.read_text() == before


def test_what_is_queued_is_not_submitted_again_and_what_needs_it_waits_for_it(lab, slurm):
    submit(lab, "--seeds", "0", "--augmenters", "none")
    slurm.queue("1_0", "1_1", "77")
    result = submit(lab, "--seeds", "0", "--augmenters", "none,learned")
    assert "2 submitted, 2 queued before" in result.stderr
    assert "queued left none seed 0: as job 1_0" in result.stderr
    assert slurm.scripts()["2"]["dependency"] == "afterany:1_0:1_1"
    slurm.queue("1_0", "2_0")
    result = submit(lab, "--seeds", "0", "--backbones", "left")
    assert "1 submitted, 2 queued before" in result.stderr
    # nothing starts from `learned`, 2_0
    assert slurm.scripts()["3"]["dependency"] == "afterany:1_0"
    slurm.queue("77")  # the others were ended before they did anything
    assert "4 submitted" in submit(lab, "--seeds", "0", "--augmenters", "none,learned").stderr


def test_what_needs_a_none_run_that_is_at_work_is_submitted_behind_it(lab, slurm):
    submit(lab, *ONE)
    slurm.queue("1")
    for name in ("left none 0", "left noisy 0"):  # the latter on another machine
        lab.folder(name).mkdir(parents=True)
        marker = {"host": "elsewhere", "pid": 17}
        (lab.folder(name) / "RUNNING").write_text(json.dumps(marker))
    result = submit(lab, "--seeds", "0", "--backbones", "left")
    assert "1 running in another process, 1 submitted, 1 queued before" in result.stderr
    assert slurm.scripts()["2"]["dependency"] == "afterany:1"


def test_what_can_start_at_once_does_not_wait(lab, slurm):
    lab("run", "CONFIG", "--augmenters", "none", "--backbones", "left")
    result = submit(lab, "--seeds", "0")
    assert "1 done before, 5 submitted" in result.stderr
    scripts = slurm.scripts()
    assert scripts["1"]["array"].startswith("0-2%")  # two of `left`, and `right none`
    assert scripts["2"]["array"].startswith("0-1%") and scripts["2"]["dependency"] == "afterany:1"


def test_waiting_tells_what_became_of_the_runs(lab, slurm, monkeypatch):
    monkeypatch.setattr("benchmark.launch.slurm.POLL", 0.0)
    result = submit(lab, *ONE, "--wait")  # the queue is empty at once
    assert result.exit_code == 1 and "1_0_log.out" in result.stderr
    assert "killed: left none seed 0: its worker ended without a message; see " in result.stderr


def test_what_slurm_refuses_is_told_in_its_words(lab, slurm):
    (slurm.folder / "refuses").touch()
    result = submit(lab)
    assert result.exit_code == 2
    assert "error: Slurm refused the runs: sbatch: error: Batch job submission" in result.stderr
    assert "Invalid partition" in result.stderr


def test_a_machine_without_slurm(lab, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    result = submit(lab)
    assert result.exit_code == 2
    assert "there is no sbatch here. On one machine use --executor local" in result.stderr
