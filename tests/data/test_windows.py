"""How documents are laid into windows."""

import numpy as np
import pytest

from benchmark.data.windows import WindowPlan


@pytest.mark.parametrize("tokens", [0, 10, 11, 18, 57, 1000])
@pytest.mark.parametrize("overlap", [0, 2, 50])
def test_window_starts(tokens, overlap):
    starts = WindowPlan(12, overlap, 1, 2, 0).starts(tokens)
    ends = np.minimum(starts + 10, tokens)
    assert starts[0] == 0 and ends[-1] == tokens
    shared = ends[:-1] - starts[1:]
    assert (shared >= min(overlap, 5)).all() and (np.diff(starts) > 0).all()


def test_without_overlap_up_to_two_windows_are_the_official_ones():
    # the first and the last 510 tokens
    assert WindowPlan(512, 0, 1, 2, 0).starts(900).tolist() == [0, 390]
