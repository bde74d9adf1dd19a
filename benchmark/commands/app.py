"""The command line as a whole: its commands, and what becomes of errors.

Exit codes: 0 all well; 1 the command ran, but runs or checks failed; 2 a mistake of the user
(UserError), told in one `error:` message; 75 stopped by a signal, run it again; 130 interrupted.
Anything else is a fault of the benchmark and shows its traceback.
"""

from __future__ import annotations

import os
import sys
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
    push,
    quality,
    report,
    run,
    score,
    status,
)
from benchmark.commands.options import WithOverrides
from benchmark.errors import UserError
from benchmark.signals import AGAIN, Preempted

EPILOG = "Start with: python run_benchmark.py demo"


class Commands(TyperGroup):
    """Commands in the order in which they were added, with one place for errors."""

    def invoke(self, ctx: Any) -> Any:
        if sys.platform == "darwin":  # Apple's GPU has no float64, and nothing was tested on it
            os.environ.setdefault("ACCELERATE_USE_CPU", "true")
        try:
            return super().invoke(ctx)
        except UserError as error:
            code, text, cause = 2, f"error: {error}", error
        except Preempted as error:
            code, cause = AGAIN, error
            text = "asked to stop; the same command continues from the last saved state"
        except KeyboardInterrupt as error:
            code, cause = 130, error
            text = "interrupted; finished work is kept, and the same command continues from there"
        typer.echo(text, err=True)
        raise typer.Exit(code) from cause


app = typer.Typer(
    cls=Commands,
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Compare augmentation strategies for document-level relation extraction fairly: "
    "train a grid of backbones x augmenters x seeds, score it, and make its tables.",
)
app.command()(run.demo)
app.command(cls=WithOverrides)(run.run)
app.command(cls=WithOverrides)(status.status)
app.command(cls=WithOverrides)(report.report)
app.command()(leaderboard.leaderboard)
app.command()(quality.quality)
app.command()(figures.figures)
app.command("list")(inspect.list_)
app.command()(inspect.check)
app.command()(score.score)
app.command()(compare.compare)
app.command()(predict.predict)
app.command()(push.push)
app.command("import-checkpoint")(import_checkpoint.import_checkpoint)
app.add_typer(data.app, name="data")
