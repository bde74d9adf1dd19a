"""Progress: bars in a terminal, lines elsewhere, nothing when silent."""

import io

import pytest
from rich.console import Console

from benchmark.progress import Progress, duration


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def lines(clock):
    return Progress(Console(file=io.StringIO(), width=20), interval=30, clock=clock)


@pytest.fixture
def live():
    return Progress(Console(file=io.StringIO(), force_terminal=True, width=120))


def test_lines_come_at_intervals_with_rate_numbers_and_time_left(clock, lines):
    with lines.task("stage 1", total=100) as bar:
        for _ in range(10):
            clock.now += 5
            bar.advance(loss=1.2345678)
    # 6 steps in 30 s: 0.2 a second, 94 steps left: 470 s
    assert lines.console.file.getvalue() == (
        "stage 1: 6/100 (0.2/s), loss 1.235, 7 min 50 s left\n"  # and never wrapped
        "stage 1: 10/100 in 50.0 s, loss 1.235\n"
    )


def test_steps_of_an_earlier_session_take_no_part_in_the_rate(clock, lines, live):
    with lines.task("stage 1", total=1000) as bar:
        bar.resume_at(900)
        clock.now += 40
        bar.advance(20)
    # 20 steps in 40 s: 80 are left
    assert "stage 1: 920/1000 (0.5/s), 2 min 40 s left" in lines.console.file.getvalue()
    with live.task("stage 1", total=1000) as bar:
        bar.resume_at(900)
        (task,) = live.bars.tasks
        assert task.completed == 900 and bar.rate() == 0


def test_the_outermost_task_alone_leaves_a_line_and_none_if_it_raises(lines):
    with pytest.raises(ValueError), lines.task("first", total=1):
        raise ValueError
    with lines.task("outer", total=1) as outer:
        with lines.task("inner", total=5) as inner:
            inner.advance(5)
        outer.advance()
    assert lines.console.file.getvalue() == "outer: 1/1 in 0.0 s\n"


def test_bars_in_a_terminal(live):
    file = live.console.file
    with live.task("outer [0]", total=2) as outer:
        with live.task("inner", total=4) as inner:
            inner.advance(3, loss=0.25)
            live.bars.refresh()
            shown = file.getvalue()
            assert all(text in shown for text in ("outer [0]", "  inner", "3/4", "loss 0.25"))
        outer.advance(2)
        live.message("a line [above]")
    assert "a line [above]" in file.getvalue()
    assert "outer [0]: 2/2 in" in file.getvalue().splitlines()[-1]
    with pytest.raises(ValueError), live.task("again", total=1):
        raise ValueError
    with live.task("and again", total=1):
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
