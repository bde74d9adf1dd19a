"""Stopping politely: clusters send SIGTERM or SIGUSR1 some time before they take a machine away.

Work that can save its state holds the signal back (`held_back`) and looks for it at points of its
choice (`received`); everything else stops at once. Either way the command ends with the exit code
AGAIN: run it again, and it continues.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

AGAIN = 75  # EX_TEMPFAIL of sysexits.h
SIGNALS = (signal.SIGTERM, signal.SIGUSR1)

_received: str | None = None  # name of the signal that is held back
_holding = 0


class Preempted(KeyboardInterrupt):
    """The process was asked to stop, and what could be saved is saved.

    A KeyboardInterrupt, since nothing has failed. Its text is the signal's name, which decides
    whether a worker is started again (benchmark/launch/worker.py).
    """


@contextlib.contextmanager
def listening(*also: signal.Signals) -> Iterator[None]:
    """Make SIGTERM, SIGUSR1 and those in `also` raise Preempted, in this process only.

    Child processes end on them. The earlier handlers come back afterwards.
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
    """Hold a signal back until the block ends; meanwhile `received` tells of it."""
    global _holding
    _holding += 1
    try:
        yield
    finally:
        _holding -= 1
    if _received and not _holding:
        raise Preempted(_received)


def received() -> str | None:
    """The name of the signal that is held back, if there is one."""
    return _received
