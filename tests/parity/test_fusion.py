"""The merging of inference-stage fusion against the official function, on made-up predictions."""

import numpy as np
import pytest
from parity_files import read

from benchmark.scoring.calibration import Ranking, tuned_threshold
from benchmark.scoring.merging import Scores, merged

SHAPE = (6, 5, 5, 9)  # documents, entities, entities, classes


@pytest.fixture(scope="module")
def arrays():
    return read("fusion")


def numbers(facts):
    return np.ravel_multi_index(facts.T, SHAPE)


def ours(arrays):
    both = (Scores(numbers(arrays[n]), arrays[f"{n}_scores"]) for n in ("documents", "pseudo"))
    return merged(*both)


def test_the_facts_above_a_threshold(arrays):
    found = ours(arrays)
    chosen = found.facts[found.values > arrays["tau"]]
    assert 0 < len(chosen) < len(found.facts)
    assert chosen.tolist() == sorted(numbers(arrays["merged"]))


def test_the_facts_at_the_threshold_that_is_tuned_on_dev(arrays):
    found, gold = ours(arrays), numbers(arrays["gold"])
    order = np.argsort(-found.values, kind="stable")
    hits = np.isin(found.facts[order], gold)
    names = np.full(len(order), "r", dtype=object)
    threshold = tuned_threshold(Ranking(found.values[order], hits, names, {"r": len(gold)}))
    # the official threshold is the score of the last fact that it takes
    later = found.values[found.values < arrays["dev_tau"]].max()
    assert later < threshold < arrays["dev_tau"] + 1e-9
    chosen = found.facts[found.values > threshold]
    assert chosen.tolist() == sorted(numbers(arrays["dev_merged"]))
