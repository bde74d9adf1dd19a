"""Progress of long work: nested bars in a terminal, a line now and then elsewhere.

Code that works for long takes a `Progress` and need not know which kind it got::

    with progress.task("stage 1 atlop seed 0", total=steps) as bar:
        for batch in batches:
            bar.advance(loss=1.23)

Everything goes to standard error: a table on standard output can be piped on.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich import progress as rich_progress
from rich.console import Console


class Bar:
    """How far one task is."""

    def __init__(self, description: str, total: int, progress: Progress):
        self.description, self.total, self.progress = description, total, progress
        self.done = self.restored = 0
        self.numbers: dict[str, float] = {}
        self.started = self.spoke = progress.clock()

    def resume_at(self, done: int) -> None:
        """So many steps were done before this session; they take no part in the rate."""
        self.done = self.restored = done
        self.started = self.progress.clock()
        self.progress.bars.reset(self.progress.tasks[self], completed=done)

    def advance(self, n: int = 1, **numbers: float) -> None:
        """`n` further steps are done; `numbers` (loss=...) are shown beside the bar."""
        self.update_to(self.done + n, **numbers)

    def update_to(self, done: int, total: int | None = None, **numbers: float) -> None:
        """`done` steps of `total` are done; augmenters get this as `progress(done, total, ...)`."""
        self.done = done
        self.total = self.total if total is None else total
        self.numbers |= numbers
        self.progress.show(self)

    def rate(self) -> float:
        """Steps of this session per second; 0 while unknown."""
        seconds = self.progress.clock() - self.started
        return (self.done - self.restored) / seconds if seconds > 0 else 0.0

    def numbers_text(self) -> str:
        return ", ".join(f"{name} {value:.4g}" for name, value in self.numbers.items())

    def line(self, middle: str) -> str:
        """For example "stage 1: 6/100 in 50.0 s, loss 1.235"."""
        parts = (f"{self.description}: {self.done}/{self.total} {middle}", self.numbers_text())
        return ", ".join(filter(None, parts))


class Progress:
    """Bars if `console` is a terminal, else a line every `interval` seconds, for log files."""

    def __init__(self, console: Console, *, interval: float = 30.0, clock=time.monotonic):
        self.console, self.interval, self.clock = console, interval, clock
        self.bars = rich_progress.Progress(
            rich_progress.TextColumn("{task.description}", markup=False),
            rich_progress.BarColumn(bar_width=24),
            rich_progress.MofNCompleteColumn(),
            rich_progress.TextColumn("{task.fields[numbers]}", markup=False),
            rich_progress.TimeElapsedColumn(),
            rich_progress.TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self.tasks: dict[Bar, rich_progress.TaskID] = {}

    @staticmethod
    def silent() -> Progress:
        return Progress(Console(quiet=True, force_terminal=False))

    @staticmethod
    def for_console() -> Progress:
        """On standard error."""
        return Progress(Console(stderr=True))

    @contextmanager
    def task(self, description: str, total: int) -> Iterator[Bar]:
        """A piece of work of `total` steps. Tasks may be nested; the outermost leaves a line."""
        bar = Bar(description, total, self)
        if not self.tasks and self.console.is_terminal:
            self.bars.start()
        indented = "  " * len(self.tasks) + description
        self.tasks[bar] = self.bars.add_task(indented, total=total, numbers="")
        try:
            yield bar
        finally:
            self.bars.remove_task(self.tasks.pop(bar))
            if not self.tasks and self.console.is_terminal:
                self.bars.stop()
        if not self.tasks:
            self.message(bar.line(f"in {duration(self.clock() - bar.started)}"))

    def message(self, text: str) -> None:
        """A line for the reader, above any bars."""
        wrapped = self.console.is_terminal
        self.console.print(text, markup=False, highlight=False, soft_wrap=not wrapped)

    def show(self, bar: Bar) -> None:
        """How far a bar is now; in a log only when it is time for a line."""
        rate, now = bar.rate(), self.clock()
        numbers = f"{rate:.3g}/s  {bar.numbers_text()}"
        self.bars.update(self.tasks[bar], completed=bar.done, total=bar.total, numbers=numbers)
        if not self.console.is_terminal and now - bar.spoke >= self.interval:
            bar.spoke = now
            left = duration((bar.total - bar.done) / rate) if rate else "?"
            self.message(f"{bar.line(f'({rate:.3g}/s)')}, {left} left")


def duration(seconds: float) -> str:
    """Seconds as people say them: "8.4 s", "3 min 05 s", "2 h 10 min"."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    if seconds < 3599.5:
        return f"{round(seconds) // 60} min {round(seconds) % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"
