"""Stopping politely: clusters send SIGTERM or SIGUSR1 some time before they take a machine away.

Work that can save its state holds the signal back (`held_back`) and looks for it where it can
(`received`); everything else stops at once. Either way the command ends with the exit code AGAIN:
run it again, and it goes on.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

AGAIN = 75  # EX_TEMPFAIL of sysexits.h
SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


class Preempted(KeyboardInterrupt):
    """The process was asked to stop, and what could be saved is saved. A KeyboardInterrupt, since
    nothing has failed.

    Its text is the signal's name: a worker is started again or not by what it says
    (benchmark/launch/worker.py).
    """

    def __init__(self, signal_name: str):
        super().__init__(signal_name)


_received: str | None = None  # name of the signal that was held back
_holding = 0


@contextlib.contextmanager
def listening(*also: signal.Signals) -> Iterator[None]:
    """Within it SIGTERM and SIGUSR1 raise Preempted, in this process and in no child of it; the
    handlers before come back after.

    Args:
        also: signals that are to do the same.
    """
    global _received
    _received, owner = None, os.getpid()

    def handle(number: int, _frame: object) -> None:
        global _received
        if os.getpid() != owner:
            raise SystemExit(128 + number)
        _received = signal.Signals(number).name
        if not _holding:
            raise Preempted(_received)

    before = {number: signal.signal(number, handle) for number in (*SIGNALS, *also)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _received = None


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """A signal that comes meanwhile waits: until the work asks for it (`received`), or the block
    ends.
    """
    global _holding
    _holding += 1
    try:
        yield
    finally:
        _holding -= 1
    if _received and not _holding:
        raise Preempted(_received)


def received() -> str | None:
    """The name of the signal that is waiting, if one is."""
    return _received
