"""The command line as a whole: its commands, and what becomes of errors.

A user's mistake (UserError) is one `error:` message on standard error and exit code 2. Exit code 1:
the command ran, but runs or checks failed. 75: asked to stop by a signal; run it again. 130:
interrupted. Anything else is a fault of the benchmark and shows its traceback.
"""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from benchmark.commands import (
    compare,
    data,
    figures,
    import_checkpoint,
    inspect,
    leaderboard,
    predict,
    quality,
    report,
    run,
    score,
)
from benchmark.errors import UserError
from benchmark.signals import AGAIN, Preempted

EPILOG = "Start with: python run_benchmark.py demo"


class Commands(TyperGroup):
    """Commands in the order in which they were added, with one place for errors."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except UserError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(2) from error
        except Preempted as error:
            typer.echo(
                "asked to stop; the same command goes on from the last saved state", err=True
            )
            raise typer.Exit(AGAIN) from error
        except KeyboardInterrupt as error:
            typer.echo(
                "interrupted; what is done stays, and the same command goes on from there", err=True
            )
            raise typer.Exit(130) from error


app = typer.Typer(
    cls=Commands,
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Augmentation strategies for document-level relation extraction, compared fairly: "
    "train a grid of backbones x augmenters x seeds, score it, and make its tables.",
)
app.command()(run.demo)
app.command()(run.run)
app.command()(run.status)
app.command()(report.report)
app.command()(leaderboard.leaderboard)
app.command()(quality.quality)
app.command()(figures.figures)
app.command("list")(inspect.list_)
app.command()(inspect.check)
app.command()(score.score)
app.command()(compare.compare)
app.command()(predict.predict)
app.command("import-checkpoint")(import_checkpoint.import_checkpoint)
app.add_typer(data.app, name="data")
