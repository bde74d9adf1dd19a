"""score: a prediction file of any system, scored as the official scorer does."""

from __future__ import annotations

import json
from pathlib import Path

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from benchmark.commands.options import (
    AsJson,
    Frequent,
    Train,
    TrainFacts,
    Undirected,
    argument,
    option,
    reference_of,
)

LABELS = {
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "ign_f1": "Ign F1",
    "freq_f1": "Freq F1",
    "ltail_f1": "LTail F1",
    "intra_f1": "intra-sentence F1",
    "inter_f1": "inter-sentence F1",
}

Predictions = argument(Path, "JSON list of {title, h_idx, t_idx, r}.", "PREDICTIONS")
Gold = option(Path, "The gold documents, DocRED-format JSON.", metavar="FILE")


def score(
    predictions: Predictions,
    gold: Gold,
    train: Train = None,
    train_facts: TrainFacts = None,
    frequent: Frequent = None,
    undirected: Undirected = False,
    as_json: AsJson = False,
) -> None:
    """Score a prediction file.

    The file has the official DocRED submission format; the formulas are those of the official
    Re-DocRED scorer. Any dataset and any relations will do. Ign F1 needs the training
    documents, or their facts. With --json, scores are fractions.

    Examples:

      \b
      python run_benchmark.py score predictions.json --gold test.json --train train.json
      python run_benchmark.py score predictions.json --gold test.json \\
          --train-facts train.fact --frequent re-docred --json
    """
    from benchmark.scoring.counts import COLUMNS
    from benchmark.scoring.submission import read_predictions

    reference = reference_of(gold, train, train_facts, frequent, undirected)
    counts = reference.count(read_predictions(predictions), str(predictions))
    scores = reference.score(counts)
    if as_json:
        typer.echo(json.dumps(scores))
        return
    table = Table("Score", "%", box=box.SIMPLE_HEAD)
    for name, value in scores.items():
        table.add_row(LABELS[name], "undefined" if value is None else f"{100 * value:.2f}")
    Console().print(table)
    facts = counts.by_relation[:, COLUMNS.index("gold")].sum()
    typer.echo(f"{len(counts.titles)} documents with {facts} gold facts.")
    if reference.train is None:
        typer.echo("Ign F1 needs --train or --train-facts.")
    if reference.frequent is None:
        typer.echo("Freq and LTail F1 need --frequent, or training facts to count.")
    else:
        typer.echo(f"Frequent relations: {', '.join(sorted(reference.frequent))}.")
