"""YAML as a user gives it, read into plain values: no object tags, no bombs of aliases, no nesting
that breaks what comes after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import yaml

from benchmark.errors import ConfigError

LONGEST = 100_000  # characters
MOST_VALUES = 100_000  # with every alias written out: a few lines of YAML can stand for billions
DEEPEST = 50


def parse_yaml(text: str) -> Any:
    """null, true, numbers, texts, lists and mappings with texts as keys.

    Raises ConfigError saying what is wrong; the caller says where.
    """
    if len(text) > LONGEST:
        raise ConfigError(f"has {len(text):,} characters; at most {LONGEST:,} are read")
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        for _ in _walked(
            node, _below_node
        ):  # before values are made: merge keys (<<) multiply while they are
            pass
        value = None if node is None else loader.construct_document(node)
    except RecursionError as error:
        raise ConfigError(f"nested deeper than {DEEPEST} levels") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date or a number that is none
        raise ConfigError(f"not valid YAML: {error}") from error
    for inner in _walked(value, _below_value):
        _require_plain(inner)
    return value


def _walked(root: Any, below: Callable[[Any], Iterable[Any]]) -> Iterable[Any]:
    """`root` and all that is below it, aliases written out. Raises ConfigError where that is too
    much or too deep.
    """
    waiting, seen = [(root, 0)], 0
    while waiting:
        value, depth = waiting.pop()
        yield value
        seen += 1
        if depth > DEEPEST:
            raise ConfigError(f"nested deeper than {DEEPEST} levels")
        waiting += ((inner, depth + 1) for inner in below(value))
        if seen + len(waiting) > MOST_VALUES:
            raise ConfigError(
                f"holds more than {MOST_VALUES:,} values, those that aliases (*name) repeat included"
            )


def _below_node(node: Any) -> Iterable[Any]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else ()


def _below_value(value: Any) -> Iterable[Any]:
    return (
        [*value, *value.values()]
        if isinstance(value, dict)
        else value
        if isinstance(value, list)
        else ()
    )


def _require_plain(value: Any) -> None:
    if isinstance(value, dict) and (strange := [key for key in value if not isinstance(key, str)]):
        raise ConfigError(f"the key {strange[0]!r:.80} is no text: put it into quotes")
    if not (value is None or isinstance(value, (bool, int, float, str, list, dict))):
        raise ConfigError(
            f"{value!r:.80} is a {type(value).__name__}: expected a number, a text, a list or a mapping"
        )
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ConfigError(
                f"{value!r:.80} is not valid Unicode (half of a surrogate pair)"
            ) from None
