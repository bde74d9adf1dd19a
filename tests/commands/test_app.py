"""The command line as a whole: help, errors, and how little it imports."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import invoke

ROOT = Path(__file__).parents[2]
COMMANDS = (
    "demo run status report leaderboard quality figures list check score compare predict push"
)
COMMANDS = [*COMMANDS.split(), "import-checkpoint", "data"]


def test_help_names_every_command():
    result = invoke("--help", columns=80)
    assert result.exit_code == 0
    assert all(re.search(rf"^  {command} ", result.stdout, re.MULTILINE) for command in COMMANDS)
    assert "..." not in result.stdout.split("Commands:")[1]  # no summary is cut off


@pytest.mark.parametrize("command", [*COMMANDS, "data stats", "data validate"])
def test_every_command_has_help_with_an_example(command):
    result = invoke(*command.split(), "--help")
    assert result.exit_code == 0
    if command not in ("demo", "data"):
        assert f"python run_benchmark.py {command}" in result.stdout


def test_an_unknown_command_is_a_mistake_of_the_user():
    result = invoke("raport")
    assert result.exit_code == 2 and "report" in result.stderr


@pytest.mark.parametrize(
    "platform, asked, found",
    [("darwin", None, "true"), ("darwin", "false", "false"), ("linux", None, None)],
)
def test_a_mac_computes_on_its_cpu_unless_told_otherwise(platform, asked, found, monkeypatch):
    told = {key: value for key, value in os.environ.items() if key != "ACCELERATE_USE_CPU"}
    monkeypatch.setattr(os, "environ", told | ({"ACCELERATE_USE_CPU": asked} if asked else {}))
    monkeypatch.setattr(sys, "platform", platform)
    invoke("raport")
    assert os.environ.get("ACCELERATE_USE_CPU") == found


LIGHT = (
    "--help",
    "list",
    "run --help",
    "status FOLDER",
    "report FOLDER",
    "leaderboard FOLDER --out FOLDER/page.html",
)
HEAVY = {"torch", "datasets", "transformers", "accelerate", "evaluate", "pandas", "scipy"}


@pytest.mark.parametrize("arguments", [line.split() for line in LIGHT])
def test_light_commands_import_nothing_heavy(arguments, lab):
    lab("run CONFIG --seeds 0")
    arguments = [argument.replace("FOLDER", str(lab.results / "toy")) for argument in arguments]
    code = (
        "import sys; from benchmark.commands.app import app\n"
        f"try: app({arguments!r})\n"
        "except SystemExit as stop: assert not stop.code, stop.code\n"
        f"heavy = {HEAVY} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_top_level_script():
    script = [sys.executable, str(ROOT / "run_benchmark.py")]
    help_text = subprocess.run([*script, "--help"], capture_output=True, text=True, cwd=ROOT.parent)
    assert help_text.returncode == 0 and "Usage: run_benchmark.py" in help_text.stdout
    mistake = subprocess.run(
        [*script, "run", "nowhere.yaml"], capture_output=True, text=True, cwd=ROOT
    )
    assert (mistake.returncode, mistake.stderr) == (
        2,
        "error: nowhere.yaml: no such experiment file\n",
    )
