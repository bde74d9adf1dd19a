"""import-checkpoint: an official checkpoint as a finished run."""

from __future__ import annotations

from pathlib import Path

import typer

from benchmark.commands.options import argument, option, quiet_libraries

Checkpoint = argument(Path, "torch.save(model.state_dict()), or safetensors.", "FILE")
Name = option(str, "The backbone of the checkpoint.", metavar="NAME")
FineTuned = option(str, "The pretrained encoder that was fine-tuned.", metavar="NAME|DIR")
Relations = option(Path, "The rel2id.json it was trained with.", metavar="FILE")
Out = option(Path, "The run's folder, new or empty.", metavar="DIR")
_OPTION = "An option of the backbone. Repeatable."
Options = option(list[str] | None, _OPTION, "--option", metavar="KEY=VALUE")


def import_checkpoint(
    checkpoint: Checkpoint,
    backbone: Name,
    encoder: FineTuned,
    relations: Relations,
    out: Out,
    options: Options = None,
) -> None:
    """Import a checkpoint of official code.

    A checkpoint of ATLOP, KD-DocRE or VaeDiff-DocRE (stage 1) becomes a finished run that `predict`
    can use. No code in the file is run. Tensors that the model does not use are listed; one that is
    missing or has another shape is an error.

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
    typer.echo(f"{done.taken} tensors imported: {backbone} ({shapes})")
    if done.leftover:
        names = ", ".join(done.leftover)
        typer.echo(f"{len(done.leftover)} tensors that the model does not use: {names}")
    typer.echo(f"written: {out}; next: python run_benchmark.py predict {out} DOCUMENTS")
