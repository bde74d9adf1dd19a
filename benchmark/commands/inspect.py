"""list, check: what an experiment can choose, and whether a class keeps its contract."""

from __future__ import annotations

import importlib
import importlib.util
from enum import StrEnum
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from benchmark.commands.options import Plugins, load_plugins
from benchmark.errors import UnknownNameError, UserError
from benchmark.registry import AUGMENTERS, BACKBONES, DATASETS, ENCODERS, REQUIRED, Entry, Registry

REGISTRIES = {
    "backbones": BACKBONES,
    "augmenters": AUGMENTERS,
    "datasets": DATASETS,
    "encoders": ENCODERS,
}
Kind = StrEnum("Kind", list(REGISTRIES))

CONTRACTS = {
    "augmenter": (AUGMENTERS, "augmenters.check", "check_augmenter"),
    "backbone": (BACKBONES, "backbones.check", "check_backbone"),
    "encoder": (ENCODERS, "backbones.encoders.check", "check_encoder"),
}
"""Kind -> its registry, and the module and function that yields (name, check) for a class."""
Contract = StrEnum("Contract", list(CONTRACTS))


def list_(
    kind: Annotated[Kind | None, typer.Argument(help="Only these.", show_default=False)] = None,
    plugin: Plugins = None,
) -> None:
    """List everything that an experiment can choose.

    Backbones, augmenters, datasets and encoders, with their hyper-parameters and defaults.

    Examples:

      \b
      python run_benchmark.py list

      \b
      python run_benchmark.py list augmenters --plugin my_augmenter.py
    """
    load_plugins(plugin)
    console = Console(markup=False)
    for name in [kind.value] if kind else REGISTRIES:
        entries = [entry for _, entry in sorted(REGISTRIES[name].entries().items())]
        _print(console, name, [entry for entry in entries if not entry.control])
        if controls := [entry for entry in entries if entry.control]:
            _print(console, "augmenters that are controls: cheap rivals of the others", controls)
        if REGISTRIES[name] is ENCODERS:
            console.print("Or any Hugging Face encoder, by its hub id or its folder.")


def _print(console: Console, title: str, entries: list[Entry]) -> None:
    headings = ("Name", "What it is", "Hyper-parameters")
    table = Table(*headings, box=box.SIMPLE_HEAD, title=title, title_justify="left")
    for entry in entries:
        try:
            parameters = ", ".join(_parameters(entry))
        except UserError as error:  # the file of this one is faulty; the others are not
            parameters = str(error)
        table.add_row(entry.name, entry.summary, parameters)
    console.print(table)


def check(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A registered name, also yours.")],
    kind: Annotated[
        Contract | None,
        typer.Option(help="What it is; needed only if several kinds have the name."),
    ] = None,
    plugin: Plugins = None,
) -> None:
    """Check that a class keeps the contract of its kind.

    An augmenter, a backbone or an encoder. One line for each check; exit code 1 when one fails.

    Examples:

      \b
      python run_benchmark.py check gaussian

      \b
      python run_benchmark.py check mixup --plugin my_augmenter.py
    """
    load_plugins(plugin)
    registry, module, function = _contract(name, kind)
    if importlib.util.find_spec(module) is None:
        raise UserError(f"there are no checks for the {registry.kind} '{name}' yet")
    registered = registry[name]
    checks = getattr(importlib.import_module(module), function)
    console, done = Console(markup=False, highlight=False, soft_wrap=True), 0
    failed: dict[str, list[str]] = {}  # reason -> the checks that fail for it
    for title, run_check in checks(registered):
        done += 1
        try:
            run_check()
            console.print(f"pass  {title}")
        except Exception as error:  # whatever a user's class raises is this check's result
            reason = _reason(error)
            first = failed.setdefault(reason, [])
            console.print(f"FAIL  {title}: " + (f"as '{first[0]}'" if first else reason))
            first.append(title)
    if failed:
        count = sum(map(len, failed.values()))
        console.print(f"{registry.kind} '{name}' breaks its contract: {count} of {done} fail")
        raise typer.Exit(1)
    console.print(f"{registry.kind} '{name}' keeps its contract: {done} checks pass")


def _contract(name: str, kind: Contract | None) -> tuple[Registry, str, str]:
    """The contract of what is registered as `name`, told before torch is imported.

    Raises UnknownNameError when nothing is, UserError when several kinds have the name.
    """
    if kind is not None:
        CONTRACTS[kind][0].entry(name)
        return CONTRACTS[kind]
    found = [known for known, (registry, *_) in CONTRACTS.items() if name in registry]
    if len(found) > 1:
        raise UserError(f"'{name}' is {' and '.join(found)}: say which with --kind {found[0]}")
    if found:
        return CONTRACTS[found[0]]
    messages = []
    for registry, *_ in CONTRACTS.values():
        try:
            registry.entry(name)
        except UnknownNameError as error:
            messages.append(str(error))
    near = [message for message in messages if "Did you mean" in message]
    raise UnknownNameError("\n".join(near or messages))


def _parameters(entry: Entry) -> list[str]:
    return [
        f"{name} (required)" if default is REQUIRED else f"{name}={default!r}"
        for name, default in entry.parameters.items()
    ]


def _reason(error: Exception) -> str:
    """The message; with its kind and place unless it is written for the user."""
    if isinstance(error, (UserError, AssertionError)) and str(error):
        return str(error)
    place = error.__traceback__
    while place.tb_next is not None:
        place = place.tb_next
    where = f"{place.tb_frame.f_code.co_filename}, line {place.tb_lineno}"
    return f"{type(error).__name__}: {error} ({where})"
