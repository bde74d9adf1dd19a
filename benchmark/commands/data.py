"""data stats, data validate: looking at a file of documents before training on it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from benchmark.commands.score import FREQUENT_OF, Frequent
from benchmark.scoring.submission import frequent_relations

app = typer.Typer(
    no_args_is_help=True, help="Numbers and faults of a file of documents.", rich_markup_mode=None
)

Documents = Annotated[Path, typer.Argument(metavar="PATH", help="A DocRED-format JSON file.")]


@app.command()
def stats(path: Documents, frequent: Frequent = None) -> None:
    """Documents, entities, facts, and their tail.

    Of ordered entity pairs, whether relations have a direction or not.

    Examples:

      python run_benchmark.py data stats train.json

      python run_benchmark.py data stats dev.json --frequent re-docred
    """
    from benchmark.data.docred import read_documents
    from benchmark.data.stats import statistics, table

    shown = Table(box=box.SIMPLE, show_header=False)
    chosen = frequent_relations(frequent, FREQUENT_OF) if frequent is not None else None
    for what, value in table(
        statistics(read_documents(path, labelled=False, distinct=False), chosen)
    ):
        shown.add_row(what, value)
    Console(markup=False).print(shown)
    if chosen is None:
        Console().print(
            "frequent: the ten most frequent of this file; --frequent names others", style="dim"
        )


@app.command()
def validate(
    path: Documents,
    relations: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The relations that may occur: rel_info.json, rel2id.json or a JSON list.",
        ),
    ] = None,
) -> None:
    """List every fault of a file.

    Each with its document, title and field. Exit code 1 when one of them keeps the file from being
    loaded.

    Example:

      python run_benchmark.py data validate train.json --relations rel_info.json
    """
    from benchmark.data.jsonstream import existing_file
    from benchmark.data.validate import faults

    existing_file(path)
    inventory = None
    if relations is not None:
        from benchmark.data.docred import read_inventory

        inventory, _ = read_inventory(relations)
    counts: Counter[str] = Counter()
    for fault in faults(path, inventory):
        counts[fault.severity] += 1
        typer.echo(f"{fault.severity}: {fault}")
    plural = (
        f"{counts[kind]} {kind}{'s' if counts[kind] != 1 else ''}"
        for kind in ("error", "warning")
        if counts[kind]
    )
    typer.echo(", ".join(plural) or f"{path}: no fault")
    if counts["error"]:
        raise typer.Exit(1)
