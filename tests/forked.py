"""Commands in processes that are forked from one that has imported everything.

An interpreter takes seconds to import torch and transformers; a fork begins at once. As a script,
this file takes orders from standard input, one JSON object a line, and forks for each of them.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


class Forks:
    """A context manager; `environment` is that of the imports and of all commands."""

    def __init__(self, **environment: str):
        self.environment = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"} | environment

    def __enter__(self) -> Forks:
        command, environment = [sys.executable, __file__], os.environ | self.environment
        self._server = subprocess.Popen(
            command, stdin=subprocess.PIPE, text=True, cwd=ROOT, env=environment
        )
        return self

    def __exit__(self, *_) -> None:
        self._server.stdin.close()
        self._server.wait(60)

    def start(self, arguments: list[str], output: Path, **environment: str) -> Fork:
        """The command line with these arguments; what it writes goes to the new file `output`."""
        order = {"arguments": arguments, "output": str(output), "environment": environment}
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        return Fork(output)


@dataclass(frozen=True)
class Fork:
    output: Path

    def poll(self) -> int | None:
        """The exit code (of one that was killed: the signal, negative); None while it runs."""
        file = Path(f"{self.output}.code")
        return int(file.read_text()) if file.exists() else None

    @property
    def pid(self) -> int:
        return int(Path(f"{self.output}.pid").read_text())

    def wait(self, seconds: float = 300) -> tuple[int, str]:
        """Its exit code and what it wrote."""
        deadline = time.monotonic() + seconds
        while (code := self.poll()) is None:
            assert time.monotonic() < deadline, "the command does not end"
            time.sleep(0.02)
        return code, self.output.read_text()


def _serve() -> None:
    sys.path.insert(0, str(ROOT))
    import benchmark.training.stages  # noqa: F401
    from benchmark.commands.app import app
    from benchmark.registry import ENCODERS

    ENCODERS["tiny"]
    gc.freeze()
    for line in sys.stdin:
        if os.fork() == 0:
            _supervise(app, **json.loads(line))
        with contextlib.suppress(ChildProcessError):  # those that have ended
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _supervise(app, arguments: list[str], output: str, environment: dict[str, str]) -> None:
    """Run the command in a process of its own, and write its exit code when it has ended."""
    if (pid := os.fork()) == 0:
        os.environ |= environment
        file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        for standard in (1, 2):
            os.dup2(file, standard)
        code = 70
        try:
            app(arguments, prog_name="run_benchmark.py")
        except SystemExit as end:
            code = end.code or 0
        except BaseException:  # a fork must not go on as the server
            traceback.print_exc()
        finally:
            sys.stdout.flush(), sys.stderr.flush()
            os._exit(code)
    Path(f"{output}.pid").write_text(str(pid))
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    Path(f"{output}.part").write_text(str(code))
    os.rename(f"{output}.part", f"{output}.code")
    os._exit(0)


if __name__ == "__main__":
    _serve()
