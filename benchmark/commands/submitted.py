"""The options of `report` and `leaderboard` for systems that ran elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.errors import ConfigError

AddPredictions = Annotated[
    list[str] | None,
    typer.Option(
        "--add-predictions",
        metavar="NAME=FILE",
        help="Show a system that ran elsewhere, from its predictions on the test documents. Repeatable; needs --gold.",
    ),
]
Gold = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="The test documents, DocRED-format JSON, for --add-predictions."
    ),
]


def named_files(texts: list[str] | None, gold: Path | None, *others: object) -> dict[str, Path]:
    """["NAME=FILE"] by name.

    Raises ConfigError for another form, a name that comes twice, predictions without gold, and gold
    or `others` (the options that say more of it) without predictions.
    """
    files: dict[str, Path] = {}
    for text in texts or ():
        name, equals, file = text.partition("=")
        if not (name.strip() and equals and file):
            raise ConfigError(
                f"--add-predictions {text}: expected NAME=FILE, such as 'My system=predictions.json'"
            )
        if name.strip() in files:
            raise ConfigError(f"--add-predictions: the name '{name.strip()}' comes twice")
        files[name.strip()] = Path(file)
    if files and gold is None:
        raise ConfigError(
            "--add-predictions needs --gold, the test documents that the predictions are scored on"
        )
    if not files and (gold is not None or any(others)):
        raise ConfigError(
            "--gold, --train, --train-facts, --frequent and --undirected go with --add-predictions"
        )
    return files
