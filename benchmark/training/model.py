"""Encoder + backbone as one module: the thing that Accelerate wraps, checkpoints store and
`predict` loads.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from augmenters.base import Augmenter
from backbones.base import Backbone
from backbones.encoders import encoder_class, pretrained
from backbones.encoders.base import Encoder
from benchmark import processes
from benchmark.config import Choice, EncoderConfig, Experiment, RunConfig, TrainConfig
from benchmark.data.batches import Batch, Encoded
from benchmark.data.documents import Corpus
from benchmark.data.pairs import Pairs
from benchmark.errors import ConfigError, UserError, did_you_mean
from benchmark.hub import encoder_snapshot
from benchmark.options import require_annotated
from benchmark.registry import AUGMENTERS, BACKBONES, ENCODERS
from benchmark.seeds import derive
from benchmark.training.checkpoints import load_weights, read_tensors
from benchmark.training.distillation import require_teacher
from benchmark.training.gathering import gathered, joined
from benchmark.training.objective import Mixing, training_loss
from benchmark.training.step import Step
from benchmark.training.tracking import require_installed


class DocreModel(nn.Module):
    """A document-level relation extractor: encoder, backbone, and R classes (relations and NA)."""

    def __init__(self, encoder: Encoder, backbone: Backbone, classes: int):
        super().__init__()
        self.encoder, self.backbone, self.classes = encoder, backbone, classes

    @property
    def needs(self) -> tuple[str, ...]:
        """The optional fields of a batch that encoder and backbone read."""
        return tuple(dict.fromkeys((*self.backbone.needs, *self.encoder.needs)))

    def encode(self, batch: Batch) -> Encoded:
        """The encoder's output, or what the batch brings along of it."""
        return batch.encoded if batch.encoded is not None else self.encoder(batch)

    def encode_again(self, batch: Batch, copy: int) -> Encoded:
        """Another encoding of the batch, with other dropout where there is any. Each `copy` has its
        own; where the batch brings too few along, they are taken again in turn.
        """
        if others := batch.encoded_again:
            return others[copy % len(others)]
        return self.encode(batch)

    def represent(self, batch: Batch) -> Tensor:
        """[P, d] pair representations."""
        return self.backbone.represent(self.encode(batch), batch)

    def forward(self, batch: Batch, step: Step | None = None, mixing: Mixing = Mixing()) -> Tensor:
        """The training loss of a batch, of which several processes have a part each; `step` is the
        augmentation, `mixing` what the loss is made of.
        """
        encoded = self.encode(batch)
        found = self.backbone.represent(encoded, batch)
        own = Pairs(found, batch.labels(self.classes), batch.positive)
        real, teacher = joined(own), gathered(batch.teacher)
        everywhere = max(len(real.known_positives), 1)
        batch.share = processes.count() * len(batch.positive) / everywhere
        batch.everywhere = gathered
        generated, changes = None, {}
        if step is not None:
            generated = step.generate(self.backbone, real, encoded, batch, self.encode_again)
            changes = step.changes
        settings = {"mixing": mixing, "teacher": teacher, **changes}
        return training_loss(self.backbone, real, generated, encoded, batch, **settings)

    @torch.no_grad()
    def logits(self, batch: Batch, *, undirected: bool = False) -> Tensor:
        """[P, R] in float32; for undirected relations those of both orders of a pair, averaged."""
        logits = self.backbone.classify(self.represent(batch)).float()
        return (logits + logits[batch.pair_reverse]) / 2 if undirected else logits

    def parameter_groups(self, train: TrainConfig) -> list[dict]:
        """Trainable parameters by learning rate: the encoder's, the head's, then `train.rates`; of
        each, those with weight decay before those without.
        """
        # sorted, since a saved optimiser state numbers parameters in the order of the groups
        names = sorted(train.rates)
        rates = [train.lr_encoder, train.lr_head, *(train.rates[name] for name in names)]
        slow = (*self.encoder.parameters(), *self.backbone.slow_parameters())
        number = {id(p): 0 for p in slow}  # of its rate; 1 for all others
        for name, p in self.backbone.named_parameters():
            if part := _part(name, names):
                number[id(p)] = 2 + names.index(part)
        groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
        for p in self.parameters():
            if p.requires_grad:
                bare = train.decay == "weights" and p.ndim < 2
                groups.setdefault((number.get(id(p), 1), bare), []).append(p)
        return [
            {"params": found, "lr": rates[i], "weight_decay": 0.0 if bare else train.weight_decay}
            for (i, bare), found in sorted(groups.items())
        ]


def _part(parameter: str, names: Iterable[str]) -> str | None:
    """The longest of the names that is the parameter's own or that of a module around it."""
    around = (name for name in names if f"{parameter}.".startswith(f"{name}."))
    return max(around, key=len, default=None)


def build_model(run: RunConfig, corpus: Corpus) -> DocreModel:
    """The model of a run at its initial weights, which depend on the seed, the encoder and the
    backbone alone.
    """
    torch.manual_seed(derive(run.seed, "initialisation", 0))
    return _with_backbone(run, build_encoder(run.encoder, corpus), len(corpus.relations) + 1)


def build_encoder(config: EncoderConfig, corpus: Corpus) -> Encoder:
    """The configured encoder: a registered one, or a pretrained one by hub id or folder."""
    if config.name not in ENCODERS:
        return _pretrained(config)
    sentences = (sentence for document in corpus.train for sentence in document["sentences"])
    return _configured(ENCODERS[config.name](sentences, **config.options), config)


def restore_model(run: RunConfig, folder: Path, classes: int) -> DocreModel:
    """The stored model of a finished run, from its own directory alone.

    Raises UserError when the file that registers its encoder was not given.
    """
    stored, name = folder / "encoder", run.encoder.name
    if name not in ENCODERS and not (stored / "config.json").is_file():
        raise UserError(
            f"{folder}: its encoder '{name}' is not registered; give its file with --plugin"
        )
    encoder = _configured(encoder_class(name).load(stored, **run.encoder.options), run.encoder)
    model = _with_backbone(run, encoder, classes)
    load_weights(model, folder / "best.safetensors")
    return model


def take_encoder(model: DocreModel, weights: Path) -> None:
    """Give the model the encoder of stored `weights`, and stop its training."""
    tensors, prefix = read_tensors(weights)[0], "encoder."
    own = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
    model.encoder.load_state_dict(own)
    model.encoder.requires_grad_(False)


def _with_backbone(run: RunConfig, encoder: Encoder, classes: int) -> DocreModel:
    torch.manual_seed(derive(run.seed, "initialisation", 1))
    backbone = BACKBONES[run.backbone.name](encoder.width, classes, **run.backbone.options)
    if backbone.label_tokens:
        encoder.append_tokens(classes)
    backbone.prepare_encoder(encoder)
    return DocreModel(encoder, backbone, classes)


def _pretrained(config: EncoderConfig, *, weights: bool = True) -> Encoder:
    snapshot = encoder_snapshot(config.name, config.revision, weights=weights)
    dropout = {name: getattr(config, name) for name in ("attention_dropout", "hidden_dropout")}
    encoder = pretrained(snapshot.folder, name=config.name, weights=weights, **dropout)
    return _configured(encoder, config)


def _configured(encoder: Encoder, config: EncoderConfig) -> Encoder:
    encoder.windows = replace(encoder.windows, overlap=config.window_overlap)
    encoder.freeze(config.freeze)
    return encoder


def require_buildable(run: RunConfig) -> None:
    """Try a run's hyper-parameters: an encoder without its weights, a backbone without memory, an
    augmenter that is not fitted. Raises UserError that names what cannot be made, and why.
    """
    width = _encoder_width(run.encoder.model_dump_json())
    reads, gives = BACKBONES[run.backbone.name], encoder_class(run.encoder.name)
    if reads.reads_attention and not gives.gives_attention:
        raise ConfigError(
            f"backbone '{run.backbone.name}' reads the encoder's attention, and encoder "
            f"'{run.encoder.name}' gives none: take another encoder or another backbone"
        )
    if reads.label_tokens and gives.append_tokens is Encoder.append_tokens:
        raise ConfigError(
            f"backbone '{run.backbone.name}' ends every window with a token for each relation, "
            f"and encoder '{run.encoder.name}' takes none: take a pretrained one or 'tiny'"
        )
    require_installed(run.train.trackers)
    _tried(run.backbone, width)
    kind, options = AUGMENTERS[run.augmenter.name], run.augmenter.options
    with _explained("augmenter", run.augmenter.name, options), torch.device("meta"):
        require_annotated(kind, options)
        kind(**options)
    _require_subclass("augmenter", run.augmenter.name, kind, Augmenter)
    if kind.reads_attention and not reads.reads_attention:
        raise ConfigError(
            f"augmenter '{run.augmenter.name}' changes what a backbone makes of the encoder's "
            f"attention, and backbone '{run.backbone.name}' reads none: it would change nothing"
        )
    for teacher in run.teachers:
        require_teacher(teacher)


def require_known_rates(experiment: Experiment) -> None:
    """Raises ConfigError for a name of `train.rates` that fits no backbone of the experiment."""
    if not (rates := experiment.train.rates):
        return
    width, known = _encoder_width(experiment.encoder.model_dump_json()), set()
    for choice in experiment.backbones:
        for name, _ in _tried(choice, width).named_parameters():
            known.update(itertools.accumulate(name.split("."), "{}.{}".format))
    for name in rates:
        if name not in known:
            parts = ", ".join(sorted(part for part in known if "." not in part))
            raise ConfigError(
                f"train.rates: no backbone of the experiment has a part '{name}'."
                f"{did_you_mean(name, known)} Known: {parts}, and what is within them"
            )


def _tried(backbone: Choice, width: int) -> Backbone:
    """A backbone without memory. Raises ConfigError when it cannot be made."""
    name, options = backbone.name, backbone.options
    with _explained("backbone", name, options), torch.device("meta"):
        require_annotated(BACKBONES[name], options)
        return BACKBONES[name](width, 3, **options)


@functools.cache
def _encoder_width(config: str) -> int:
    """The width of an encoder's states. Its configuration and tokenizer are tried, once for all
    runs that share it.
    """
    wanted = EncoderConfig.model_validate_json(config)
    if wanted.name not in ENCODERS:
        encoder_class(wanted.name)  # loads transformers, which torch 2.6 cannot within the block
        with torch.device("meta"):
            return _pretrained(wanted, weights=False).width
    kind = ENCODERS[wanted.name]
    _require_subclass("encoder", wanted.name, kind, Encoder)
    with _explained("encoder", wanted.name, wanted.options):
        require_annotated(kind, wanted.options)
        return _configured(kind([["word"]], **wanted.options), wanted).width


@contextlib.contextmanager
def _explained(kind: str, name: str, options: dict[str, Any]) -> Iterator[None]:
    """Turn whatever a constructor raises on values it cannot take into a ConfigError."""
    try:
        yield
    except UserError as error:
        raise ConfigError(f"{kind} '{name}': {error}") from error
    except Exception as error:  # a user's class may raise anything
        raise ConfigError(f"{kind} '{name}' cannot be made with {options}: {error}") from error


def _require_subclass(kind: str, name: str, found: Any, base: type) -> None:
    if not (isinstance(found, type) and issubclass(found, base)):
        where = f"{base.__module__}.{base.__name__}"
        raise ConfigError(f"{kind} '{name}': its class must derive from {where}")
