"""import-checkpoint: an official checkpoint as a finished run."""

from __future__ import annotations

from pathlib import Path

import typer

from benchmark.commands.options import argument, option, quiet_libraries

Checkpoint = argument(Path, "torch.save(model.state_dict()), or safetensors.", "FILE")
Name = option(str, "The backbone it is of.", metavar="NAME")
FineTuned = option(str, "The encoder that it fine-tuned.", metavar="NAME|DIR")
Relations = option(Path, "The rel2id.json it was trained with.", metavar="FILE")
Out = option(Path, "The run's folder; must not exist yet.", metavar="DIR")
Options = option(list[str] | None, "Of the backbone. Repeatable.", "--option", metavar="KEY=VALUE")


def import_checkpoint(
    checkpoint: Checkpoint,
    backbone: Name,
    encoder: FineTuned,
    relations: Relations,
    out: Out,
    options: Options = None,
) -> None:
    """Take over a checkpoint of official code.

    Of ATLOP, KD-DocRE or VaeDiff-DocRE (stage 1), as a finished run that `predict` can use. No code
    in the file is run. Tensors that the model does not use are listed; one that is missing or has
    another shape is an error.

    Example:

      \b
      python run_benchmark.py import-checkpoint atlop_bert.pt --backbone atlop \\
          --encoder google-bert/bert-base-cased --relations rel2id.json --out imported/atlop
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
