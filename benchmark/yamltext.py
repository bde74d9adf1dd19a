"""YAML as a user gives it, read into plain values by PyYAML's safe loader."""

import re
from typing import Any

import yaml

from benchmark.errors import ConfigError

LONGEST = 100_000  # characters, which take a second
_EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$")


class _Loader(yaml.SafeLoader):
    """Reads 2e-4 as a number (YAML 1.1 wants 2.0e-4). Refuses repeated keys, and *aliases, since a
    few of them can expand to any size.
    """

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        line = self.peek_event().start_mark.line + 1
        if self.check_event(yaml.AliasEvent):
            raise ConfigError(f"line {line}: *aliases are not read: write the value again")
        node, seen = super().compose_node(parent, index), set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                line = key.start_mark.line + 1
                raise ConfigError(f"line {line}: the key {key.value!r:.80} is given twice")
            seen.add(str(key.value))
        return node


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+.0123456789"))


def parse_yaml(text: str) -> Any:
    """null, true, numbers, texts, lists and mappings. ConfigError says what is wrong, not where."""
    if len(text) > LONGEST:
        raise ConfigError(f"has {len(text):,} characters; at most {LONGEST:,} are read")
    try:
        return _Loader(text).get_single_data()
    except RecursionError as error:
        raise ConfigError("nested too deeply") from error
    # such as 5,000 digits, !!bool x, !!timestamp x
    except (yaml.YAMLError, ValueError, LookupError, AttributeError) as error:
        raise ConfigError(f"not valid YAML: {error}") from error
