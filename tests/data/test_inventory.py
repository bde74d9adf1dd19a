import json
from pathlib import Path

import pytest

from benchmark.data.inventory import read_inventory
from benchmark.errors import DataError


def read(path: Path, content):
    """What is read from a file with this content."""
    path.write_text(json.dumps(content))
    return read_inventory(path)


def test_inventories_of_every_shape(tmp_path):
    assert read(tmp_path / "a.json", {"P6": "head", "P17": "country"}) == (
        ("P6", "P17"),
        {"P6": "head", "P17": "country"},
    )
    assert read(tmp_path / "b.json", ["b", "a", "NA"]) == (("b", "a"), {})
    for wrong in (3, {"a": [1]}, [], ["a", "a"], {"a": 1, "b": 1}):
        with pytest.raises(DataError, match="wrong.json"):
            read(tmp_path / "wrong.json", wrong)
