"""The relations of a dataset, from the files that name them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmark.data.jsonstream import read_json
from benchmark.data.validate import is_na
from benchmark.errors import DataError


def read_inventory(
    source: str | os.PathLike | Sequence[str] | Mapping[str, Any],
) -> tuple[tuple[str, ...], dict[str, str]]:
    """(relations in class order, readable names where known) of rel2id.json, rel_info.json, a JSON
    list, or what such a file holds. The entry for pairs without a relation ("Na") is left out.

    Raises DataError when it is none of these, is empty, or names a relation twice.
    """
    is_file = isinstance(source, (str, os.PathLike))
    where, content = (source, read_json(source)) if is_file else ("relations", source)
    named = isinstance(content, (dict, list, tuple)) and all_text(content)
    values = list(content.values()) if named and isinstance(content, dict) else []
    names: dict[str, str] = {}
    numbered = all(type(value) is int for value in values) and len({*values}) == len(values)
    if values and numbered:
        relations = sorted(content, key=content.get)
    elif values and all_text(values):
        relations, names = list(content), content
    elif named and not isinstance(content, dict):
        relations = list(content)
    else:
        quoted = "" if is_file else "; names that YAML reads as 17 or false need quotes"
        raise DataError(
            f'{where}: expected relations as {{"P17": 1, ...}}, each with a number of its own, '
            f'{{"P17": "country", ...}} or ["P17", ...]{quoted}'
        )
    relations = [relation for relation in relations if not is_na(relation)]
    if not relations or "" in relations or len(set(relations)) != len(relations):
        raise DataError(
            f"{where}: expected at least one relation, each named once and none empty; got "
            f"{len(relations)}"
        )
    return tuple(relations), names


def all_text(values: Iterable[Any]) -> bool:
    """Whether each of the values is a text."""
    return all(isinstance(value, str) for value in values)
