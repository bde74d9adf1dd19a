"""list, check: what can be chosen in an experiment file, and whether an augmenter keeps its
contract.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from benchmark.commands.options import Plugins, load_plugins
from benchmark.registry import AUGMENTERS, BACKBONES, DATASETS, ENCODERS, REQUIRED, Entry

REGISTRIES = {
    "backbones": BACKBONES,
    "augmenters": AUGMENTERS,
    "datasets": DATASETS,
    "encoders": ENCODERS,
}


class Kind(StrEnum):
    backbones = "backbones"
    augmenters = "augmenters"
    datasets = "datasets"
    encoders = "encoders"


def list_(
    kind: Annotated[Kind | None, typer.Argument(help="Only these.", show_default=False)] = None,
    plugin: Plugins = None,
) -> None:
    """Everything that an experiment can choose.

    Backbones, augmenters, datasets and encoders, with their hyper-parameters and defaults.

    Examples:

      python run_benchmark.py list

      python run_benchmark.py list augmenters --plugin my_augmenter.py
    """
    load_plugins(plugin)
    console = Console(markup=False)
    for name in [kind.value] if kind else REGISTRIES:
        table = Table(
            "Name",
            "What it is",
            "Hyper-parameters",
            box=box.SIMPLE_HEAD,
            title=name,
            title_justify="left",
        )
        for entry in sorted(REGISTRIES[name].entries().values(), key=lambda entry: entry.name):
            table.add_row(entry.name, entry.summary, ", ".join(_parameters(entry)))
        console.print(table)
        if name == "encoders":
            console.print(
                "Any Hugging Face encoder can be named as well, by its hub id or its folder."
            )


def check(
    augmenter: Annotated[
        str, typer.Argument(metavar="AUGMENTER", help="A registered name, yours included.")
    ],
    plugin: Plugins = None,
) -> None:
    """Check that an augmenter keeps its contract.

    Shapes, determinism, gradients, stored state, odd batches. Exit code 1 when a check fails.

    Example:

      python run_benchmark.py check mixup --plugin my_augmenter.py
    """
    load_plugins(plugin)
    AUGMENTERS.entry(augmenter)  # a wrong name is told before torch is imported
    from augmenters.check import check_augmenter

    console = Console(markup=False)
    failed = 0
    for name, run_check in check_augmenter(AUGMENTERS[augmenter]):
        try:
            run_check()
            console.print(f"pass  {name}", markup=False, highlight=False)
        except Exception as error:  # whatever a user's augmenter raises is this check's result
            failed += 1
            console.print(
                f"FAIL  {name}: {_reason(error)}", markup=False, highlight=False, soft_wrap=True
            )
    if failed:
        console.print(f"'{augmenter}' breaks the contract in {failed} point(s)")
        raise typer.Exit(1)
    console.print(f"'{augmenter}' keeps the contract")


def _parameters(entry: Entry) -> list[str]:
    return [
        f"{name} (required)" if default is REQUIRED else f"{name}={default!r}"
        for name, default in entry.parameters.items()
    ]


def _reason(error: Exception) -> str:
    """The message; with its kind and place unless it is written for the user."""
    from benchmark.errors import UserError

    if isinstance(error, (UserError, AssertionError)) and str(error):
        return str(error)
    place = error.__traceback__
    while place.tb_next is not None:
        place = place.tb_next
    return f"{type(error).__name__}: {error} ({place.tb_frame.f_code.co_filename}, line {place.tb_lineno})"
