"""Progress of long work: nested bars with rate, loss and time left in a terminal, a line now and
then elsewhere, nothing in tests.

Code that works for long takes a `Progress` and need not know which it got::

    with progress.task("stage 1 atlop seed 0", total=steps) as bar:
        for batch in batches:
            bar.advance(loss=1.23)

Everything goes to standard error, so that a table on standard output can be piped on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console


class Bar:
    """How far one task is; the base of what `Progress.task` yields. Shows nothing itself."""

    def __init__(self, description: str, total: int):
        self.description, self.total = description, total
        self.done = 0
        self.numbers: dict[str, float] = {}

    def advance(self, n: int = 1, **numbers: float) -> None:
        """`n` further steps are done; `numbers` (loss=...) are shown beside the bar."""
        self.update_to(self.done + n, self.total, **numbers)

    def update_to(self, done: int, total: int | None = None, **numbers: float) -> None:
        """`done` steps of `total` are done: the callable `progress(done, total, **numbers)` that
        augmenters take.
        """
        self.done = done
        self.total = self.total if total is None else total
        self.numbers |= numbers
        self._show()

    def _show(self) -> None:
        pass


class Progress:
    """The silent kind, and the base of the others."""

    @staticmethod
    def silent() -> Progress:
        return Progress()

    @staticmethod
    def for_console(console: Console | None = None) -> Progress:
        """Bars where `console` (default: standard error) is a terminal, else lines."""
        console = console or Console(stderr=True)
        return LiveProgress(console) if console.is_terminal else LineProgress(console)

    @contextmanager
    def task(self, description: str, total: int) -> Iterator[Bar]:
        """A piece of work of `total` steps; tasks may be nested."""
        yield Bar(description, total)

    def message(self, text: str) -> None:
        """A line for the reader, above any bars."""


class LineProgress(Progress):
    """A line every `interval` seconds, and one when an outermost task ends: for log files."""

    def __init__(
        self,
        console: Console,
        *,
        interval: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.console, self.interval, self.clock = console, interval, clock
        self._depth = 0

    @contextmanager
    def task(self, description: str, total: int) -> Iterator[Bar]:
        bar = _LineBar(description, total, self)
        self._depth += 1
        try:
            yield bar
        finally:
            self._depth -= 1
        if self._depth == 0:
            self.message(bar.last_line())

    def message(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


class _LineBar(Bar):
    def __init__(self, description: str, total: int, owner: LineProgress):
        super().__init__(description, total)
        self.owner = owner
        self.started = self.spoke = owner.clock()

    def _show(self) -> None:
        now = self.owner.clock()
        if now - self.spoke >= self.owner.interval:
            self.spoke = now
            rate = self.done / (now - self.started)
            left = duration((self.total - self.done) / rate) if rate > 0 else "?"
            self.owner.message(
                f"{self.description}: {self.done}/{self.total} ({rate:.3g}/s){numbers_text(self.numbers, ', ')}, {left} left"
            )

    def last_line(self) -> str:
        spent = duration(self.owner.clock() - self.started)
        return f"{self.description}: {self.done}/{self.total} in {spent}{numbers_text(self.numbers, ', ')}"


class LiveProgress(Progress):
    """rich's bars, nested; an outermost task leaves one line behind when it ends."""

    def __init__(self, console: Console):
        from rich import progress as rich_progress

        self.console = console
        self._bars = rich_progress.Progress(
            rich_progress.TextColumn("{task.fields[indent]}{task.description}", markup=False),
            rich_progress.BarColumn(bar_width=24),
            rich_progress.MofNCompleteColumn(),
            rich_progress.TextColumn("{task.fields[rate]}", markup=False),
            rich_progress.TextColumn("{task.fields[numbers]}", markup=False),
            rich_progress.TimeElapsedColumn(),
            rich_progress.TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._depth = 0

    @contextmanager
    def task(self, description: str, total: int) -> Iterator[Bar]:
        if self._depth == 0:
            self._bars.start()
        identity = self._bars.add_task(
            description, total=total, indent="  " * self._depth, rate="", numbers=""
        )
        bar = _LiveBar(description, total, self._bars, identity)
        self._depth += 1
        finished = False
        try:
            yield bar
            finished = True
        finally:
            self._depth -= 1
            self._bars.remove_task(identity)
            if self._depth == 0:
                self._bars.stop()
        if finished and self._depth == 0:
            spent = duration(time.monotonic() - bar.started)
            self.message(
                f"{description}: {bar.done}/{bar.total} in {spent}{numbers_text(bar.numbers, ', ')}"
            )

    def message(self, text: str) -> None:
        self._bars.console.print(text, markup=False, highlight=False)


class _LiveBar(Bar):
    def __init__(self, description: str, total: int, bars, identity):
        super().__init__(description, total)
        self.bars, self.identity = bars, identity
        self.started = time.monotonic()

    def _show(self) -> None:
        seconds = time.monotonic() - self.started
        rate = f"{self.done / seconds:.3g}/s" if seconds > 0 else ""
        numbers = numbers_text(self.numbers)
        self.bars.update(
            self.identity, completed=self.done, total=self.total, rate=rate, numbers=numbers
        )


def numbers_text(numbers: dict[str, float], before: str = "") -> str:
    """{"loss": 1.23456, "f1": 0.5} as "loss 1.235, f1 0.5", led by `before` where there is anything
    to show.
    """
    return (
        before + ", ".join(f"{name} {value:.4g}" for name, value in numbers.items())
        if numbers
        else ""
    )


def duration(seconds: float) -> str:
    """Seconds as people say them: "8.4 s", "3 min 05 s", "2 h 10 min"."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    if seconds < 3599.5:
        return f"{round(seconds) // 60} min {round(seconds) % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"
