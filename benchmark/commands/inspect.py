"""list, check: what an experiment can choose, and whether a class keeps its contract."""

from __future__ import annotations

import importlib
from typing import Literal

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from benchmark.commands.options import Plugins, argument, load_plugins, option
from benchmark.errors import UnknownNameError, UserError, did_you_mean
from benchmark.registry import AUGMENTERS, BACKBONES, DATASETS, ENCODERS, REQUIRED, YOURS, Entry

REGISTRIES = {registry.kind: registry for registry in (BACKBONES, AUGMENTERS, DATASETS, ENCODERS)}
CHECKED = ("augmenter", "backbone", "encoder")  # kinds whose package has a module `check`
Kinds = argument(
    Literal["backbones", "augmenters", "datasets", "encoders"] | None, "Only these.", "KIND"
)
Name = argument(str, "A registered name, or one of your own.", "NAME")
Kind = option(Literal[*CHECKED] | None, "What it is; needed only if several kinds have the name.")


def list_(kind: Kinds = None, plugin: Plugins = None) -> None:
    """List everything that an experiment can choose.

    Backbones, augmenters, datasets and encoders, with their hyper-parameters and defaults.

    Examples:

      \b
      python run_benchmark.py list
      python run_benchmark.py list augmenters --plugin my_augmenter.py
    """
    load_plugins(plugin)
    for registry in REGISTRIES.values():
        title = f"{registry.kind}s"
        if kind not in (None, title):
            continue
        entries = [entry for _, entry in sorted(registry.entries().items())]
        _print(title, [entry for entry in entries if not entry.control])
        if controls := [entry for entry in entries if entry.control]:
            _print("augmenters that are controls: cheap rivals of the others", controls)
        if registry is ENCODERS:
            typer.echo("Or any Hugging Face encoder, by its hub id or its folder.")


def _print(title: str, entries: list[Entry]) -> None:
    headings = ("Name", "What it is", "Hyper-parameters")
    table = Table(*headings, box=box.SIMPLE_HEAD, title=title, title_justify="left")
    for entry in entries:
        try:
            options = [
                f"{name} (required)" if default is REQUIRED else f"{name}={default!r}"
                for name, default in entry.parameters.items()
            ]
        except UserError as error:  # only this one's file is faulty
            options = [str(error)]
        table.add_row(entry.name, entry.summary, ", ".join(options))
    Console(markup=False).print(table)


def check(name: Name, kind: Kind = None, plugin: Plugins = None) -> None:
    """Check that a class keeps the contract of its kind.

    An augmenter, a backbone or an encoder. One line for each check; exit code 1 when one fails.

    Examples:

      \b
      python run_benchmark.py check gaussian
      python run_benchmark.py check towards --plugin my_augmenter.py
    """
    load_plugins(plugin)
    kind = kind or _kind(name)
    from benchmark.checks import CheckFailed  # which imports torch

    registry = REGISTRIES[kind]
    checks_of = getattr(importlib.import_module(f"{registry.package}.check"), f"check_{kind}")
    console, done = Console(markup=False, highlight=False, soft_wrap=True), 0
    failed: dict[str, list[str]] = {}  # cause -> the checks that fail for it
    for title, run_check in checks_of(registry[name]):
        done += 1
        try:
            note = run_check()
            console.print(f"pass  {title}" + (f": {note}" if note else ""))
        except CheckFailed as error:
            titles = failed.setdefault(error.cause, [])
            if not titles:
                console.print(f"FAIL  {title}: {error}")
            titles.append(title)
    for first, *others in failed.values():
        if others:
            checks = "one other check" if len(others) == 1 else f"{len(others)} other checks"
            console.print(f"FAIL  {checks}, for the same reason as '{first}'")
    if failed:
        count = sum(map(len, failed.values()))
        console.print(f"{kind} '{name}' breaks its contract: {count} of {done} fail")
        raise typer.Exit(1)
    console.print(f"{kind} '{name}' keeps its contract: {done} checks pass")


def _kind(name: str) -> str:
    """The kind of `name`, found without importing torch.

    Raises UnknownNameError when nothing is, UserError when several kinds have the name.
    """
    found = [kind for kind in CHECKED if name in REGISTRIES[kind]]
    if len(found) > 1:
        raise UserError(
            f"several kinds have the name '{name}' ({', '.join(found)}): say which, such as "
            f"--kind {found[0]}"
        )
    if not found:
        hint = did_you_mean(name, [known for kind in CHECKED for known in REGISTRIES[kind]], most=3)
        raise UnknownNameError(f"nothing is called '{name}'.{hint} See `list`. {YOURS}")
    return found[0]
