"""What sets two configurations apart."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

# keys that may hold paths
MAY_MOVE = re.compile(
    r"dataset\.options\.|encoder\.name$|train\.distill_from$|.+\.options\.(path|teachers)$"
)


def difference_lines(stored: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    """The differences of two nested mappings, a sentence per key."""
    return [f"{key}: {a} stored, {b} asked for" for key, a, b in differing(stored, asked)]


def differing(left: Mapping[str, Any], right: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """The keys in which two nested mappings of JSON values differ: ("train.epochs", "30", "3").

    A missing value reads "nothing". A data file, an encoder or a teacher that was only moved (the
    last part of its path is the same) is no difference, nor is the encoder's revision: contents
    have digests. Neither are trackers, which change no number.
    """
    texts = [{k: json.dumps(v) for k, v in flat(values).items()} for values in (left, right)]
    found = []
    for key in sorted(texts[0].keys() | texts[1].keys()):
        one, other = (text.get(key, "nothing") for text in texts)
        if key in ("encoder.revision", "train.trackers"):
            continue
        if one != other and not (MAY_MOVE.match(key) and _moved(one, other)):
            found.append((key, one, other))
    return found


def _moved(one: str, other: str) -> bool:
    """Whether two JSON texts are paths, or lists of paths, with the same last parts."""
    if "nothing" in (one, other):
        return False
    paths = [_names(json.loads(text)) for text in (one, other)]
    return paths[0] == paths[1] and all(paths[0])


def _names(value: Any) -> list[str]:
    """The last parts of paths; "" for what is not a path."""
    paths = value if isinstance(value, list) else [value]
    plain = [p.replace("\\", "/").rstrip("/") if isinstance(p, str) else "" for p in paths]
    return [path.rpartition("/")[2] for path in plain] or [""]


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """{"train": {"epochs": 3}} -> {"train.epochs": 3}; lists are values."""
    if not isinstance(value, Mapping) or not value:
        return {prefix: value}
    found: dict[str, Any] = {}
    for key, inner in value.items():
        found |= flat(inner, f"{prefix}.{key}" if prefix else str(key))
    return found
