"""A reader of the paper finds its equations and its algorithm in the code by searching for "Eq.
(24)" or "Algorithm 1".
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("augmenters", "backbones", "benchmark")
SOURCES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]


def prose(path: Path) -> str:
    """The file on one line, without the marks of comments, so that wrapping hides nothing."""
    return " ".join(path.read_text(encoding="utf-8").replace("#", " ").split())


TEXT = " ".join(map(prose, SOURCES))
# Eq. (1)-(9) are the method's, (18)-(29) the baseline's; (10)-(17) are background, (30)-(32) a
# derivation
EQUATIONS = [*range(1, 10), *range(18, 30)]
LINES = {
    "1-2": "a batch is drawn",
    "3-7": "warm-up",
    "8-28": "denoising",
    "11-18": "self-conditioning",
    "20-21": "class-conditioning",
    "23-26": "a step of sampling",
    "29": "decoding",
    "31-34": "prediction and loss",
    "36-37": "update",
}


@pytest.mark.parametrize("number", EQUATIONS)
def test_each_equation_is_found_by_its_number(number):
    assert f"Eq. ({number})" in TEXT


def test_equations_are_spelled_in_one_way():
    """Ranges would hide the numbers between; "Eq. 5" without parentheses is another paper's, which
    stands before it.
    """
    assert not re.findall(r"Eq\. \(\d+\)-\(?\d|Eqs?\. \d+-\d+ of the paper|Equation \(?\d", TEXT)
    for path in SOURCES:
        for found in re.finditer(r".{0,40}Eq\. \d", prose(path)):
            of_whom = re.search(r"et al\.,? (\d{4}, )?Eq\. \d", found[0])
            assert of_whom, f"{path.relative_to(ROOT)}: whose equation is it? {found[0]}"


@pytest.mark.parametrize("lines", LINES)
def test_each_part_of_algorithm_1_is_found(lines):
    place = f"Algorithm 1, {'lines' if '-' in lines else 'line'} {lines}"
    assert re.search(rf"{place}\b(?!-)", TEXT), f"{place}: {LINES[lines]}"
