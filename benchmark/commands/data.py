"""data stats, validate, export: documents before and apart from training."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from benchmark.commands.options import (
    FREQUENT_OF,
    Frequent,
    Overrides,
    Plugins,
    WithOverrides,
    argument,
    load_plugins,
    option,
)
from benchmark.errors import ConfigError

app = typer.Typer(
    no_args_is_help=True,
    help="Count or check the documents of a file; export a dataset.",
    rich_markup_mode=None,
)

EXAMPLES = 3  # of each kind of fault

Parquet = option(bool, "Parquet files instead of `save_to_disk`.", "--parquet")
PushTo = option(str | None, "Upload to this dataset on the hub.", "--push", metavar="OWNER/NAME")
Private = option(bool, "With --push: make a new dataset private.", "--private")
Everything = option(bool, "List every fault, not only examples of each kind.", "--all")
Documents = argument(Path, "A DocRED-format JSON file.", "PATH")
Relations = option(
    Path | None, "The relations that may occur: rel_info.json or a JSON list.", metavar="FILE"
)
Exported = argument(Path, "A YAML file; its dataset is exported.", "EXPERIMENT")
Folder = argument(Path | None, "A new or empty folder for the dataset.", "FOLDER")


@app.command()
def stats(path: Documents, frequent: Frequent = None) -> None:
    """Count documents, entities and facts, and show the long tail.

    Pairs are ordered entity pairs, whether or not relations have a direction.

    Examples:

      \b
      python run_benchmark.py data stats dev.json --frequent re-docred
    """
    from benchmark.data.docred import read_documents
    from benchmark.data.stats import statistics, table
    from benchmark.scoring.submission import frequent_relations

    chosen = None if frequent is None else frequent_relations(frequent, FREQUENT_OF)
    documents = read_documents(path, labelled=False)
    shown = Table(box=box.SIMPLE, show_header=False)
    for what, value in table(statistics(documents, chosen)):
        shown.add_row(what, value)
    Console(markup=False).print(shown)
    if chosen is None:
        Console().print(
            "frequent: the ten most frequent of this file; --frequent names others", style="dim"
        )


@app.command()
def validate(path: Documents, relations: Relations = None, everything: Everything = False) -> None:
    """Sum up the faults of a file by kind.

    For each kind: how many there are, and up to three examples with document, title and field.
    Exit code 1 when a fault keeps the file from being loaded.

    Examples:

      \b
      python run_benchmark.py data validate train.json --relations rel_info.json
    """
    from benchmark.data.inventory import read_inventory
    from benchmark.data.jsonstream import existing_file
    from benchmark.data.validate import faults

    existing_file(path)
    inventory = None if relations is None else read_inventory(relations)[0]
    found: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for fault in faults(path, inventory):
        found[fault.severity, fault.kind].append(str(fault))
        if everything:
            typer.echo(f"{fault.severity}: {fault}")
    order, totals = ("error", "warning", "info"), Counter()
    worst_first = lambda item: (order.index(item[0][0]), -len(item[1]))
    for (severity, what), examples in sorted(found.items(), key=worst_first):
        totals[severity] += len(examples)
        if not everything:
            lines = [f"{severity}, {len(examples):,} x {what}", *examples[:EXAMPLES]]
            typer.echo("\n  ".join(lines))
    told = [(totals[severity], severity) for severity in ("error", "warning") if totals[severity]]
    text = ", ".join(f"{number:,} {what}{'s' if number > 1 else ''}" for number, what in told)
    typer.echo(text or f"{path}: no fault")
    if not everything and any(len(examples) > EXAMPLES for examples in found.values()):
        typer.echo("--all lists every fault")
    if inventory is None:
        typer.echo("relation names were not checked: give the valid ones with --relations")
    if totals["error"]:
        raise typer.Exit(1)


@app.command("export", cls=WithOverrides)
def export_corpus(
    experiment: Exported,
    folder: Folder = None,
    parquet: Parquet = False,
    push_to: PushTo = None,
    private: Private = False,
    overrides: Overrides = None,
    plugins: Plugins = None,
) -> None:
    """Write a dataset as a `datasets` folder, or upload it.

    A data card is included. Check the licence of the documents before you upload them. An
    experiment reads the dataset with `dataset: {name: exported, hub: FOLDER_OR_ID}`.

    Examples:

      \b
      python run_benchmark.py data export configs/dwie_bert.yaml data/dwie_export
      python run_benchmark.py data export configs/demo.yaml --push me/synthetic
    """
    from benchmark.config import read_experiment
    from benchmark.data.exported import export, push
    from benchmark.registry import DATASETS

    if folder is None and push_to is None:
        raise ConfigError("nothing to write: name a FOLDER, or a dataset on the hub with --push")
    if private and push_to is None:
        raise ConfigError("--private goes with --push; a folder here is as private as you keep it")
    load_plugins(plugins)
    dataset = read_experiment(experiment, overrides or []).dataset
    corpus = DATASETS[dataset.name](**dataset.options)
    counts = ", ".join(f"{s} {len(getattr(corpus, s)):,}" for s in ("train", "dev", "test"))
    if folder is not None:
        export(corpus, folder, parquet=parquet)
        typer.echo(f"written: {folder} ({corpus.name}; documents: {counts})")
    if push_to is not None:
        typer.echo(f"uploaded: {push(corpus, push_to, private=private)} ({counts})")
