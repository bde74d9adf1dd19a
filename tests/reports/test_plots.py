"""Figures by matplotlib: what is shown of a sample, and that files are whole and repeatable."""

import numpy as np
import pytest

from benchmark.errors import UserError
from benchmark.reports.plots import FORMATS, Sample, generated_pairs, relation_frequency

RELATIONS = [("P1", "first"), ("P2", "P2"), ("P3", "costs $5"), ("P4", "never")]
LABELS = {"real": [[0], [0, 1], [1, 2], [0], [2]], "generated": [[0], [0, 1], [1, 2], [0], [1]]}


def sample(frequent=()):
    rng = np.random.default_rng(0)
    content = {
        kind: {"rows": rng.normal(size=(5, 3)).tolist(), "labels": labels}
        for kind, labels in LABELS.items()
    }
    return Sample.of_json(content, RELATIONS, frequent)


def test_rare_relations_with_most_real_pairs_come_first():
    assert sample().shown == [0, 1, 2]  # 3, 2 and 2 real pairs
    assert sample(frequent=("P1",)).shown == [1, 2]


def test_a_pair_has_the_colour_of_its_rarest_relation():
    rows, colour = sample().members("real")
    assert rows.shape == (5, 3) and colour.tolist() == [0, 1, 2, 0, 2]
    rows, colour = sample(frequent=("P1", "P3")).members("real")
    assert (rows == sample().rows["real"][1:3]).all() and colour.tolist() == [0, 0]


def test_the_same_numbers_give_the_same_files(tmp_path):
    for name in ("a", "b"):
        files = generated_pairs(sample(), "a <title> of $\\x$", tmp_path / name)
        assert [file.name for file in files] == [f"{name}.{ending}" for ending in FORMATS]
    for ending, start in zip(FORMATS, (b"\x89PNG", b"<?xml"), strict=True):
        a, b = ((tmp_path / f"{name}.{ending}").read_bytes() for name in ("a", "b"))
        assert a == b and a.startswith(start)


def test_too_few_pairs_are_told(tmp_path):
    with pytest.raises(UserError, match="0 pairs .* too few"):
        generated_pairs(sample(frequent=("P1", "P2", "P3")), "", tmp_path / "few")


def test_frequencies_of_two_datasets(tmp_path):
    data = {"one": ({"P1": 30, "P2": 10}, ["P1"]), "two": ({f"r{i}": i for i in range(40)}, None)}
    (_, svg) = relation_frequency(data, dict(RELATIONS), tmp_path / "frequency")
    text = svg.read_text()
    relation_frequency({"$\\x$": ({"P1": 1}, None)}, {}, tmp_path / "no_formula")
    assert (
        "one: 40 facts, 2 relations" in text
        and "1 frequent relations: 75% of the facts" in text
        and "two: 780 facts" in text
    )
