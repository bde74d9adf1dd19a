"""How documents are laid into an encoder's windows, whatever their length."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class WindowPlan:
    """The windows of an encoder."""

    size: int  # positions of one window, special tokens included
    # least number of tokens that neighbouring windows share, half a window at most; 0 with
    # documents of up to two windows is the official layout
    overlap: int
    start: int  # id of the special token before the text
    end: int  # and of the one after it
    pad: int
    # ids of further tokens in every window, after the text and its end; not in the repr: an
    # encoder's settings and weights already put them into a cache's key
    appended: tuple[int, ...] = field(default=(), repr=False)

    @property
    def after(self) -> tuple[int, ...]:
        """The ids that follow the text in a window."""
        return (self.end, *self.appended, self.end) if self.appended else (self.end,)

    @property
    def room(self) -> int:
        """How much text fits a window."""
        return self.size - 1 - len(self.after)

    def starts(self, tokens: int) -> np.ndarray:
        """First token of each window: as few windows as the overlap allows, evenly spread, the last
        one flush with the end.
        """
        room = self.room
        if tokens <= room:
            return np.zeros(1, dtype=np.int64)
        # a token in more than two windows would cost much and tell little
        overlap = min(self.overlap, room // 2)
        count = max(2, math.ceil((tokens - overlap) / (room - overlap)))
        return np.linspace(0, tokens - room, count).round().astype(np.int64)
