"""What several commands share: options, and how their values are read."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from benchmark.config import keys_called
from benchmark.data import biored, redocred
from benchmark.errors import ConfigError, UserError
from benchmark.registry import load_plugin

if TYPE_CHECKING:
    from benchmark.scoring.submission import Reference

MOST_SEEDS = 10_000  # a slip of the finger in a range must not plan a million runs
FREQUENT_OF = {
    "re-docred": frozenset(redocred.FREQUENT),  # the official scorer's list
    "biored": frozenset(biored.FREQUENT),
}


def option(kind: Any, told: str, *names: str, metavar: str | None = None, **settings: Any) -> Any:
    """The type of an option's parameter, with what `--help` says."""
    return Annotated[kind, typer.Option(*names, metavar=metavar, help=told, **settings)]


def argument(kind: Any, told: str, metavar: str) -> Any:
    """The type of an argument's parameter, with what `--help` says."""
    return Annotated[kind, typer.Argument(metavar=metavar, help=told)]


_File, _Files, _Texts = Path | None, list[Path] | None, list[str] | None
Results = option(Path, "The folder of all results.", "--results", metavar="DIR", file_okay=False)
Plugins = option(
    _Files, "A Python file that registers your own classes. Repeatable.", "--plugin", metavar="FILE"
)
_SET = "Override the experiment file, e.g. train.epochs=3. Repeatable."
Overrides = option(_Texts, _SET, "--set", metavar="KEY=VALUE")
_TARGET = "An experiment file, or an experiment's folder of results."
Target = argument(Path, _TARGET, "CONFIG|DIR")
AsJson = option(bool, "One JSON object instead of tables; null where undefined.", "--json")
WithPublished = option(
    bool, "Show published scores too, marked as reported, not run here.", "--with-published"
)


class WithOverrides(TyperCommand):
    """A command with --set. It says so where an unknown option is a key of the experiment file."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:
        flags = {name: getattr(p, "is_flag", False) for p in self.params for name in p.opts}
        words = iter([*args, "--"])
        for word in words:
            option, given, value = word.partition("=")
            if word == "--":
                break
            if option in flags:
                if not (given or flags[option]):
                    next(words)  # its value
                continue
            keys = keys_called(option.removeprefix("--").replace("-", "_"))
            if option.startswith("--") and keys:
                if not given:
                    following = next(words)
                    value = "VALUE" if following.startswith("-") else following
                ways = [f"--set {shlex.quote(_assignment(key, value))}" for key in keys]
                ctx.fail(
                    f"No such option: {option}. It is a key of the experiment file: "
                    f"{' or '.join(ways)}"
                )
        return super().parse_args(ctx, args)


def _assignment(key: str, value: str) -> str:
    """KEY=VALUE for --set; lists as YAML."""
    if key == "seeds":
        with contextlib.suppress(ConfigError):
            value = ",".join(map(str, numbers(value)))
    is_list = key in ("seeds", "backbones", "augmenters") and not value.startswith("[")
    return f"{key}=[{value}]" if is_list else f"{key}={value}"


# Predictions that are scored against gold documents.
Gold = option(_File, "The gold documents: DocRED-format JSON with facts.", metavar="FILE")
Train = option(_File, "The training documents, for Ign, Freq and LTail F1.", metavar="FILE")
TrainFacts = option(
    _File, "Or the training facts: JSON list of [head name, tail name, relation].", metavar="FILE"
)
Frequent = option(
    str | None,
    f"The frequent relations: {' or '.join(FREQUENT_OF)}, a JSON list, or P17,P131,... "
    "Otherwise the ten most frequent of the training facts.",
    metavar="NAME|FILE|LIST",
)
Undirected = option(bool, "Score unordered pairs, as in BioRED.", "--undirected")
AddPredictions = option(
    _Texts, "The predictions of a system that ran elsewhere. Repeatable.", metavar="NAME=FILE"
)


def reference_of(
    gold: Path, train: Path | None, facts: Path | None, frequent: str | None, undirected: bool
) -> Reference:
    """What predictions are scored against, from the options above."""
    from benchmark.scoring.submission import read_reference

    if facts is not None and frequent is None:  # it lists a fact once per pair of names
        typer.echo(
            f"{facts} lists a fact once per pair of names, so its ten most frequent relations may "
            "differ from those of the documents, and so may Freq and LTail F1: name the relations "
            "with --frequent",
            err=True,
        )
    options = {"train": train, "facts": facts, "frequent": frequent, "undirected": undirected}
    return read_reference(gold, known_lists=FREQUENT_OF, **options)


def added_predictions(texts: list[str] | None) -> dict[str, Path]:
    """--add-predictions: the files by the name of their system. Raises ConfigError."""
    files: dict[str, Path] = {}
    for text in texts or ():
        name, _, file = map(str.strip, text.partition("="))
        if not name or not file or name in files:
            raise ConfigError(
                f"--add-predictions {text}: expected NAME=FILE, such as 'My system=mine.json', and "
                "each name once"
            )
        files[name] = Path(file)
    return files


def require_place(out: Path) -> None:
    """Raises UserError unless a file can be written there."""
    if out.is_dir() or not out.parent.is_dir():
        raise UserError(f"--out {out}: expected a file in a folder that exists")


def require_file_for(overrides: list[str] | None, target: Path) -> None:
    """Raises ConfigError for --set with a folder of results."""
    if overrides and target.is_dir():
        raise ConfigError(f"--set changes an experiment file; {target} is a folder of results")


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


def names(option: str, text: str | None) -> list[str] | None:
    """ "atlop,baseline" as a list, which must not be empty; None (no restriction) stays None."""
    found = None if text is None else [name for name in re.split(r"[,\s]+", text) if name]
    if found == []:
        raise ConfigError(
            f"{option} {text!r}: an empty list; leave the option out, or name something"
        )
    return found


def numbers(text: str | None) -> list[int] | None:
    """ "0,1,5-9" as a list of seeds. Raises ConfigError on anything else."""
    if text is None:
        return None
    seeds: list[int] = []
    for part in names("--seeds", text):
        match = re.fullmatch(r"(-?\d+)(?:-(\d+))?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
        if last < first:
            raise ConfigError(f"--seeds {text}: '{part}' is no seed; expected e.g. 0,1,2 or 0-9")
        if last - first + len(seeds) >= MOST_SEEDS:
            raise ConfigError(f"--seeds {text}: more than {MOST_SEEDS} seeds")
        seeds += range(first, last + 1)
    return seeds
