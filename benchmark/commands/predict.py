"""predict: a stored model on the user's own documents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from benchmark.commands.options import Plugins, load_plugins, quiet_libraries
from benchmark.errors import UserError
from benchmark.store.files import written_atomically


def predict(
    run: Annotated[
        Path,
        typer.Argument(metavar="RUN", help="The folder of a finished run that kept its weights."),
    ],
    documents: Annotated[
        Path, typer.Argument(metavar="DOCUMENTS", help="DocRED-format JSON; labels are not needed.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the facts there instead of printing them."),
    ] = None,
    plugin: Plugins = None,
) -> None:
    """Predict the relations in your own documents.

    With the model of a finished run. Gives a JSON list of facts with relation names and scores.

    Example:

      python run_benchmark.py predict results/demo/atlop/none/seed-0 my_documents.json --out
      facts.json
    """
    load_plugins(plugin)
    if out is not None and not out.parent.is_dir():
        raise UserError(f"--out {out}: the folder {out.parent} does not exist")
    quiet_libraries()
    from benchmark.interop.predict import predict as predict_facts

    facts = predict_facts(run, documents)
    lines = ",\n".join(json.dumps(fact, ensure_ascii=False) for fact in facts)
    text = f"[\n{lines}\n]\n" if facts else "[]\n"
    if out is None:
        typer.echo(text, nl=False)
        return
    with written_atomically(out) as part:
        part.write_text(text, encoding="utf-8")
    typer.echo(f"{len(facts)} facts written to {out}", err=True)
