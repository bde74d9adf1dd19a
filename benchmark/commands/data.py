"""data stats, data validate: looking at a file of documents before training on it."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from benchmark.commands.options import FREQUENT_OF, Frequent

app = typer.Typer(
    no_args_is_help=True, help="Numbers and faults of a file of documents.", rich_markup_mode=None
)

EXAMPLES = 3  # of each kind of fault

Documents = Annotated[Path, typer.Argument(metavar="PATH", help="A DocRED-format JSON file.")]


@app.command()
def stats(path: Documents, frequent: Frequent = None) -> None:
    """Count documents, entities and facts, and show the long tail.

    Pairs are ordered entity pairs, whether or not relations have a direction.

    Examples:

      python run_benchmark.py data stats train.json

      python run_benchmark.py data stats dev.json --frequent re-docred
    """
    from benchmark.data.docred import read_documents
    from benchmark.data.stats import statistics, table
    from benchmark.scoring.submission import frequent_relations

    chosen = None if frequent is None else frequent_relations(frequent, FREQUENT_OF)
    documents = read_documents(path, labelled=False, distinct=False)
    shown = Table(box=box.SIMPLE, show_header=False)
    for what, value in table(statistics(documents, chosen)):
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
    everything: Annotated[
        bool, typer.Option("--all", help="List every fault, not only examples of each kind.")
    ] = False,
) -> None:
    """Sum up the faults of a file by kind.

    Each kind with its number and up to three examples that name document, title and field.
    Exit code 1 when a fault keeps the file from being loaded.

    Examples:

      python run_benchmark.py data validate train.json --relations rel_info.json

      python run_benchmark.py data validate train.json --all
    """
    from benchmark.data.corpora import read_inventory
    from benchmark.data.jsonstream import existing_file
    from benchmark.data.validate import faults

    existing_file(path)
    inventory = None if relations is None else read_inventory(relations)[0]
    counts: Counter[tuple[str, str]] = Counter()
    examples: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    totals: Counter[str] = Counter()
    for fault in faults(path, inventory):
        kind = fault.severity, fault.kind
        counts[kind] += 1
        totals[fault.severity] += 1
        if everything:
            typer.echo(f"{fault.severity}: {fault}")
        elif counts[kind] <= EXAMPLES:
            examples[kind].append(str(fault))
    order = ("error", "warning", "info")
    for severity, what in sorted(examples, key=lambda kind: (order.index(kind[0]), -counts[kind])):
        typer.echo(f"{severity}, {counts[severity, what]:,} x {what}")
        for example in examples[severity, what]:
            typer.echo(f"  {example}")
    found = [(totals[severity], severity) for severity in order[:2] if totals[severity]]
    text = ", ".join(f"{number:,} {what}{'s' if number > 1 else ''}" for number, what in found)
    typer.echo(text or f"{path}: no fault")
    if any(counts[kind] > EXAMPLES for kind in examples):
        typer.echo("--all lists every one")
    if totals["error"]:
        raise typer.Exit(1)
