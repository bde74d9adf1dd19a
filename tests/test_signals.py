"""Signals: at once where nothing can be saved, at the work's convenience where something can."""

import os
import signal

import pytest

from benchmark import signals


def send(number=signal.SIGTERM):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", signals.SIGNALS)
def test_a_signal_stops_at_once_where_nothing_holds_it_back(number):
    with signals.listening(), pytest.raises(signals.Preempted, match=signal.Signals(number).name):
        send(number)
        pytest.fail("went on")


def test_work_that_holds_it_back_is_told_and_stops_at_its_end():
    reached = False
    with signals.listening(), pytest.raises(signals.Preempted):
        with signals.held_back():
            assert not signals.received()
            with signals.held_back():  # the inner end is not the end
                send()
            assert signals.received() == "SIGTERM"
            reached = True
        pytest.fail("went on")
    assert reached


def test_an_error_of_the_work_is_not_hidden_by_a_signal():
    with signals.listening(), pytest.raises(ValueError, match="mine"), signals.held_back():
        send()
        raise ValueError("mine")


def test_the_handlers_before_come_back_and_an_old_signal_is_forgotten():
    before = signal.getsignal(signal.SIGTERM)
    with signals.listening(), pytest.raises(signals.Preempted):
        send()
    assert signal.getsignal(signal.SIGTERM) == before and not signals.received()
    with signals.held_back():
        pass
    with signals.listening():
        assert not signals.received()
