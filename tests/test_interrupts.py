"""Signals: at once where nothing can be saved, at the work's convenience where something can."""

import os
import signal

import pytest

from benchmark import interrupts


def send(number=signal.SIGTERM):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", interrupts.SIGNALS)
def test_a_signal_stops_at_once_where_nothing_holds_it_back(number):
    with interrupts.listening(), pytest.raises(interrupts.Preempted, match=signal.Signals(number).name):
        send(number)
        pytest.fail("went on")


def test_work_that_holds_it_back_is_told_and_stops_at_its_end():
    reached = False
    with interrupts.listening(), pytest.raises(interrupts.Preempted):
        with interrupts.held_back():
            assert not interrupts.received()
            with interrupts.held_back():  # the inner end is not the end
                send()
            assert interrupts.received() == "SIGTERM"
            reached = True
        pytest.fail("went on")
    assert reached


def test_without_a_signal_nothing_happens():
    with interrupts.listening(), interrupts.held_back():
        assert not interrupts.received()


def test_an_error_of_the_work_is_not_hidden_by_a_signal():
    with interrupts.listening(), pytest.raises(ValueError, match="mine"), interrupts.held_back():
        send()
        raise ValueError("mine")


def test_the_handlers_before_come_back_and_an_old_signal_is_forgotten():
    before = signal.getsignal(signal.SIGTERM)
    with interrupts.listening(), pytest.raises(interrupts.Preempted):
        send()
    assert signal.getsignal(signal.SIGTERM) == before and not interrupts.received()
    with interrupts.held_back():
        pass
    with interrupts.listening():
        assert not interrupts.received()
