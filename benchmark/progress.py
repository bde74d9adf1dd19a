"""Progress of long work: nested bars in a terminal, a line now and then elsewhere.

Code that works for long takes a `Progress` and need not know which kind it got::

    with progress.task("stage 1 atlop seed 0", total=steps) as bar:
        for batch in batches:
            bar.advance(loss=1.23)

Everything goes to standard error: a table on standard output can be piped on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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
        self.progress._resume(self)

    def advance(self, n: int = 1, **numbers: float) -> None:
        """`n` further steps are done; `numbers` (loss=...) are shown beside the bar."""
        self.update_to(self.done + n, **numbers)

    def update_to(self, done: int, total: int | None = None, **numbers: float) -> None:
        """`done` steps of `total` are done; augmenters get this as `progress(done, total, ...)`."""
        self.done = done
        self.total = self.total if total is None else total
        self.numbers |= numbers
        self.progress._show(self)

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
    """The silent kind, and the base of the others."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self.clock = clock
        self._depth = 0

    @staticmethod
    def silent() -> Progress:
        return Progress()

    @staticmethod
    def for_console(console: Console | None = None) -> Progress:
        """Bars if `console` (default: standard error) is a terminal, else lines."""
        console = console or Console(stderr=True)
        return LiveProgress(console) if console.is_terminal else LineProgress(console)

    @contextmanager
    def task(self, description: str, total: int) -> Iterator[Bar]:
        """A piece of work of `total` steps. Tasks may be nested; the outermost leaves a line."""
        bar = Bar(description, total, self)
        self._begin(bar)
        self._depth += 1
        try:
            yield bar
        finally:
            self._depth -= 1
            self._end(bar)
        if self._depth == 0:
            self.message(bar.line(f"in {duration(self.clock() - bar.started)}"))

    def message(self, text: str) -> None:
        """A line for the reader, above any bars."""

    def _begin(self, bar: Bar) -> None: ...

    def _show(self, bar: Bar) -> None: ...

    def _resume(self, bar: Bar) -> None: ...

    def _end(self, bar: Bar) -> None: ...


class LineProgress(Progress):
    """A line every `interval` seconds: for log files."""

    def __init__(self, console: Console, *, interval: float = 30.0, clock=time.monotonic):
        super().__init__(clock)
        self.console, self.interval = console, interval

    def message(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _show(self, bar: Bar) -> None:
        if (now := self.clock()) - bar.spoke >= self.interval:
            bar.spoke, rate = now, bar.rate()
            left = duration((bar.total - bar.done) / rate) if rate else "?"
            self.message(f"{bar.line(f'({rate:.3g}/s)')}, {left} left")


class LiveProgress(Progress):
    """rich's bars, nested."""

    def __init__(self, console: Console):
        from rich import progress as rich_progress

        super().__init__()
        self._bars = rich_progress.Progress(
            rich_progress.TextColumn("{task.description}", markup=False),
            rich_progress.BarColumn(bar_width=24),
            rich_progress.MofNCompleteColumn(),
            rich_progress.TextColumn("{task.fields[numbers]}", markup=False),
            rich_progress.TimeElapsedColumn(),
            rich_progress.TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._tasks: dict[Bar, rich_progress.TaskID] = {}

    def message(self, text: str) -> None:
        self._bars.console.print(text, markup=False, highlight=False)

    def _begin(self, bar: Bar) -> None:
        if self._depth == 0:
            self._bars.start()
        indented = "  " * self._depth + bar.description
        self._tasks[bar] = self._bars.add_task(indented, total=bar.total, numbers="")

    def _show(self, bar: Bar) -> None:
        numbers = f"{bar.rate():.3g}/s  {bar.numbers_text()}"
        self._bars.update(self._tasks[bar], completed=bar.done, total=bar.total, numbers=numbers)

    def _resume(self, bar: Bar) -> None:
        self._bars.reset(self._tasks[bar], completed=bar.done)

    def _end(self, bar: Bar) -> None:
        self._bars.remove_task(self._tasks.pop(bar))
        if self._depth == 0:
            self._bars.stop()


def duration(seconds: float) -> str:
    """Seconds as people say them: "8.4 s", "3 min 05 s", "2 h 10 min"."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    if seconds < 3599.5:
        return f"{round(seconds) // 60} min {round(seconds) % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"
