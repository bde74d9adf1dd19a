"""The experiment file: which backbones x augmenters x seeds are trained on which dataset, and how.

One YAML file per experiment, never per cell::

    name: redocred_bert
    dataset: {name: re-docred}
    encoder: {name: google-bert/bert-base-cased}
    backbones: [baseline, kd_docre, atlop]
    augmenters: [none, gaussian, vae, vaediff]
    seeds: [0, 1, 2, 3, 4]
    train: {epochs: 30}

A backbone, augmenter or dataset is a name, or a name with options (`- vaediff: {steps: 50}`,
`dataset: {name: dwie, train: ...}`). The command line wins over the file: `--set train.epochs=3`.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from benchmark.errors import ConfigError, UnknownNameError, did_you_mean
from benchmark.registry import AUGMENTERS, BACKBONES, DATASETS, ENCODERS, REQUIRED, Registry
from benchmark.shipped import shipped
from benchmark.yamltext import parse_yaml


def _no_switch(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("expected a number, not true or false")
    return value


Tracker = Literal["tensorboard", "wandb", "trackio", "mlflow", "comet_ml", "aim", "swanlab"]
Whole = Annotated[int, BeforeValidator(_no_switch)]
Real = Annotated[float, BeforeValidator(_no_switch)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Choice(Strict):
    """A registered name with all its hyper-parameters, defaults filled in."""

    name: str
    options: dict[str, Any] = {}


class EncoderConfig(Strict):
    """The pretrained encoder.

    name: a registered one (`tiny`), a hub id, or a local folder.
    revision: a commit, branch or tag of the hub; None: what its main branch names. The commit in
        use is recorded in a run's facts.
    mention: whose token state and attention stand for a mention: its opening "*" (Eq. (19)), or its
        first wordpiece. A frozen encoder has never learned to gather anything at a "*": it wants
        the latter. "unmarked": the first wordpiece, and no "*" is put around mentions.
    """

    name: str
    revision: Annotated[str | None, Field(pattern=r"^\w[\w./-]{0,200}$")] = None
    options: dict[str, Any] = {}
    freeze: Annotated[str, Field(pattern=r"^(none|all|lower:[1-9]\d*)$")] = "none"
    attention_dropout: Annotated[Real | None, Field(ge=0, lt=1)] = None  # None: the encoder's own
    hidden_dropout: Annotated[Real | None, Field(ge=0, lt=1)] = None
    mention: Literal["marker", "first_piece", "unmarked"] = "marker"
    window_overlap: Annotated[Whole, Field(ge=0)] = (
        128  # least number of tokens that neighbouring windows share
    )


class TrainConfig(Strict):
    """Stages 1 and 3. Defaults are the paper's (section 3.1) or, where it is silent, the official
    scripts'.
    """

    epochs: Annotated[Whole, Field(ge=1)] = 30
    batch_size: Annotated[Whole, Field(ge=1)] = 4  # documents
    accumulation: Annotated[Whole, Field(ge=1, le=100_000)] = 1
    lr_encoder: Annotated[Real, Field(gt=0)] = 3e-5
    lr_head: Annotated[Real, Field(gt=0)] = 1e-4
    weight_decay: Annotated[Real, Field(ge=0)] = 0.01
    adam_epsilon: Annotated[Real, Field(gt=0)] = 1e-6
    warmup: Annotated[Real, Field(ge=0, lt=1)] = 0.06  # share of the optimiser steps
    clip: Annotated[Real, Field(gt=0)] = 1.0  # global gradient norm
    precision: Literal["fp32", "bf16"] = "fp32"
    batching: Literal["random", "bucketed"] = "random"
    eval_batch_size: Annotated[Whole, Field(ge=1)] = 8
    max_labels: Annotated[Whole, Field(ge=1)] = 4  # relations predicted for one pair at most
    threads: Annotated[Whole, Field(ge=1, le=1024)] = 2
    keep_weights: Literal["best", "none"] = "best"
    store_logits: bool = False  # of the training pairs, for a student's `distill_from`
    # folder of a finished run (trained with store_logits) whose logits teach this one: their mean
    # squared error is added to the loss (KD-DocRE's knowledge distillation)
    distill_from: str | None = None
    # for charts of a run while it trains; numbers do not depend on them
    trackers: list[Tracker] = []


class AugmentConfig(Strict):
    """How generated pairs enter stage 3 (Algorithm 1); the same for every augmenter of an
    experiment.

    stage3: `retrain` trains the whole model anew (the paper's protocol). `head`, the cheap one,
        keeps the encoder of the stage 1 model as it is and trains the backbone's head anew on its
        outputs, with `none` as with every augmenter (decoupled training, Kang et al. 2020). Runs
        are stored in the folder `<name>_head`; stage 1 is the `none` run in `<name>`.
    passes: of `head`: how often the training documents are encoded, with dropout. A step draws
        one of these encodings for each of its documents.
    """

    stage3: Literal["retrain", "head"] = "retrain"
    passes: Annotated[Whole, Field(ge=1, le=100)] = 3

    copies: Annotated[Whole, Field(ge=1, le=1000)] = (
        2  # m: pairs requested for each positive pair of the batch
    )
    warmup_epochs: Annotated[Whole, Field(ge=0)] = 5  # n: epochs before augmentation sets in
    rarity: Annotated[Real, Field(ge=0)] = (
        0.0  # requests are drawn with weight (frequency of the pair's rarest relation)^-rarity
    )
    combination: Literal["concatenate", "two_means"] = "concatenate"  # Algorithm 1 | official code
    weight: Annotated[Real, Field(ge=0)] = (
        1.0  # of a generated pair's loss, relative to a real pair's
    )
    # initial weights of stage 3: untrained | those that the `none` run chose
    start: Literal["fresh", "stage1"] = "fresh"
    # contrastive loss before augmentation sets in: Algorithm 1, line 5 | false: official code
    warmup_contrastive: bool = True

    @property
    def repeats_stage1(self) -> bool:
        """Until augmentation sets in, a run is the `none` run of its protocol bit for bit, and may
        go on from its state.
        """
        return self.start == "fresh" and self.warmup_contrastive


LARGEST_SEED = 2**63 - 1
OF_THE_LAUNCHER = ("array", "dependency", "error", "job-name", "output")


class ClusterConfig(Strict):
    """What a run asks of Slurm (`run --executor slurm`). It decides no number, and is no part of a
    run's identity.

    extra: further options of `sbatch` by their long names (`{account: mine, qos: low, signal:
        USR2@300}`); true for one without a value. They win over the other keys.
    """

    partition: Annotated[str | None, Field(pattern=r"^[^\x00-\x1f\x7f]+$")] = (
        None  # None: the cluster's own choice
    )
    hours: Annotated[Real, Field(gt=0)] = (
        24  # at its end the state is saved and the run queued again
    )
    gpus: Annotated[Whole, Field(ge=0, le=1)] = 0  # a run is one process on one device
    cpus: Annotated[Whole | None, Field(ge=1)] = None  # None: train.threads
    memory_gb: Annotated[Real | None, Field(gt=0)] = None
    extra: dict[str, Any] = {}

    @field_validator("extra")
    @classmethod
    def _lines_of_a_batch_script(cls, extra: dict[str, Any]) -> dict[str, Any]:
        for key, value in extra.items():
            if key in OF_THE_LAUNCHER:
                raise ValueError(f"'{key}' is set by the launcher; leave it out")
            if not re.fullmatch(r"[a-z][a-z0-9-]+", key):
                raise ValueError(f"'{key}' is no long name of an option of sbatch, such as account")
            text = value is not False and isinstance(value, (str, int, float))
            if not text or re.search(r"[\x00-\x1f\x7f]", str(value)):
                raise ValueError(f"'{key}' must be true, a number or one line of text")
        return extra


class RunConfig(Strict):
    """One cell of the grid for one seed: everything that decides its numbers.

    `augment` is null for stage 1, the `none` run of the paper's protocol.
    """

    dataset: Choice
    encoder: EncoderConfig
    backbone: Choice
    augmenter: Choice
    augment: AugmentConfig | None
    train: TrainConfig
    seed: int

    @property
    def on_head(self) -> bool:
        """Whether only the backbone's head is trained, on the encoder of stage 1."""
        return self.augment is not None and self.augment.stage3 == "head"

    def plain(self) -> RunConfig:
        """The `none` run of the same protocol, which does not depend on how others augment."""
        kept = {"stage3", "passes"} if self.on_head else set()
        augment = AugmentConfig(**self.augment.model_dump(include=kept)) if kept else None
        return self.model_copy(update={"augmenter": Choice(name="none"), "augment": augment})

    def stage1(self) -> RunConfig:
        """The run that trains the whole model without augmentation."""
        return self.model_copy(update={"augmenter": Choice(name="none"), "augment": None})


def _named(registry: Registry):
    """Validator: a name, or {name: {option: value}}, as a Choice whose every option is known and
    present.
    """

    def resolve(value: Any) -> Choice:
        if isinstance(value, Choice):
            return value
        if isinstance(value, dict) and "name" in value:  # the long form
            name, options = value["name"], {k: v for k, v in value.items() if k != "name"}
            nested = options.pop("options", None) or {}
            if not isinstance(nested, dict):
                raise ConfigError(
                    f"{registry.kind} '{name}': options must be a mapping, got {nested!r}"
                )
            options = {**nested, **options}
        elif isinstance(value, dict) and len(value) == 1:
            ((name, options),) = value.items()
        else:
            name, options = value, {}
        if not isinstance(name, str) or not isinstance(options or {}, dict):
            form = "a name, or a name with options ({name: {option: value}})"
            raise ConfigError(f"a {registry.kind} is {form}; got {value!r}")
        return Choice(name=name, options=complete_options(registry, name, options or {}))

    return BeforeValidator(resolve)


def complete_options(registry: Registry, name: str, options: dict[str, Any]) -> dict[str, Any]:
    """`options` with the entry's defaults. Raises ConfigError on an unknown or a missing one."""
    known = registry.entry(name).parameters
    for key in options:
        if key not in known:
            raise ConfigError(
                f"{registry.kind} '{name}' has no option '{key}'.{did_you_mean(key, known)} "
                f"Known: {', '.join(known) or 'none'}"
            )
        if not _is_finite(value := options[key]):
            raise ConfigError(
                f"{registry.kind} '{name}': {key}: expected finite numbers, got {value!r:.80}"
            )
    missing = [key for key, default in known.items() if default is REQUIRED and key not in options]
    if missing:
        raise ConfigError(f"{registry.kind} '{name}' needs the option(s) {', '.join(missing)}")
    return {key: options.get(key, default) for key, default in known.items()}


def _is_finite(value: Any) -> bool:
    if isinstance(value, (list, dict)):
        return all(map(_is_finite, value.values() if isinstance(value, dict) else value))
    return not isinstance(value, float) or math.isfinite(value)


class Experiment(Strict):
    """An experiment file."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100)]
    description: str = ""
    dataset: Annotated[Choice, _named(DATASETS)]
    encoder: EncoderConfig
    backbones: Annotated[list[Annotated[Choice, _named(BACKBONES)]], Field(min_length=1)]
    augmenters: Annotated[list[Annotated[Choice, _named(AUGMENTERS)]], Field(min_length=1)]
    seeds: Annotated[list[Annotated[Whole, Field(ge=0, le=LARGEST_SEED)]], Field(min_length=1)]
    train: TrainConfig = TrainConfig()
    augment: AugmentConfig = AugmentConfig()
    cluster: ClusterConfig = ClusterConfig()

    @model_validator(mode="before")
    @classmethod
    def _encoder_by_name(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("encoder"), str):
            values = {**values, "encoder": {"name": values["encoder"]}}
        return values

    @model_validator(mode="after")
    def _consistent(self) -> Experiment:
        for key in ("backbones", "augmenters"):
            names = [choice.name for choice in getattr(self, key)]
            if len(set(names)) != len(names):
                raise ValueError(f"{key}: a name stands twice in {names}")
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds: a seed stands twice in {self.seeds}")
        on_head, epochs = self.augment.stage3 == "head", self.train.epochs
        if on_head and self.augment.start == "stage1":
            raise ValueError(
                "augment.start: stage1 goes with augment.stage3: retrain; `head` trains a new head"
            )
        if on_head and self.encoder.freeze == "all":
            raise ValueError(
                "augment.stage3: head freezes the encoder after stage 1; with encoder.freeze: all "
                "it was never trained. Leave one of them out"
            )
        augmented = [choice.name for choice in self.augmenters if choice.name != "none"]
        if augmented and self.augment.warmup_epochs >= epochs:
            raise ValueError(
                f"augment.warmup_epochs is {self.augment.warmup_epochs} and train.epochs {epochs}: "
                f"{', '.join(augmented)} would never augment. Set augment.warmup_epochs below "
                "train.epochs"
            )
        if (encoder := self.encoder).name in ENCODERS:
            if encoder.revision is not None:
                raise ValueError(f"encoder.revision: '{encoder.name}' is not from the hub")
            complete_options(ENCODERS, encoder.name, encoder.options)
            if encoder.attention_dropout is not None or encoder.hidden_dropout is not None:
                raise ValueError(
                    f"encoder '{encoder.name}' is made on the spot: its dropout is "
                    "encoder.options.dropout"
                )
        return self

    @property
    def folder(self) -> str:
        """The name of the folder of its runs. Those of the cheap protocol have one of their own."""
        return f"{self.name}_head" if self.augment.stage3 == "head" else self.name

    def run(self, backbone: str, augmenter: str, seed: int) -> RunConfig:
        """The configuration of one run."""
        find = lambda choices, name: next(choice for choice in choices if choice.name == name)
        none = Choice(name="none")
        run = RunConfig(
            dataset=self.dataset,
            encoder=self.encoder,
            backbone=find(self.backbones, backbone),
            augmenter=none if augmenter == "none" else find(self.augmenters, augmenter),
            augment=self.augment,
            train=self.train,
            seed=seed,
        )
        return run.plain() if augmenter == "none" else run


Config = TypeVar("Config", RunConfig, Experiment)


def with_revision(config: Config, revision: str | None) -> Config:
    """The same with the encoder of this commit of the hub, so that all processes load one."""
    encoder = config.encoder.model_copy(update={"revision": revision})
    return config if revision is None else config.model_copy(update={"encoder": encoder})


def read_experiment(path: str | Path, overrides: list[str] = ()) -> Experiment:
    """Read and validate an experiment file, with `key.path=value` overrides (values are YAML).

    Raises ConfigError that names the file, the key and what would be right.
    """
    path = Path(path)
    if path.is_dir():
        raise ConfigError(
            f"{path}: is a folder; expected an experiment file, such as configs/demo.yaml"
        )
    if not path.is_file():
        ours = shipped(path)
        hint = f"; the package brings {ours}" if ours.is_file() else ""
        raise ConfigError(f"{path}: no such experiment file{hint}")
    try:
        values = parse_yaml(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(
            f"{path}: expected a mapping with the keys {', '.join(Experiment.model_fields)}"
        )
    for override in overrides:
        _override(values, override)
    try:
        return Experiment.model_validate(values)
    except ValidationError as error:
        faults = "; ".join(_explain(fault, Experiment) for fault in error.errors())
        raise ConfigError(f"{path}: {faults}") from error
    except (ConfigError, UnknownNameError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _override(values: dict, assignment: str) -> None:
    key, separator, text = assignment.partition("=")
    if not separator or not key:
        raise ConfigError(f"--set {assignment}: expected key=value, e.g. train.epochs=3")
    *parents, last = key.split(".")
    for parent in parents:
        if parent in ("dataset", "encoder") and isinstance(values.get(parent), str):
            values[parent] = {"name": values[parent]}  # the file has the short form
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            where = f"'{parent}' is not a section of the experiment file"
            raise ConfigError(f"--set {assignment}: {where}")
    try:
        values[last] = parse_yaml(text)
    except ConfigError as error:
        reason = "the value is not valid YAML" if str(error).startswith("not valid YAML") else error
        raise ConfigError(f"--set {assignment}: {reason}") from error


def _explain(error: dict, model: type[BaseModel]) -> str:
    """One pydantic error in the user's words; an unknown key gets the nearest known one."""
    where = ".".join(str(part) for part in error["loc"])
    if error["type"] != "extra_forbidden":
        message = error["msg"].removeprefix("Value error, ")
        got = "" if error["type"] == "missing" else f" (got {error['input']!r})"
        return f"{where}: {message}{got}" if where else message
    for part in error["loc"][:-1]:
        model = model.model_fields[part].annotation if isinstance(part, str) else model
    known = list(model.model_fields)
    hint = did_you_mean(error["loc"][-1], known)
    preset = "; what a preset such as 'tiny' takes stands below options"
    below = preset if model is EncoderConfig else ""
    return f"unknown key '{where}'.{hint} Known: {', '.join(known)}{below}"
