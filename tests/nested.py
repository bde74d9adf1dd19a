"""Every place of a nested value of lists and dicts, and the value with another one in that
place.
"""

from collections.abc import Iterator
from typing import Any


def places(value: Any, path: tuple = ()) -> Iterator[tuple]:
    """The paths of all values within, the whole one's, (), first."""
    yield path
    if isinstance(value, (dict, list)):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*path, key))


def replaced(value: Any, path: tuple, new: Any) -> Any:
    """`value` with `new` at `path`; nothing else is copied."""
    if not path:
        return new
    key, *rest = path
    if isinstance(value, list):
        return [replaced(item, rest, new) if i == key else item for i, item in enumerate(value)]
    return {**value, key: replaced(value[key], rest, new)}
