"""A run killed before each of its changes to the disk: `python tests/stress/writes.py`.

Between two changes to the results folder (a file appears, is replaced or removed, gets another
name) a kill leaves the same disk whenever it comes. So a run that survives SIGKILL before every one
of them survives it at any moment. Here a `none` run and a `vae` run that starts from it save their
training state after every step; a process is killed before a change, another goes on, and what is
there in the end must be what one process left that was never killed, file by file, bit for bit but
for times. Nor may the second
process train what was saved: both together save hardly more states than one did.

`--first 5 --step 15` tries the changes number 5, 20, 35 and so on only. Exit code 1, and what was
wrong, if anything was.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from tiny_grid import command, differences, forked, run_arguments, waited, write_experiment

CHANGES = {"os.rename": 1, "os.link": 1, "os.remove": 0, "os.mkdir": 0, "os.rmdir": 0}
"""Audit events of changes, and which of their arguments is the path."""
# states that may be saved again: the one that was not yet in place, and an epoch's, which is saved
# before and after dev
TWICE = 2
GRID = (
    "backbones=[atlop: {emb: 8, block: 4}]",
    "augmenters=[none, vae: {latent: 4, epochs: 4, warmup_epochs: 1, batch_size: 16}]",
    "seeds=[0]",
)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--step", type=int, default=1)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="writes-"))
    experiment = write_experiment(folder, documents=8, epochs=2)

    def lived(results: str, death: int | None) -> tuple[int, list[str]]:
        """The exit code of a process that was killed before that change (None: of one that was
        not), and the changes it made.
        """
        made = folder / "changes"
        made.write_text("")
        arguments = run_arguments(experiment, folder / results, GRID)
        watched = lambda: _watched(arguments, folder / results, made, death)
        return waited(forked(watched, folder / "log")), made.read_text().splitlines()

    saved = lambda changes: sum("checkpoint" in c and c.startswith("os.rename") for c in changes)
    code, whole = lived("whole", None)
    faults = [f"the run that nobody killed ended with exit code {code}"] if code else []
    points = range(options.first, len(whole), options.step)
    for point in points:
        code, before = lived("killed", point)
        if code != -signal.SIGKILL or len(before) != point:
            faults.append(f"{point}: not killed where it should be ({code}, {len(before)})")
        code, after = lived("killed", None)
        wrong = [f"exit code {code}"] if code else []
        if (states := saved(before) + saved(after)) > saved(whole) + TWICE:
            wrong.append(f"{states} states saved, not {saved(whole)}: trained again what was saved")
        wrong += differences(folder / "whole" / "stress", folder / "killed" / "stress")
        faults += [f"killed before '{whole[point]}': {fault}" for fault in wrong]
        shutil.rmtree(folder / "killed")
    done = f"{len(points)} of {len(whole)} changes: killed before it, continued"
    print(f"{done}; {len(faults)} faults")
    print("among them: " + ", ".join(whole[point] for point in points[:8]))
    print("\n".join(faults))
    if faults:
        print(f"log: {folder / 'log'}")
        return 1
    shutil.rmtree(folder)
    return 0


def _watched(arguments: list[str], results: Path, made: Path, death: int | None) -> int:
    """The command, telling its changes to `results` in the file `made`, and killed before the
    change number `death`.
    """
    record, done = open(made, "a", buffering=1), 0  # noqa: SIM115

    def hook(event: str, values: tuple) -> None:
        nonlocal done
        path = values[CHANGES[event]] if event in CHANGES else None
        if event == "open" and isinstance(values[2], int) and values[2] & (os.O_WRONLY | os.O_RDWR):
            path = values[0]
        if event == "os.remove" and not os.path.lexists(path):
            return
        path = os.fsdecode(path) if isinstance(path, (str, bytes, os.PathLike)) else ""
        if not path.startswith(str(results)) or path.endswith(".tmp"):  # what nobody reads
            return
        if done == death:
            os.kill(os.getpid(), signal.SIGKILL)
        done += 1
        record.write(f"{event} {os.path.relpath(path, results)}\n")

    sys.addaudithook(hook)
    return command(arguments)


if __name__ == "__main__":
    sys.exit(main())
