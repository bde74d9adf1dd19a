"""The command line, in this process."""

from typer.testing import CliRunner, Result

from benchmark.commands.app import app


def invoke(*arguments: object, columns: int = 200) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)], env={"COLUMNS": str(columns)})
