"""predict: a stored model on the user's own documents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmark.commands.options import (
    Plugins,
    argument,
    load_plugins,
    option,
    quiet_libraries,
    require_place,
)
from benchmark.store.files import write_text
from benchmark.texts import plain

Run = argument(Path, "A finished run's folder, or OWNER/NAME.", "RUN")
Documents = argument(Path, "DocRED-format JSON, or marked text.", "DOCUMENTS")
Out = option(Path | None, "Write JSON to this file, or a page if it is .html.", metavar="FILE")
AsJson = option(bool, "Print the facts as JSON instead of a table.", "--json")
Ner = option(
    str | None,
    "Find the entities of an unmarked text: spacy:MODEL or gliner:MODEL.",
    metavar="LIBRARY:MODEL",
)
Threshold = option(
    Literal["class", "tuned", "per_relation"],
    "The model's own threshold, or tuned on dev: one for all relations, or one for each.",
)


def predict(
    run: Run,
    documents: Documents,
    out: Out = None,
    as_json: AsJson = False,
    ner: Ner = None,
    threshold: Threshold = "class",
    plugin: Plugins = None,
) -> None:
    """Predict the relations in your own documents.

    Uses the model of a finished run that kept its weights, here or on the hub. In a text, [Marie
    Curie|1] marks a mention of entity 1 and [Warsaw|2|LOC] one with a type; a line --- stands
    between two documents.

    Examples:

      \b
      python run_benchmark.py predict results/demo/atlop/none/seed-0 my_text.txt
      python run_benchmark.py predict me/atlop mine.json --out facts.html
      python run_benchmark.py predict me/atlop plain.txt --ner spacy:en_core_web_sm
    """
    load_plugins(plugin)
    if out is not None:
        require_place(out)
    quiet_libraries()
    from benchmark.interop.predict import own_documents
    from benchmark.interop.predict import predict as predict_facts

    rows = own_documents(documents, ner)
    facts = predict_facts(run, rows, threshold)
    for row in rows:
        if len(row["entities"]) < 2:
            found = "one entity" if row["entities"] else "no entity"
            text = f"{documents}: '{row['title']}' has {found}: a relation needs two"
            typer.echo(text, err=True)
    if out is None and not as_json:
        _print(facts)
        return
    lines = ",\n".join(json.dumps(fact, ensure_ascii=False) for fact in facts)
    text = f"[\n{lines}\n]\n" if facts else "[]\n"
    if out is None:
        typer.echo(text, nl=False)
        return
    if out.suffix == ".html":
        from benchmark.reports.render.documents import documents_page

        text = documents_page(rows, facts)
    write_text(out, text)
    typer.echo(f"{len(facts)} facts written to {out}", err=True)


def _print(facts: list[dict]) -> None:
    """The facts of each document as a table."""
    if not facts:
        typer.echo("no relation was found", err=True)
        return
    table = Table("Document", "Head", "Relation", "Tail", "Score", box=box.SIMPLE_HEAD)
    for fact in facts:
        words = [plain(fact[key]) for key in ("title", "head", "relation", "tail")]
        table.add_row(*map(Text, words), f"{fact['score']:.2f}")
    Console().print(table)
