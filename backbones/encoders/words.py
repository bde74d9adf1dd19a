"""One token for each word: the tokenizer of encoders that are not pretrained on wordpieces."""

import json
from collections import Counter
from collections.abc import Iterable

from benchmark.data.windows import WindowPlan

MARKER = "*"  # around mentions
PAD, UNKNOWN, START, END = range(4)


class WordTokenizer:
    """The most frequent words of the training sentences; all others share one id.

    Made again from its own `words`, it is the same.

    Args:
        sentences: lists of words.
        most: number of words kept.
        least: how often a word must be seen to be kept.
        lower: words are the same in capitals and small letters.
    """

    def __init__(
        self,
        sentences: Iterable[list[str]],
        most: int = 50_000,
        *,
        least: int = 1,
        lower: bool = False,
    ):
        self.form = str.lower if lower else str
        counts = Counter(
            self.form(word) for sentence in sentences for word in sentence if word != MARKER
        )
        common = counts.most_common(most)  # ties: the first seen first
        self.words = [word for word, count in common if count >= least]
        self.ids = {word: number for number, word in enumerate([MARKER, *self.words], END + 1)}

    def __len__(self) -> int:
        """The number of ids, special tokens included."""
        return END + 1 + len(self.ids)

    def __call__(self, word: str) -> list[int]:
        return [self.ids.get(self.form(word), UNKNOWN)]

    @property
    def key(self) -> str:
        return json.dumps(self.words) + ("lower" if self.form is str.lower else "")

    def windows(self, size: int = 100_000, overlap: int = 128) -> WindowPlan:
        """Windows with this tokenizer's special tokens."""
        return WindowPlan(size, overlap, START, END, PAD)
