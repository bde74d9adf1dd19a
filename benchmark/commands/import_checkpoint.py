"""import-checkpoint: an official checkpoint as a finished run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
import yaml

from benchmark.commands.options import quiet_libraries
from benchmark.errors import ConfigError


def import_checkpoint(
    checkpoint: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="torch.save(model.state_dict()), or .safetensors."),
    ],
    backbone: Annotated[str, typer.Option(metavar="NAME", help="atlop, kd_docre or baseline.")],
    encoder: Annotated[
        str,
        typer.Option(
            metavar="NAME|DIR", help="Hub id or folder of the encoder that was fine-tuned."
        ),
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

    Of ATLOP, KD-DocRE or VaeDiff-DocRE (stage 1), as a finished run that `predict` can use. The
    file is read, never executed. What it holds beyond the model is listed; a tensor that lacks or
    does not fit is an error.

    Example:

      python run_benchmark.py import-checkpoint atlop_bert.pt --backbone atlop --encoder
          google-bert/bert-base-cased \\ --relations rel2id.json --out imported/atlop
    """
    quiet_libraries()
    from benchmark.interop.official import import_checkpoint as convert

    done = convert(
        checkpoint,
        out,
        backbone=backbone,
        encoder=encoder,
        relations=relations,
        options=_options(options or []),
    )
    shapes = ", ".join(f"{key} {value}" for key, value in done.run.backbone.options.items())
    typer.echo(f"{done.taken} tensors taken over: {backbone} ({shapes})")
    if done.leftover:
        typer.echo(
            f"{len(done.leftover)} tensors left over, which the model does not use: {', '.join(done.leftover)}"
        )
    typer.echo(f"written: {out}; next: python run_benchmark.py predict {out} DOCUMENTS")


def _options(assignments: list[str]) -> dict[str, object]:
    """["gamma=1.0"] -> {"gamma": 1.0}. Raises ConfigError on anything else."""
    options = {}
    for assignment in assignments:
        key, separator, text = assignment.partition("=")
        if not separator or not key:
            raise ConfigError(f"--option {assignment}: expected key=value")
        try:
            options[key] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"--option {assignment}: the value is not valid YAML") from error
    return options
