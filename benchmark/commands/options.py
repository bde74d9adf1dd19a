"""What several commands share: options, and how their values are read."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

import typer

from benchmark.errors import ConfigError
from benchmark.registry import load_plugin

MOST_SEEDS = 10_000  # a slip of the finger in a range must not plan a million runs

Results = Annotated[
    Path, typer.Option("--results", metavar="DIR", help="The folder of all results.")
]
Plugins = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin",
        metavar="FILE",
        help="A Python file that registers your own classes. Repeatable.",
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override the experiment file, e.g. train.epochs=3. Repeatable.",
    ),
]
Target = Annotated[
    Path,
    typer.Argument(
        metavar="CONFIG|DIR", help="An experiment file, or an experiment's folder of results."
    ),
]


def load_plugins(files: list[Path] | None) -> None:
    """Raises UserError for a file that is missing or does not import."""
    for file in files or ():
        load_plugin(file)


def quiet_libraries() -> None:
    """Call before importing them: their own bars and advice would tear ours apart. What the user
    has set stays.
    """
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def names(text: str | None) -> list[str] | None:
    """ "atlop,baseline" as a list; None stays None: no restriction. Raises ConfigError for a list
    without anything in it.
    """
    found = None if text is None else [name for name in re.split(r"[,\s]+", text) if name]
    if found == []:
        raise ConfigError(
            f"an empty list, {text!r}: leave the option out, or name something, such as atlop,baseline or 0,1"
        )
    return found


def numbers(text: str | None) -> list[int] | None:
    """ "0,1,5-9" as a list of seeds. Raises ConfigError on anything else."""
    if text is None:
        return None
    seeds: list[int] = []
    for part in names(text):
        match = re.fullmatch(r"(-?\d+)(?:-(\d+))?", part)
        span = range(int(match[1]), int(match[2] or match[1]) + 1) if match else ()
        if len(span) + len(seeds) > MOST_SEEDS:
            raise ConfigError(f"--seeds {text}: more than {MOST_SEEDS} seeds")
        if not span:
            raise ConfigError(
                f"--seeds {text}: '{part}' is no seed; expected whole numbers such as 0,1,2 or 0-9"
            )
        seeds += span
    return seeds
