"""score: a prediction file of any system, scored as the official scorer does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from benchmark.data.redocred import FREQUENT
from benchmark.scoring.submission import Reference, read_predictions, read_reference

FREQUENT_OF = {
    "re-docred": frozenset(FREQUENT),  # the official scorer's list
    "biored": frozenset({"Association", "Positive_Correlation", "Negative_Correlation"}),
}
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
Gold = Annotated[Path, typer.Option(metavar="FILE", help="Gold documents, DocRED-format JSON.")]
Train = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The documents trained on: for Ign, Freq and LTail F1."),
]
TrainFacts = Annotated[
    Path | None,
    typer.Option(
        "--train-facts",
        metavar="FILE",
        help="Or their facts: JSON list of [head name, tail name, relation].",
    ),
]
Frequent = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|FILE|LIST",
        help=f"The frequent relations: {' or '.join(FREQUENT_OF)}, a JSON list, or P17,P131,... Otherwise the ten most frequent of "
        "the training facts.",
    ),
]
Undirected = Annotated[
    bool, typer.Option("--undirected", help="Score unordered pairs, as in BioRED.")
]


def score(
    predictions: Annotated[
        Path, typer.Argument(metavar="PREDICTIONS", help="JSON list of {title, h_idx, t_idx, r}.")
    ],
    gold: Gold,
    train: Train = None,
    train_facts: TrainFacts = None,
    frequent: Frequent = None,
    undirected: Undirected = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object of fractions; null where undefined.")
    ] = False,
) -> None:
    """Score a prediction file.

    In the official DocRED submission format, with the formulas of the official Re-DocRED scorer.
    Any dataset, any relations. Without training facts there is no Ign F1.

    Examples:

      python run_benchmark.py score predictions.json --gold test.json --train train.json

      python run_benchmark.py score predictions.json --gold test.json --train-facts train.fact
      --frequent re-docred --json
    """
    reference = reference_of(gold, train, train_facts, frequent, undirected)
    scores = reference.score(read_predictions(predictions), str(predictions))
    if as_json:
        typer.echo(json.dumps(scores))
        return
    table = Table("Score", "%", box=box.SIMPLE_HEAD)
    for name, value in scores.items():
        table.add_row(LABELS[name], "undefined" if value is None else f"{100 * value:.2f}")
    Console().print(table)
    for remark in remarks(reference):
        typer.echo(remark)


def reference_of(
    gold: Path, train: Path | None, train_facts: Path | None, frequent: str | None, undirected: bool
) -> Reference:
    """The options above as a Reference."""
    return read_reference(
        gold,
        train=train,
        facts=train_facts,
        frequent=frequent,
        known_lists=FREQUENT_OF,
        undirected=undirected,
    )


def remarks(reference: Reference) -> list[str]:
    """What a reader of the scores must know."""
    facts = sum(
        len({(f["head"], f["tail"], f["relation"]) for f in document["facts"]})
        for document in reference.documents
    )
    lines = [f"{len(reference.documents)} documents with {facts} gold facts."]
    if reference.train is None:
        lines.append("Ign F1 needs --train or --train-facts.")
    if reference.frequent is None:
        lines.append("Freq and LTail F1 need --frequent, or training facts to count.")
    else:
        lines.append(f"Frequent relations: {', '.join(sorted(reference.frequent))}.")
    return lines
