"""import-checkpoint: an official checkpoint as a finished run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.commands.options import quiet_libraries


def import_checkpoint(
    checkpoint: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="torch.save(model.state_dict()), or .safetensors."),
    ],
    backbone: Annotated[str, typer.Option(metavar="NAME", help="The backbone it is of.")],
    encoder: Annotated[
        str, typer.Option(metavar="NAME|DIR", help="Hub id or folder of the encoder it fine-tuned.")
    ],
    relations: Annotated[
        Path, typer.Option(metavar="FILE", help="The rel2id.json it was trained with.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The run's folder; must not exist yet.")],
    options: Annotated[
        list[str] | None,
        typer.Option(
            "--option", metavar="KEY=VALUE", help="An option of the backbone. Repeatable."
        ),
    ] = None,
) -> None:
    """Take over a checkpoint of official code.

    Of ATLOP, KD-DocRE or VaeDiff-DocRE (stage 1), as a finished run that `predict` can use. No code
    in the file is run. Tensors that the model does not use are listed; one that is missing or has
    another shape is an error.

    Example:

      \b
      python run_benchmark.py import-checkpoint atlop_bert.pt \\
          --backbone atlop --encoder google-bert/bert-base-cased \\
          --relations rel2id.json --out imported/atlop
    """
    quiet_libraries()
    from benchmark.config import parse_assignment
    from benchmark.interop.official import import_checkpoint as convert

    chosen = dict(parse_assignment("--option", text) for text in options or ())
    given = {"backbone": backbone, "encoder": encoder, "relations": relations}
    done = convert(checkpoint, out, **given, options=chosen)
    shapes = ", ".join(f"{key} {value}" for key, value in done.run.backbone.options.items())
    typer.echo(f"{done.taken} tensors taken over: {backbone} ({shapes})")
    if done.leftover:
        names = ", ".join(done.leftover)
        typer.echo(f"{len(done.leftover)} tensors that the model does not use: {names}")
    typer.echo(f"written: {out}; next: python run_benchmark.py predict {out} DOCUMENTS")
