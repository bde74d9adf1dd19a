"""push: a finished run, with its weights, onto the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

import typer

from benchmark.commands.options import argument, option

Run = argument(Path, "A finished run with its weights.", "RUN")
Repository = argument(str, "OWNER/NAME of a model on the hub.", "REPOSITORY")
Private = option(bool, "Make a new model private.", "--private")


def push(run: Run, repository: Repository, private: Private = False) -> None:
    """Upload a run and its model card to the hub.

    Weights, configuration and results go to the Hugging Face hub. config.json names the paths of
    your data as you gave them. `predict` takes the repository in place of a run's folder.

    Examples:

      \b
      python run_benchmark.py push results/demo/atlop/none/seed-0 me/atlop
      python run_benchmark.py predict me/atlop my_text.txt
    """
    from benchmark.interop.publishing import push as upload_run

    typer.echo(f"uploaded: {upload_run(run, repository, private=private)}")
