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
docs/experiment_file.md is written from the descriptions here.
"""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    BeforeValidator,
    Field,
    ValidationError,
    WrapValidator,
    field_validator,
    model_validator,
)

from benchmark.errors import ConfigError, UnknownNameError, UserError, did_you_mean
from benchmark.options import Count, Least, OptionModel, Positive, Share, Whole, in_words
from benchmark.registry import AUGMENTERS, BACKBONES, DATASETS, ENCODERS, REQUIRED, YOURS, Registry
from benchmark.shipped import shipped
from benchmark.yamltext import parse_yaml

LARGEST_SEED = 2**63 - 1
HEAD = "_head"  # suffix of the folder of the cheap protocol's runs
PLAIN = (type(None), bool, int, str)  # values of options, beside finite floats
Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]
Revision = Annotated[str, Field(pattern=r"^\w[\w./-]{0,200}$")]
Freeze = Annotated[str, Field(pattern=r"^(none|all|lower:[1-9]\d*)$")]
OneLine = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]+$")]
Tracker = Literal["tensorboard", "wandb", "trackio", "mlflow", "comet_ml", "aim", "swanlab"]


def expected(what: str) -> WrapValidator:
    """One message for whatever is wrong with a value, where pydantic has several."""

    def checked(value: Any, check: Any) -> Any:
        try:
            return check(value)
        except ValidationError:
            raise ValueError(f"expected {what}") from None

    return WrapValidator(checked)


FolderName = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100),
    expected("a text of at most 100 English letters, digits and _.-, not a mark first"),
]
Teachers = Annotated[str | list[str] | None, expected("a folder, a list of folders, or null")]
LongName = Annotated[
    str, Field(pattern=r"^[a-z][a-z0-9-]+$"), expected("a long name of an option of sbatch")
]
OfSbatch = Annotated[
    Literal[True] | int | float | OneLine, expected("true, a number or one line of text")
]


def key(default: Any, said: str, **bounds: Any) -> Any:
    """A key of the file, and what docs/experiment_file.md says of it."""
    return Field(default, description=said, **bounds)


class Choice(OptionModel):
    """A registered name with all its hyper-parameters, defaults filled in."""

    name: str
    options: dict[str, Any] = {}


class EncoderConfig(OptionModel):
    """The encoder. The commit of the hub that is used is recorded in a run's facts."""

    name: str = key(..., "a registered encoder (`tiny`), a hub id or a local folder")
    revision: Revision | None = key(None, "commit, tag or branch on the hub; null: its main branch")
    options: dict[str, Any] = key({}, "of a registered encoder")
    freeze: Freeze = key("none", "`none`, `all`, or `lower:K` (embeddings and K lowest layers)")
    attention_dropout: Share | None = key(
        None, "null: the encoder's own; 0 keeps attention fast on a CPU"
    )
    hidden_dropout: Share | None = key(None, "null: the encoder's own")
    mention: Literal["marker", "first_piece", "unmarked"] = key(
        "marker",
        "what stands for a mention: the `*` before it (Eq. (19)) or its first wordpiece. A frozen "
        "encoder does better with the latter: it never learned to gather anything at a `*`. "
        "`unmarked`: the first wordpiece, in a text without `*`, as in systems older than ATLOP",
    )
    window_overlap: Count = key(128, "least number of tokens that neighbouring windows share")


class TrainConfig(OptionModel):
    """Stages 1 and 3. Defaults are the paper's (section 3.1) or, where it is silent, the official
    scripts'.
    """

    epochs: Whole = key(30, "of stage 1, and of stage 3")
    batch_size: Whole = key(4, "documents, over all processes together")
    accumulation: Whole = key(1, "batches per optimiser step", le=100_000)
    lr_encoder: Positive = key(3e-5, "learning rate of the encoder")
    lr_head: Positive = key(1e-4, "learning rate of the backbone's head")
    rates: dict[str, Positive] = key(
        {},
        "learning rates of parts of the head, by the names of the backbone's submodules or "
        "parameters (`{unet: 4e-4}`); they win over `lr_encoder` and `lr_head`. Where two names "
        "fit, the longer one wins. A name must fit at least one backbone of the experiment and "
        "changes nothing in the others",
    )
    weight_decay: Least = key(0.01, "AdamW's")
    decay: Literal["all", "weights"] = key(
        "all",
        "what decays; `weights`: no biases and no normalisation layers (parameters of one "
        "dimension)",
    )
    adam_epsilon: Positive = key(1e-6, "AdamW's")
    warmup: Share = key(0.06, "share of the steps in which the rates rise, whatever the schedule")
    schedule: Literal["linear", "constant", "cosine"] = key(
        "linear",
        "of the rates after the warm-up: linear down to 0, constant, or half a cosine down to 0",
    )
    clip: Positive = key(1.0, "largest norm of the gradient")
    precision: Literal["fp32", "bf16"] = key("fp32", "`bf16`: autocast")
    batching: Literal["random", "bucketed"] = key(
        "random", "`bucketed` puts documents of similar length together"
    )
    eval_batch_size: Whole = key(8, "documents")
    max_labels: Whole = key(
        4, "most relations predicted for one pair; systems with binary relations ignore it"
    )
    threads: Whole = key(2, "CPU threads of a run", le=1024)
    keep_weights: Literal["best", "none"] = key(
        "best",
        "`best` keeps the weights of a finished run, `none` only while another run needs them",
    )
    store_logits: bool = key(
        False, "store the logits of the training pairs, for a student's `distill_from`"
    )
    distill_from: Teachers = key(
        None,
        "folder of the teacher, a finished run with stored logits: the mean squared error to them "
        "is added to the loss (KD-DocRE's knowledge distillation). With several, to their mean",
    )

    trackers: list[Tracker] = key([], "charts while a run trains; they change no number")

    @property
    def teachers(self) -> list[str]:
        """The folders of `distill_from`."""
        given = self.distill_from or []
        return [given] if isinstance(given, str) else given

    @property
    def mixed_precision(self) -> str:
        """In Accelerate's words."""
        return "bf16" if self.precision == "bf16" else "no"


class AugmentConfig(OptionModel):
    """How generated pairs enter stage 3 (Algorithm 1); the same for every augmenter of an
    experiment. Training the head alone is decoupled training (Kang et al. 2020).
    """

    stage3: Literal["retrain", "head"] = key(
        "retrain",
        "`retrain` trains the whole model anew (Algorithm 1); `head`, the cheap protocol, only the "
        "backbone's head, on the encoder of stage 1. Its runs are in the folder `<name>_head`",
    )
    passes: Whole = key(
        3,
        "of `head`: how often each document is encoded with dropout; each epoch draws one of these "
        "encodings for it. For each stage 1 run, a pass encodes all training documents and keeps "
        "a file until the runs on it are done: about half a minute of a core and 163 MB for 400 "
        "Re-DocRED documents and a MiniLM. In a trial there, average precision on dev was 57.4 "
        "with one, 57.6 with two, 57.7 with three, and 55.9 with one encoding without dropout",
        le=100,
    )
    copies: Whole = key(2, "m: pairs requested for each positive pair of the batch", le=1000)
    warmup_epochs: Count = key(5, "n: epochs before augmentation sets in")
    rarity: Least = key(
        0.0, "requests are drawn with weight (frequency of the pair's rarest relation) ^ -rarity"
    )
    combination: Literal["concatenate", "two_means"] = key(
        "concatenate",
        "`concatenate`: one mean over real and generated pairs (Algorithm 1); `two_means`: the "
        "official code",
    )
    weight: Least = key(1.0, "of a generated pair's loss, relative to a real pair's")
    start: Literal["fresh", "stage1"] = key(
        "fresh", "initial weights of stage 3: untrained, or those of the stage 1 model"
    )
    warmup_contrastive: bool = key(
        True,
        "contrastive loss before augmentation sets in (Algorithm 1, line 5); false: the official "
        "code",
    )

    @property
    def repeats_stage1(self) -> bool:
        """Whether a run equals the `none` run of its protocol bit for bit until augmentation sets
        in, and so may continue from its state.
        """
        return self.start == "fresh" and self.warmup_contrastive

    def needs_stage1(self, augmenter: str) -> bool:
        """Whether runs with this augmenter are built on the model of stage 1. May import the
        augmenter, and so torch.
        """
        if self.stage3 == "head" or self.start == "stage1":
            return True
        # a class that is no Augmenter may lack it: building it will say so
        return getattr(AUGMENTERS[augmenter], "needs_fitting", False)


OF_THE_LAUNCHER = {"array", "dependency", "error", "job-name", "output"}


class ClusterConfig(OptionModel):
    """What a run asks of Slurm (`run --executor slurm`). It decides no number, and is no part of a
    run's identity.
    """

    partition: OneLine | None = key(None, "null: the cluster's own choice")
    hours: Positive = key(24, "time limit: at its end the state is saved and the run queued again")
    gpus: Count = key(0, "a run is one process on one device", le=1)
    cpus: Whole | None = key(None, "null: `train.threads`")
    memory_gb: Positive | None = key(None, "null: the cluster's own choice")
    extra: dict[LongName, OfSbatch] = key(
        {},
        "further options of `sbatch` by their long names (`{account: mine, signal: USR2@300}`); "
        "true for one without a value. They win over the other keys",
    )

    @field_validator("extra")
    @classmethod
    def _left_to_the_launcher(cls, extra: dict[str, Any]) -> dict[str, Any]:
        if taken := extra.keys() & OF_THE_LAUNCHER:
            raise ValueError(f"the launcher sets {', '.join(sorted(taken))}; leave it out")
        return extra


class RunConfig(OptionModel):
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
    def teachers(self) -> list[str]:
        """Folders of the finished runs that it learns from: of `train.distill_from`, or of an
        augmenter's option `teachers`.
        """
        of_augmenter = self.augmenter.options.get("teachers")
        if not isinstance(of_augmenter, list):
            of_augmenter = []  # the augmenter itself says what is wrong with another value
        return [*self.train.teachers, *(name for name in of_augmenter if isinstance(name, str))]

    @property
    def on_head(self) -> bool:
        """Whether only the backbone's head is trained, on the encoder of stage 1."""
        return self.augment is not None and self.augment.stage3 == "head"

    def plain(self) -> RunConfig:
        """The `none` run of the same protocol, which does not depend on how others augment."""
        if not self.on_head:
            return self.stage1()
        augment = AugmentConfig(stage3="head", passes=self.augment.passes)
        return self.model_copy(update={"augmenter": Choice(name="none"), "augment": augment})

    def stage1(self) -> RunConfig:
        """The run that trains the whole model without augmentation."""
        return self.model_copy(update={"augmenter": Choice(name="none"), "augment": None})


def _named(registry: Registry):
    """Validator: a name, {name: {option: value}} or {"name": name, option: value}, as a Choice
    whose every option is known and present.
    """

    def resolve(value: Any) -> Choice:
        match value:
            case Choice():
                return value
            case {"name": name, "options": dict(options), **more}:  # as it is stored
                options = options | more
            case {"name": name, **options}:
                pass
            case dict() if len(value) == 1:
                ((name, options),) = value.items()
            case _:
                name, options = value, {}
        if not isinstance(name, str) or not isinstance(options or {}, dict):
            form = "a name, or a name with options ({name: {option: value}})"
            raise ConfigError(f"a {registry.kind} is {form}; got {value!r}")
        return Choice(name=name, options=complete_options(registry, name, options or {}))

    return BeforeValidator(resolve)


def complete_options(registry: Registry, name: str, options: dict[str, Any]) -> dict[str, Any]:
    """`options` with the entry's defaults. Raises ConfigError on an unknown or a missing one."""
    known, whose = registry.entry(name).parameters, f"{registry.kind} '{name}'"
    for option, value in options.items():
        if option not in known:
            raise ConfigError(
                f"{whose} has no option '{option}'.{did_you_mean(option, known)} "
                f"Known: {', '.join(known) or 'none'}"
            )
        if not _is_plain(value):
            raise ConfigError(
                f"{whose}: {option}: expected finite numbers or texts, got {value!r:.80}"
            )
    complete = {**known, **options}
    if missing := [option for option, value in complete.items() if value is REQUIRED]:
        raise ConfigError(f"{whose} needs the option(s) {', '.join(missing)}")
    return complete


def completed(stored: dict[str, Any]) -> dict[str, Any]:
    """The stored configuration of a run with the defaults of options that later versions of the
    code added.
    """
    try:
        config = RunConfig.model_validate(stored).model_dump(mode="json")
    except ValidationError:
        return stored
    for registry in (DATASETS, BACKBONES, AUGMENTERS):
        chosen = config[registry.kind]
        # an option that is gone, or the name of a plugin, stays as it was stored
        with contextlib.suppress(UserError):
            chosen["options"] = complete_options(registry, chosen["name"], chosen["options"])
    return config


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, dict)):
        return all(map(_is_plain, value.values() if isinstance(value, dict) else value))
    return math.isfinite(value) if isinstance(value, float) else isinstance(value, PLAIN)


class Experiment(OptionModel):
    """An experiment file."""

    name: FolderName = key(..., "names the folder of the results")
    description: str = key("", "shown in the captions of the tables")
    dataset: Annotated[Choice, _named(DATASETS)] = key(
        ..., "a name, or `{name: ..., option: ...}`; the options are below"
    )
    encoder: EncoderConfig = key(..., "see below; a name alone will do")
    backbones: list[Annotated[Choice, _named(BACKBONES)]] = key(
        ..., "names, or `name: {option: value}`; `list backbones` shows the options", min_length=1
    )
    augmenters: list[Annotated[Choice, _named(AUGMENTERS)]] = key(
        ..., "names, or `name: {option: value}`; `list augmenters` shows the options", min_length=1
    )
    seeds: list[Seed] = key(..., "one run for each; runs of one seed are paired", min_length=1)
    train: TrainConfig = key(TrainConfig(), "see below")
    augment: AugmentConfig = key(AugmentConfig(), "see below")
    cluster: ClusterConfig = key(ClusterConfig(), "see below")

    @field_validator("encoder", mode="before")
    @classmethod
    def _by_name(cls, encoder: Any) -> Any:
        return {"name": encoder} if isinstance(encoder, str) else encoder

    @field_validator("backbones", "augmenters", "seeds")
    @classmethod
    def _each_once(cls, found: list[Any]) -> list[Any]:
        names = [choice.name if isinstance(choice, Choice) else choice for choice in found]
        if len(set(names)) != len(names):
            raise ValueError("a name or a seed is given twice")
        return found

    @model_validator(mode="after")
    def _consistent(self) -> Experiment:
        augment, encoder, epochs = self.augment, self.encoder, self.train.epochs
        if augment.stage3 == "head" and augment.start == "stage1":
            raise ValueError(
                "augment.start: stage1 goes with augment.stage3: retrain; `head` trains a new head"
            )
        if augment.stage3 == "head" and encoder.freeze == "all":
            raise ValueError(
                "augment.stage3: head freezes the encoder after stage 1, but with encoder.freeze: "
                "all it was never trained. Leave one of them out"
            )
        if self.train.teachers and any("teachers" in c.options for c in self.augmenters):
            raise ValueError(
                "train.distill_from also teaches `none`; give teachers to it or to an augmenter"
            )
        augmented = [choice.name for choice in self.augmenters if choice.name != "none"]
        if augmented and augment.warmup_epochs >= epochs:
            raise ValueError(
                f"with augment.warmup_epochs {augment.warmup_epochs} and train.epochs {epochs}, "
                f"{', '.join(augmented)} would never augment"
            )
        if encoder.name in ENCODERS:
            complete_options(ENCODERS, encoder.name, encoder.options)
            if (encoder.revision, encoder.attention_dropout, encoder.hidden_dropout) != (None,) * 3:
                raise ValueError(
                    f"encoder '{encoder.name}' is made on the spot: it has no revision, and its "
                    "dropout is encoder.options.dropout"
                )
        elif encoder.options:
            raise ValueError(
                f"encoder.options are those of a registered encoder, which '{encoder.name}' is "
                f"not.{did_you_mean(encoder.name, ENCODERS)} {YOURS}"
            )
        return self

    @classmethod
    def of(cls, values: dict[str, Any]) -> Self:
        """The checked experiment. Raises ConfigError that names all keys that are wrong."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ConfigError("; ".join(map(_explain, error.errors()))) from error

    def changed(self, update: dict[str, Any]) -> Self:
        """The same with other values of these keys. Raises ConfigError where they do not fit."""
        return self.of({**dict(self), **update})

    @property
    def folder(self) -> str:
        """The name of the folder of its runs. Those of the cheap protocol have one of their own."""
        return f"{self.name}{HEAD}" if self.augment.stage3 == "head" else self.name

    def run(self, backbone: str, augmenter: str, seed: int) -> RunConfig:
        """The configuration of one run."""
        find = lambda choices, name: next(choice for choice in choices if choice.name == name)
        none, shared = augmenter == "none", ("dataset", "encoder", "augment", "train")
        run = RunConfig(
            backbone=find(self.backbones, backbone),
            augmenter=Choice(name="none") if none else find(self.augmenters, augmenter),
            seed=seed,
            **{name: getattr(self, name) for name in shared},
        )
        return run.plain() if none else run


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
    if not path.is_file():
        ours = shipped(path)
        hint = f"; the package brings {ours}" if ours.is_file() else ""
        raise ConfigError(f"{path}: no such experiment file{hint}")
    try:
        values = parse_yaml(path.read_bytes().decode())
        if not isinstance(values, dict):
            keys = ", ".join(Experiment.model_fields)
            raise ConfigError(f"expected a mapping with the keys {keys}")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, ConfigError) as error:
        fault = error if isinstance(error, ConfigError) else f"not valid YAML: {error}"
        raise ConfigError(f"{path}: {fault}") from error
    for override in overrides:
        _override(values, override)
    try:
        return Experiment.of(values)
    except (ConfigError, UnknownNameError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _override(values: dict, assignment: str) -> None:
    path, value = parse_assignment("--set", assignment)
    *parents, last = path.split(".")
    for parent in parents:
        if parent in ("dataset", "encoder") and isinstance(values.get(parent), str):
            values[parent] = {"name": values[parent]}  # the file has the short form
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            where = f"'{parent}' is not a section of the experiment file"
            raise ConfigError(f"--set {assignment}: {where}")
    values[last] = value


def parse_assignment(option: str, text: str) -> tuple[str, Any]:
    """ "gamma=1.0" -> ("gamma", 1.0); values are YAML. Raises ConfigError that names the option."""
    path, separator, value = text.partition("=")
    if not separator or not path:
        raise ConfigError(f"{option} {text}: expected key=value, e.g. train.epochs=3")
    try:
        return path, parse_yaml(value)
    except ConfigError as error:
        raise ConfigError(f"{option} {text}: {error}") from error


def keys_called(name: str) -> list[str]:
    """The keys of an experiment file with this last part: "epochs" -> ["train.epochs"]."""
    known, sections = Experiment.model_fields, ("encoder", "train", "augment", "cluster")
    inside = [f"{key}.{name}" for key in sections if name in known[key].annotation.model_fields]
    return [name, *inside] if name in known else inside


def _explain(error: dict) -> str:
    """One pydantic error in the user's words; an unknown key gets the nearest known one."""
    where = ".".join(str(part) for part in error["loc"])
    if error["type"] != "extra_forbidden":
        message = "expected a mapping" if error["type"] == "model_type" else in_words(error)
        got = "" if error["type"] == "missing" else f" (got {error['input']!r})"
        return f"{where}: {message}{got}" if where else message
    model = Experiment
    for part in error["loc"][:-1]:
        model = model.model_fields[part].annotation
    last, known = error["loc"][-1], model.model_fields
    hint = did_you_mean(last, known)
    if model is Experiment and (elsewhere := keys_called(last)):
        hint = f" Did you mean {' or '.join(map(repr, elsewhere))}?"
    return f"unknown key '{where}'.{hint} Known: {', '.join(model.model_fields)}"
