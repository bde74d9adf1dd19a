"""Figures: where the marks stand, worked out by hand from the axis, and what is said to those who
cannot see them.
"""

import re
import xml.etree.ElementTree as ElementTree

import pytest

from benchmark.reports.svg import RelationChange, differences, paired_dots, relation_changes
from benchmark.reports.tables import Cell


def parsed(svg):
    return ElementTree.fromstring(svg)


def of_class(svg, tag, name):
    return [
        element for element in parsed(svg).iter(tag) if name in element.get("class", "").split()
    ]


def said(svg):
    return parsed(svg).find("desc").text


CHANGES = [
    RelationChange("rare", 3, 4.0),
    RelationChange("common", 500, -2.0),
    RelationChange("unknown", 60, None),
    RelationChange("same", 60, 0.0),
]


def test_relations_are_ordered_by_frequency_gains_up_and_losses_down():
    svg = relation_changes(CHANGES, "t")
    number = r"(-?[\d.]+)"
    bars = lambda name: [
        tuple(map(float, bar))
        for path in of_class(svg, "path", name)
        for bar in re.findall(rf"M{number} {number}h[\d.]+v{number}", path.get("d"))
    ]
    ((x_rare, _, rare),), ((x_common, _, common), (x_same, _, same)) = bars("gain"), bars("loss")
    assert x_common < x_same < x_rare and same == 0
    assert rare == pytest.approx(-2 * common, abs=0.2) and rare < 0  # upwards: y grows downwards


def test_relations_without_a_change_are_counted_not_drawn():
    svg = relation_changes(CHANGES, "t")
    text = said(svg)
    assert text.startswith(
        "1 of 3 relations gain, 1 lose, 1 stay the same. 1 without a defined F1 are left out."
    )
    names = [bar.find("title").text for bar in of_class(svg, "path", "gain")]
    assert names == ["rare, +4.0 points"]
    assert "Greatest gain: rare, +4.0 points. Greatest loss: common, −2.0 points." in text


def test_frequency_steps_stand_between_the_relations():
    frequencies = (300, 300, 100, 100)
    svg = relation_changes([RelationChange(str(i), f, 1.0) for i, f in enumerate(frequencies)], "t")
    (step,) = of_class(svg, "path", "step")
    assert step.get("d").startswith("M380.0 ")  # the middle of 44 ... 716
    labels = [text.text for text in of_class(svg, "text", "axis")]
    assert "201+" in labels and "51-200" in labels and "11-50" not in labels


def test_pairs_are_lines_from_none_to_the_augmenter():
    svg = paired_dots({"vae": {0: (50.0, 54.0), 1: (52.0, 51.0)}}, "t")
    up, down = of_class(svg, "g", "gain"), of_class(svg, "g", "loss")
    assert len(up) == len(down) == 1 and up[0].find("title").text == "seed 0: 50.00 to 54.00"
    (x0, y0), (x1, y1) = re.findall(r"[ML]([\d.]+) ([\d.]+)", up[0].find("path").get("d"))
    assert float(x0) < float(x1) and float(y1) < float(y0)
    assert said(svg) == "vae: higher than none for 1 of 2 seeds."


def test_intervals_and_points_stand_where_their_numbers_are():
    rows = [
        ("a", Cell({0: 0.5, 1: 1.5}), (0.5, 2.0)),
        ("b", Cell({0: -2.0, 1: 0.0}), (-2.0, 0.5)),
        ("c", Cell({0: -2.0}), None),
    ]
    svg = differences(rows, "t")
    zero = float(of_class(svg, "path", "zero")[0].get("d")[1:].split()[0])
    gain = of_class(svg, "path", "gain")[0].get("d")
    low, high = map(float, re.fullmatch(r"M([\d.]+) \d+H([\d.]+)", gain).groups())
    circles = list(parsed(svg).iter("circle"))
    points = [float(circle.get("cx")) - zero for circle in circles]
    places = [(low - zero) / points[0], (high - zero) / points[0], points[1] / points[0]]
    assert places == pytest.approx([0.5, 2.0, -1.0], abs=0.01)
    assert [circle.get("class") for circle in circles] == ["gain", "open", "hollow"]
    assert len(of_class(svg, "path", "tick")) == 4  # the seeds, where there are several
    assert "c: −2.00 (one seed: no interval)" in said(svg)
    assert "a: +1.00 [+0.50, +2.00]" in said(svg)


def test_what_does_not_move_is_neither_gain_nor_loss():
    svg = paired_dots({"vae": {0: (50.0, 50.0)}}, "t")
    assert len(of_class(svg, "g", "same")) == 1 and not of_class(svg, "g", "loss")
    svg = differences([("a", Cell({0: -0.001}), (-0.004, 0.004))], "t")
    assert said(svg) == "a: +0.00 [+0.00, +0.00]."


@pytest.mark.parametrize(
    "svg",
    [
        relation_changes([], "<t>"),
        relation_changes([RelationChange("<b>", 0, 0.0)], "<t>"),
        paired_dots({}, "<t>"),
        paired_dots({"<b>": {0: (1.0, 1.0)}}, "<t>"),
        differences([], "<t>"),
        differences([("<b>", Cell({0: 0.0}), None)], "<t>"),
    ],
)
def test_degenerate_and_hostile_input_is_still_a_picture(svg):
    element = parsed(svg)
    assert "nan" not in svg and "inf" not in svg and "style=" not in svg
    assert element.find("title").text == "<t>" and not list(element.iter("b"))
