"""Write `experiment_file.md`: every key of an experiment file with its type and default, from the
models of `benchmark/config.py`.

    python docs/experiment_file.py

A key without a sentence here, or a sentence without its key, stops it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from benchmark.config import AugmentConfig, ClusterConfig, EncoderConfig, Experiment, TrainConfig
from benchmark.registry import DATASETS, REQUIRED
from benchmark.store.files import written_atomically

PAGE = Path(__file__).with_suffix(".md")

SECTIONS = {
    "": Experiment,
    "encoder": EncoderConfig,
    "train": TrainConfig,
    "augment": AugmentConfig,
    "cluster": ClusterConfig,
}
SAID = {
    "name": "names the folder of the results",
    "description": "stands in the captions of the tables",
    "dataset": "a name, or `{name: ..., option: ...}`; the options are below",
    "encoder": "see below; a name alone will do",
    "backbones": "names, or `name: {option: value}`; `list backbones` shows the options",
    "augmenters": "names, or `name: {option: value}`; `list augmenters` shows the options",
    "seeds": "one run for each; runs of one seed are paired",
    "train": "see below",
    "augment": "see below",
    "cluster": "see below",
    "encoder.name": "a registered encoder (`tiny`), a hub id or a local folder",
    "encoder.revision": "a commit, branch or tag of the hub; null: what its main branch names",
    "encoder.options": "of a registered encoder",
    "encoder.freeze": "`none`, `all`, or `lower:K` (the embeddings and the K lowest layers)",
    "encoder.attention_dropout": "null: the encoder's own; 0 keeps attention fast on a CPU",
    "encoder.hidden_dropout": "null: the encoder's own",
    "encoder.mention": "what stands for a mention: the `*` before it or its first wordpiece. A "
    "frozen encoder wants the latter: it never learned to gather anything at a `*`. `unmarked`: "
    "the first wordpiece, in a text without `*`, as systems older than ATLOP have it",
    "encoder.window_overlap": "least number of tokens that neighbouring windows share",
    "train.epochs": "of stage 1, and of stage 3",
    "train.batch_size": "documents, of all processes together",
    "train.accumulation": "batches for an optimiser step",
    "train.lr_encoder": "learning rate of the encoder",
    "train.lr_head": "learning rate of the backbone's head",
    "train.weight_decay": "AdamW's",
    "train.adam_epsilon": "AdamW's",
    "train.warmup": "share of the optimiser steps in which the rate rises; then it falls to 0",
    "train.clip": "largest norm of the gradient",
    "train.precision": "autocast to bf16, or not",
    "train.batching": "`bucketed` puts documents of similar length together",
    "train.eval_batch_size": "documents",
    "train.max_labels": "relations predicted for one pair at most",
    "train.threads": "of a run on a CPU",
    "train.keep_weights": "of a finished run; `none` keeps them while another run needs them",
    "train.store_logits": "of the training pairs, for a student's `distill_from`",
    "train.distill_from": "folder of a finished run with stored logits: the teacher",
    "train.trackers": "charts while a run trains, by their names: tensorboard, wandb, trackio, "
    "mlflow, comet_ml, aim, swanlab; numbers do not depend on them",
    "augment.stage3": "`retrain` trains the whole model anew (Algorithm 1); `head`, the cheap "
    "protocol, the backbone's head on the encoder of stage 1",
    "augment.passes": "of `head`: how often training documents are encoded with dropout",
    "augment.copies": "m: pairs requested for each positive pair of the batch",
    "augment.warmup_epochs": "n: epochs before augmentation sets in",
    "augment.rarity": "above 0, requests are drawn with weight (frequency of the pair's rarest "
    "relation) ^ -rarity",
    "augment.combination": "`concatenate`: one mean over real and generated pairs (Algorithm 1); "
    "`two_means`: the official code",
    "augment.weight": "of a generated pair's loss, relative to a real pair's",
    "augment.start": "initial weights of stage 3: untrained, or those of the stage 1 model",
    "augment.warmup_contrastive": "contrastive loss before augmentation sets in (Algorithm 1, "
    "line 5); false: the official code",
    "cluster.partition": "null: the cluster's own choice",
    "cluster.hours": "at its end the state is saved and the run queued again",
    "cluster.gpus": "a run is one process on one device",
    "cluster.cpus": "null: `train.threads`",
    "cluster.memory_gb": "null: the cluster's own choice",
    "cluster.extra": "further options of `sbatch` by their long names",
}


def page() -> str:
    """The Markdown text. Raises ValueError for a key without a sentence, or the reverse."""
    keys = [
        ".".join(filter(None, (section, field)))
        for section, model in SECTIONS.items()
        for field in model.model_fields
    ]
    if wrong := sorted(set(keys) ^ SAID.keys()):
        raise ValueError(f"docs/experiment_file.py: these keys do not fit: {', '.join(wrong)}")
    parts = [
        "# The experiment file",
        "One YAML file is one experiment: backbones x augmenters x seeds on a dataset. Any key can "
        "be overridden with `--set`, such as `--set train.epochs=5`. An unknown key is refused. "
        "This page is written by `docs/experiment_file.py`.",
    ]
    for section, model in SECTIONS.items():
        parts.append(f"## `{section}`" if section else "## Top level")
        rows = ["| key | type | default | |", "|---|---|---|---|"]
        for field, info in model.model_fields.items():
            key = ".".join(filter(None, (section, field)))
            default = "required" if info.is_required() else _default(info.default)
            rows.append(f"| `{field}` | {_type(info)} | {default} | {SAID[key]} |")
        parts.append("\n".join(rows))
    parts.append("## Options of the datasets")
    for name, entry in sorted(DATASETS.entries().items()):
        options = ", ".join(
            f"`{option}`" + ("" if default is REQUIRED else f" ({_default(default)})")
            for option, default in entry.parameters.items()
        )
        parts.append(f"**`{name}`**: {entry.summary} Options: {options or 'none'}.")
    return "\n\n".join(parts) + "\n"


def _default(value: Any) -> str:
    if isinstance(value, BaseModel):
        return "as below"
    if value is None or value == "":
        return "null" if value is None else "empty"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _type(info: Any) -> str:
    """In words: "whole number, at least 1", "fp32 or bf16"."""
    text = str(info.annotation)
    if text.startswith("list"):
        return "list"
    if "Literal" in text:
        found = f"{' or '.join(f'`{value}`' for value in get_args(info.annotation))}"
    elif "list" in text:
        return "list"
    elif "Choice" in text or "Config" in text or "dict" in text:
        found = "mapping"
    else:
        names = {"bool": "true or false", "int": "whole number", "float": "number", "str": "text"}
        found = next(
            (word for name, word in names.items() if re.search(rf"\b{name}\b", text)), "text"
        )
    bounds = re.findall(r"(ge|gt|le|lt)=(-?[\d.e+]+)", f"{info.metadata} {text}")
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    limits = [f"{words[kind]} {float(value):g}" for kind, value in dict(bounds).items()]
    return ", ".join([found, *limits]) + (" or null" if "None" in text else "")


if __name__ == "__main__":
    with written_atomically(PAGE) as part:
        part.write_text(page(), encoding="utf-8")
    print(f"written: {PAGE}")
