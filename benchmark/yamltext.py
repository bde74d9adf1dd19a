"""YAML as a user gives it, read into plain values. No object tags; size and depth are limited."""

import re
from typing import Any

import yaml

from benchmark.errors import ConfigError

LONGEST, MOST_VALUES, DEEPEST = 100_000, 100_000, 50  # characters; values; levels
_TAG = "tag:yaml.org,2002:"
_PLAIN = {_TAG + kind for kind in ("null", "bool", "int", "float", "str", "seq", "map", "merge")}
_Loader = type("_Loader", (yaml.SafeLoader,), {})  # 2e-4 is a number too: YAML 1.1 wants 2.0e-4
_EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$")
_Loader.add_implicit_resolver(_TAG + "float", _EXPONENT, list("-+.0123456789"))


def parse_yaml(text: str) -> Any:
    """null, true, numbers, texts, lists and mappings. ConfigError says what is wrong, not where."""
    if len(text) > LONGEST:
        raise ConfigError(f"has {len(text):,} characters; at most {LONGEST:,} are read")
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        waiting, seen = [(root, 0)] if root else [], 0
        while waiting:  # checked before values are made: merge keys (<<) multiply them
            node, depth = waiting.pop()
            below = _checked(node)
            waiting += [(inner, depth + 1) for inner in below]
            seen += 1
            if depth > DEEPEST:
                raise RecursionError
            if seen + len(waiting) > MOST_VALUES:
                raise ConfigError(f"more than {MOST_VALUES:,} values, repeats by *aliases included")
        return loader.construct_document(root) if root else None
    except RecursionError as error:
        raise ConfigError(f"nested deeper than {DEEPEST} levels") from error
    except (yaml.YAMLError, ValueError, LookupError) as error:  # such as 5,000 digits, !!bool x
        raise ConfigError(f"not valid YAML: {error}") from error


def _checked(node: yaml.Node) -> list[yaml.Node]:
    """The nodes below a sound one."""
    where, keys = f"line {node.start_mark.line + 1}", set()
    if node.tag not in _PLAIN:
        kind = node.tag.removeprefix(_TAG)[:80]
        raise ConfigError(f"{where}: is a {kind}: expected a number, a text, a list or a mapping")
    if isinstance(node, yaml.ScalarNode):
        if re.search("[\ud800-\udfff]", node.value):
            raise ConfigError(f"{where}: not valid Unicode (half of a surrogate pair)")
        return []
    if isinstance(node, yaml.SequenceNode):
        return node.value
    for key, _ in node.value:
        where = f"line {key.start_mark.line + 1}"
        if not isinstance(key, yaml.ScalarNode) or key.tag not in (_TAG + "str", _TAG + "merge"):
            raise ConfigError(f"{where}: this key is no text: put it into quotes")
        if key.value in keys:
            raise ConfigError(f"{where}: the key {key.value!r:.80} stands twice")
        keys.add(key.value)
    return [part for pair in node.value for part in pair]
