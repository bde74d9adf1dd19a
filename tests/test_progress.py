"""Progress: bars in a terminal, lines elsewhere, nothing when silent."""

import io

import pytest
from rich.console import Console

from benchmark.progress import LineProgress, LiveProgress, Progress, duration


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_lines_come_at_intervals_with_rate_numbers_and_time_left():
    clock, console = Clock(), Console(file=io.StringIO(), width=20)
    progress = LineProgress(console, interval=30, clock=clock)
    with progress.task("stage 1", total=100) as bar:
        for _ in range(10):
            clock.now += 5
            bar.advance(loss=1.2345678)
    # 6 steps in 30 s: 0.2 a second, 94 steps left: 470 s
    assert console.file.getvalue() == (
        "stage 1: 6/100 (0.2/s), loss 1.235, 7 min 50 s left\n"  # and never wrapped
        "stage 1: 10/100 in 50.0 s, loss 1.235\n"
    )


def test_steps_of_an_earlier_session_take_no_part_in_the_rate():
    clock, console = Clock(), Console(file=io.StringIO())
    progress = LineProgress(console, interval=30, clock=clock)
    with progress.task("stage 1", total=1000) as bar:
        bar.resume_at(900)
        clock.now += 40
        bar.advance(20)
    # 20 steps in 40 s: 80 are left
    assert "stage 1: 920/1000 (0.5/s), 2 min 40 s left" in console.file.getvalue()


def test_a_bar_in_a_terminal_goes_on_where_it_was():
    progress = Progress.for_console(Console(file=io.StringIO(), force_terminal=True, width=120))
    with progress.task("stage 1", total=1000) as bar:
        bar.resume_at(900)
        (task,) = progress._bars.tasks
        assert task.completed == 900 and bar.rate() == 0


def test_only_the_outermost_task_leaves_a_line():
    console = Console(file=io.StringIO())
    progress = LineProgress(console, clock=Clock())
    with progress.task("outer", total=1) as outer:
        with progress.task("inner", total=5) as inner:
            inner.advance(5)
        outer.advance()
    assert console.file.getvalue() == "outer: 1/1 in 0.0 s\n"


def test_a_task_that_raises_leaves_no_line_and_the_next_is_outermost_again():
    console = Console(file=io.StringIO())
    progress = LineProgress(console, clock=Clock())
    with pytest.raises(ValueError), progress.task("first", total=1):
        raise ValueError
    with progress.task("second", total=1):
        pass
    assert console.file.getvalue() == "second: 0/1 in 0.0 s\n"


def test_bars_in_a_terminal():
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    progress = Progress.for_console(console)
    assert isinstance(progress, LiveProgress)
    with progress.task("outer [0]", total=2) as outer:
        with progress.task("inner", total=4) as inner:
            inner.advance(3, loss=0.25)
            progress._bars.refresh()
            shown = console.file.getvalue()
            assert (
                "outer [0]" in shown
                and "  inner" in shown
                and "3/4" in shown
                and "loss 0.25" in shown
            )
        outer.advance(2)
        progress.message("a line [above]")
    assert "a line [above]" in console.file.getvalue()
    assert "outer [0]: 2/2 in" in console.file.getvalue().splitlines()[-1]
    with pytest.raises(ValueError), progress.task("again", total=1):
        raise ValueError
    with progress.task("and again", total=1):
        pass


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3599.4, "59 min 59 s"),
        (7800, "2 h 10 min"),
    ],
)
def test_duration(seconds, text):
    assert duration(seconds) == text
