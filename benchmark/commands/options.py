"""What several commands share: options, and how their values are read."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.data import biored, redocred
from benchmark.errors import ConfigError
from benchmark.registry import load_plugin

if TYPE_CHECKING:
    from benchmark.scoring.submission import Reference

MOST_SEEDS = 10_000  # a slip of the finger in a range must not plan a million runs
FREQUENT_OF = {
    "re-docred": frozenset(redocred.FREQUENT),  # the official scorer's list
    "biored": frozenset(biored.FREQUENT),
}

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
AsJson = Annotated[
    bool, typer.Option("--json", help="One JSON object instead of tables; null where undefined.")
]
WithPublished = Annotated[
    bool,
    typer.Option(
        "--with-published",
        help="Show published scores on the same dataset too, marked as reported, not run here.",
    ),
]

# Predictions that are scored against gold documents.
Gold = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The documents predicted on, DocRED-format JSON with facts."),
]
Train = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The documents trained on: for Ign, Freq and LTail F1."),
]
TrainFacts = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Or their facts: JSON list of [head name, tail name, relation]."
    ),
]
Frequent = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|FILE|LIST",
        help=f"The frequent relations: {' or '.join(FREQUENT_OF)}, a JSON list, or P17,P131,... "
        "Otherwise the ten most frequent of the training facts.",
    ),
]
Undirected = Annotated[
    bool, typer.Option("--undirected", help="Score unordered pairs, as in BioRED.")
]
AddPredictions = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=FILE",
        help="Show a system that ran elsewhere, from its predictions on the test documents. "
        "Repeatable; needs --gold.",
    ),
]


def reference_of(
    gold: Path, train: Path | None, train_facts: Path | None, frequent: str | None, undirected: bool
) -> Reference:
    """The options above: what predictions are scored against."""
    from benchmark.scoring.submission import read_reference

    lists = {"frequent": frequent, "known_lists": FREQUENT_OF}
    return read_reference(gold, train=train, facts=train_facts, undirected=undirected, **lists)


def submitted(
    texts: list[str] | None, gold: Path | None, *others: Any
) -> tuple[dict[str, Path], Reference | None]:
    """--add-predictions: ["NAME=FILE"] by name, and the reference that they are scored against.

    Raises ConfigError for another form, a name that comes twice, and options that lack each other.

    others: of `reference_of`.
    """
    files: dict[str, Path] = {}
    for text in texts or ():
        name, _, file = text.partition("=")
        name = name.strip()
        if not name or not file or name in files:
            raise ConfigError(
                f"--add-predictions {text}: expected NAME=FILE, such as 'My system=mine.json', and "
                "each name once"
            )
        files[name] = Path(file)
    if bool(files) != (gold is not None) or (any(others) and not files):
        raise ConfigError(
            "--gold, --train, --train-facts, --frequent and --undirected go with --add-predictions,"
            " which needs --gold, the test documents predicted on"
        )
    return files, reference_of(gold, *others) if files else None


def load_plugins(files: list[Path] | None) -> None:
    """Raises UserError for a file that is missing or does not import."""
    for file in files or ():
        load_plugin(file)


def quiet_libraries() -> None:
    """Keep the libraries' own bars and advice out of our output. Call it before importing them;
    what the user has set stays.
    """
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def names(text: str | None) -> list[str] | None:
    """ "atlop,baseline" as a list, which must not be empty; None (no restriction) stays None."""
    found = None if text is None else [name for name in re.split(r"[,\s]+", text) if name]
    if found == []:
        raise ConfigError(f"an empty list, {text!r}: leave the option out, or name something")
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
            raise ConfigError(f"--seeds {text}: '{part}' is no seed; expected e.g. 0,1,2 or 0-9")
        seeds += span
    return seeds
