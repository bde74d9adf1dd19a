"""Write `experiment_file.md`: every key of an experiment file with its type, default and meaning,
from the models of `benchmark/config.py`.

    python docs/experiment_file.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmark.config import AugmentConfig, ClusterConfig, EncoderConfig, Experiment, TrainConfig
from benchmark.registry import DATASETS, REQUIRED
from benchmark.store.files import write_text

PAGE = Path(__file__).with_suffix(".md")
SECTIONS = {
    "Top level": Experiment,
    "`encoder`": EncoderConfig,
    "`train`": TrainConfig,
    "`augment`": AugmentConfig,
    "`cluster`": ClusterConfig,
}
TYPES = {
    "integer": "whole number",
    "string": "text",
    "boolean": "true or false",
    "array": "list",
    "object": "mapping",
}
BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
}
INTRODUCTION = """# The experiment file

One YAML file is one experiment: backbones x augmenters x seeds on a dataset. Any key can be \
overridden with `--set`, such as `--set train.epochs=5`. An unknown key is refused. This page is \
written by `docs/experiment_file.py`."""


def page() -> str:
    """The Markdown text."""
    parts = [INTRODUCTION]
    for title, model in SECTIONS.items():
        rows = [f"## {title}\n", "| key | type | default | |", "|---|---|---|---|"]
        for name, schema in model.model_json_schema()["properties"].items():
            default = _shown(schema["default"]) if "default" in schema else "required"
            rows.append(f"| `{name}` | {_type(schema)} | {default} | {schema['description']} |")
        parts.append("\n".join(rows))
    parts.append("## Options of the datasets")
    for name, entry in sorted(DATASETS.entries().items()):
        options = ", ".join(
            f"`{option}`" + ("" if default is REQUIRED else f" ({_shown(default)})")
            for option, default in entry.parameters.items()
        )
        parts.append(f"**`{name}`**: {entry.summary} Options: {options or 'none'}.")
    return "\n\n".join(parts) + "\n"


def _shown(default: Any) -> str:
    if default is None:
        return "null"
    if default == "":
        return "empty"
    if isinstance(default, dict) and default:
        return "as below"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _type(schema: dict[str, Any]) -> str:
    """In words: "whole number, at least 1", "`fp32` or `bf16`"."""
    if "anyOf" in schema:
        return ", or ".join(_type(each) for each in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    kind = schema.get("type", "object")
    name = TYPES.get(kind, kind)
    if "enum" in schema.get("items", ()):
        name = f"list of {_type(schema['items'])}"
    return ", ".join([name, *(f"{w} {schema[k]:g}" for k, w in BOUNDS.items() if k in schema)])


if __name__ == "__main__":
    write_text(PAGE, page())
    print(f"written: {PAGE}")
