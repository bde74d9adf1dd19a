"""predict: a stored model on the user's own documents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmark.commands.options import Plugins, load_plugins, quiet_libraries
from benchmark.errors import UserError
from benchmark.store.files import written_atomically
from benchmark.texts import plain


def predict(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN",
            help="The folder of a finished run that kept its weights, or OWNER/NAME on the hub.",
        ),
    ],
    documents: Annotated[
        Path,
        typer.Argument(
            metavar="DOCUMENTS",
            help="DocRED-format JSON (labels are not needed), or text with marked entities.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the facts there as JSON; .html: as a page."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the facts as JSON instead of a table.")
    ] = False,
    threshold: Annotated[
        Literal["class", "tuned", "per_relation"],
        typer.Option(help="The model's own, or tuned on dev: one for all relations, or for each."),
    ] = "class",
    plugin: Plugins = None,
) -> None:
    """Predict the relations in your own documents.

    With the model of a finished run. In a text, [Marie Curie|1] marks a mention of entity 1 and
    [Warsaw|2|LOC] one with a type; a line --- stands between two documents.

    Examples:

      \b
      python run_benchmark.py predict results/demo/atlop/none/seed-0 my_text.txt
      python run_benchmark.py predict me/atlop mine.json --out facts.html
    """
    load_plugins(plugin)
    if out is not None and (out.is_dir() or not out.parent.is_dir()):
        raise UserError(f"--out {out}: expected a file in a folder that exists")
    quiet_libraries()
    from benchmark.interop.predict import own_documents
    from benchmark.interop.predict import predict as predict_facts

    rows = own_documents(documents)
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
    with written_atomically(out) as part:
        part.write_text(text, encoding="utf-8")
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
