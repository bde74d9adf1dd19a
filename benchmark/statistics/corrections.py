"""Several comparisons: adjusted p-values of a family, and on how many datasets an effect was found.

The family is declared beforehand, so a comparison whose p is missing (a cell that failed or has not
run, an undefined score)
still counts: it takes the place of a p of 1, and its own adjusted value stays None. Leaving it out
    would reward failures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Correction = Callable[[Sequence[float | None]], list[float | None]]


def bonferroni(p_values: Sequence[float | None]) -> list[float | None]:
    """min(1, m p), in the order given; missing p-values (None or NaN) stay None and count in m.

    Raises ValueError, as all of these, for a p outside [0, 1].
    """
    p, missing = _family(p_values)
    return _listed(np.minimum(1.0, len(p) * p), missing)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down: the i-th smallest of m times m - i + 1, no smaller than those before; in
    the order given.

    Family-wise error under any dependence. These are also the partial conjunction p-values of Dror
    et al. 2017 (Bonferroni).
    """
    p, missing = _family(p_values)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return _listed(adjusted, missing)


def benjamini_hochberg(p_values: Sequence[float | None]) -> list[float | None]:
    """Benjamini-Hochberg's step-up for the false discovery rate, for exploration; in the order
    given.
    """
    p, missing = _family(p_values)
    if not len(p):
        return []
    from scipy.stats import false_discovery_control

    return _listed(false_discovery_control(p), missing)


CORRECTIONS: dict[str, Correction] = {
    "holm": holm,
    "bonferroni": bonferroni,
    "bh": benjamini_hochberg,
}


def datasets_with_effect(
    p_values: Sequence[float | None], *, alpha: float = 0.05, independent: bool = False
) -> int:
    """k-hat of Dror et al. 2017 (Q17-1033): with confidence 1 - alpha there is an effect on at
    least so many of the datasets.

    The default (Bonferroni) holds under any dependence, such as datasets that share documents, and
    is the number of Holm-adjusted p <= alpha, which also says on which. independent: combine the n
    - u + 1 largest p-values by Fisher's method instead, valid for independent datasets only, and
    stronger; it does not say on which.
    """
    if not independent:
        return sum(p is not None and p <= alpha for p in holm(p_values))
    p, _ = _family(p_values)
    if not len(p):
        return 0
    from scipy.stats import chi2

    ascending = np.sort(p)
    with np.errstate(divide="ignore"):  # a p of 0 gives a statistic of infinity and a p of 0
        statistics = (
            -2 * np.cumsum(np.log(ascending[::-1]))[::-1]
        )  # of the u-th smallest and all larger ones
    conjunction = np.maximum.accumulate(chi2.sf(statistics, 2 * np.arange(len(p), 0, -1)))
    return int((conjunction <= alpha).sum())


def _family(p_values: Sequence[float | None]) -> tuple[np.ndarray, np.ndarray]:
    """The p-values with 1 for missing ones, and which are missing."""
    p = np.array([np.nan if value is None else value for value in p_values], dtype=np.float64)
    missing = np.isnan(p)
    if ((p < 0) | (p > 1)).any():
        raise ValueError(f"p-values lie between 0 and 1, got {p[(p < 0) | (p > 1)].tolist()}")
    return np.where(missing, 1.0, p), missing


def _listed(adjusted: np.ndarray, missing: np.ndarray) -> list[float | None]:
    return [
        None if absent else float(value) for value, absent in zip(adjusted, missing, strict=True)
    ]
