"""Several comparisons: adjusted p-values of a family, and in how many settings there is an effect.

The family is declared beforehand. So a comparison whose p is missing (a cell that failed or has not
run, an undefined score) counts as a p of 1: leaving it out would reward failures.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction, in the order given; a missing p stays None.

    The i-th smallest of m values is multiplied by m - i + 1 and is no smaller than those before it.
    This controls the family-wise error under any dependence. The results are also the partial
    conjunction p-values of Dror et al. 2017 (Bonferroni).
    """
    p = np.array([1.0 if value is None else value for value in p_values])
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return [
        None if value is None else float(corrected)
        for value, corrected in zip(p_values, adjusted, strict=True)
    ]


def datasets_with_effect(p_values: Sequence[float | None], *, alpha: float = 0.05) -> int:
    """k-hat of Dror et al. 2017 (Q17-1033): at least so many datasets show an effect.

    This is so with confidence 1 - alpha under any dependence, such as datasets that share
    documents. It is the number of Holm-adjusted p <= alpha, which also says on which.
    """
    return sum(p is not None and p <= alpha for p in holm(p_values))
