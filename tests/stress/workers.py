"""Many workers on one grid, killed at random: `python tests/stress/workers.py --workers 8 --seconds
120 --seed 0`.

First the serial command runs the grid, undisturbed. Then 8 `run` commands work on one shared
results folder. Every two seconds or so a random one is killed (SIGKILL; every fourth time SIGTERM,
SIGUSR1 or SIGINT), and whichever ends is replaced. After the time is up, they finish. Then the
shared folder must be the serial one, file by file, bit for bit but for times; each DONE must have
been written once and never touched again; files that are nobody's must still be there; no marker,
temporary file or training state may be left.

Exit code 1, and what was wrong, if anything was. `--set` changes the grid, e.g. `--set
encoder.freeze=all` for a shared cache.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tiny_grid import command, differences, forked, jobs, run_arguments, waited, write_experiment

from benchmark.grid.plan import Job
from benchmark.store.runs import RunDirectory
from benchmark.training import stages

EXIT_CODES = (0, 1, 75, 130)  # all done; others are at work; asked to stop; interrupted
POLITE = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
NOBODYS = ("notes.txt", ".hidden", "checkpoint.safetensors.old")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=120.0, help="how long workers are killed")
    parser.add_argument("--pause", type=float, default=2.0, help="between kills, on average")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--documents", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="stress-"))
    experiment = write_experiment(folder, documents=options.documents, epochs=options.epochs)
    began = time.monotonic()
    serial = run_arguments(experiment, folder / "serial", options.overrides)
    if waited(forked(lambda: command(serial), folder / "serial.log")):
        print(f"the serial command failed: {folder / 'serial.log'}")
        return 1
    print(f"serial: {time.monotonic() - began:.0f} s", flush=True)
    stress = Stress(experiment, folder, options)
    try:
        stress.run()
    finally:
        stress.end_all()
    faults = [*stress.faults]
    faults += differences(folder / "serial" / "stress", folder / "shared" / "stress")
    print(json.dumps(stress.figures))
    print("\n".join(faults) or "every run is done, once, and equals the serial one")
    if faults:
        print(f"everything is kept in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


class Stress:
    """The workers on the shared folder, and the watch over it.

    faults: what must not be, in words. figures: how much of what has happened.
    """

    def __init__(self, experiment: Path, folder: Path, options: argparse.Namespace):
        self.folder, self.options, self.rng = folder, options, random.Random(options.seed)
        self.arguments = run_arguments(experiment, folder / "shared", options.overrides)
        self.jobs: list[Job] = jobs(experiment, folder / "shared", options.overrides)
        self.events, self.log = folder / "events", folder / "workers.log"
        self.events.touch()
        self.workers: set[int] = set()
        self.killed: Counter[str] = Counter()
        self.ended: Counter[int] = Counter()
        self.seen: dict[Path, tuple[int, int]] = {}  # DONE -> its inode and time of writing
        self.faults: list[str] = []
        for job in self.jobs:
            job.directory.path.mkdir(parents=True)
            for name in NOBODYS:
                (job.directory.path / name).write_text(name)

    def run(self) -> None:
        _record_events(self.events)
        began = time.monotonic()
        kill_at = began + self.options.pause
        done = False
        while self.workers or not done:  # at last the workers find everything done
            now = time.monotonic()
            if now - began > 20 * self.options.seconds + 600:
                self.faults.append("the workers do not come to an end")
                break
            done = all(job.directory.state() == "done" for job in self.jobs)
            while not done and len(self.workers) < self.options.workers:
                self.workers.add(forked(lambda: command(self.arguments), self.log))
            if not done and now >= kill_at and now - began < self.options.seconds:
                self._kill()
                kill_at = now + self.rng.uniform(0, 2 * self.options.pause)
            self._reap()
            self._watch()
            time.sleep(0.02)
        self.seconds = time.monotonic() - began
        self._conclude()

    def end_all(self) -> None:
        """Leave no worker behind."""
        for pid in self.workers:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    def _kill(self) -> None:
        victim = self.rng.choice(sorted(self.workers))
        number = signal.SIGKILL if self.rng.random() < 0.75 else self.rng.choice(POLITE)
        os.kill(victim, number)
        self.killed[signal.Signals(number).name] += 1

    def _reap(self) -> None:
        for pid in sorted(self.workers):
            gone, status = os.waitpid(pid, os.WNOHANG)
            if gone:
                self.workers.remove(pid)
                self.ended[os.waitstatus_to_exitcode(status)] += 1

    def _watch(self) -> None:
        """A DONE that is there stays, as it is."""
        for job in self.jobs:
            marker = job.directory.path / "DONE"
            try:
                found = (marker.stat().st_ino, marker.stat().st_mtime_ns)
            except FileNotFoundError:
                if marker in self.seen:
                    self.faults.append(f"{marker} is gone again")
                continue
            if self.seen.setdefault(marker, found) != found:
                self.faults.append(f"{marker} was written twice")

    def _conclude(self) -> None:
        for job in self.jobs:
            for name in NOBODYS:
                if (job.directory.path / name).read_text() != name:
                    self.faults.append(f"{job.directory.path / name} was changed")
                (job.directory.path / name).unlink()
            if damage := job.directory.damage():
                self.faults.append(damage)
        log = self.log.read_text()
        strange = {code for code in self.ended if code >= 0 and code not in EXIT_CODES}
        if strange or "Traceback" in log or "\nfailed " in log:
            self.faults.append(f"a worker or a run failed (exit codes {strange}): {self.log}")
        lines = [json.loads(line) for line in self.events.read_text().splitlines()]
        starts = [line for line in lines if line["event"] == "start"]
        times = {
            kind: Counter(line["run"] for line in lines if line["event"] == kind)
            for kind in ("start", "trained", "done")
        }
        twice = {run: n for run, n in times["done"].items() if n > 1}
        self.faults += [f"{run} was finished {n} times" for run, n in twice.items()]
        taken_over = [start for start in starts if start["before"] == "killed"]
        self.figures = {
            "runs": len(self.jobs),
            "seconds": round(self.seconds),
            "kills": dict(self.killed),
            "starts of a run": len(starts),
            "taken over": len(taken_over),
            "of these from a training state": sum(e["checkpoint"] for e in taken_over),
            "most starts of one run": max(times["start"].values()),
            "trained to the end more than once": sum(n > 1 for n in times["trained"].values()),
            "workers": sum(self.ended.values()),
            "left alone because another worked on it": log.count("another process works on it"),
            "lost the race for a run": log.count("another process has just taken it"),
        }


def _record_events(events: Path) -> None:
    """Have the workers, forked from here, tell when they start, have trained, and finish a run."""
    start, execute, finish = RunDirectory.start, stages.train_run, RunDirectory.finish

    def tell(directory: RunDirectory, event: str, **more: object) -> None:
        line = {"event": event, "run": "/".join(directory.path.parts[-3:]), **more}
        with open(events, "a", buffering=1) as file:
            file.write(json.dumps(line) + "\n")

    def told_start(directory, *arguments, **options):
        before = start(directory, *arguments, **options)
        state = (directory.path / "checkpoint.safetensors").exists()
        tell(directory, "start", before=before, checkpoint=state)
        return before

    def told_execute(run, directory, **options):
        execute(run, directory, **options)
        tell(directory, "trained")

    def told_finish(directory):
        finish(directory)
        tell(directory, "done")

    RunDirectory.start, RunDirectory.finish = told_start, told_finish
    stages.train_run = told_execute


if __name__ == "__main__":
    sys.exit(main())
