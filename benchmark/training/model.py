"""Encoder + backbone as one module: the thing that Accelerate wraps, checkpoints store and
`predict` loads.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from augmenters.base import Augmenter
from backbones.base import Backbone
from backbones.encoders import encoder_class, pretrained
from backbones.encoders.base import Encoder
from benchmark.config import EncoderConfig, RunConfig
from benchmark.data.batches import Batch, Encoded
from benchmark.data.documents import Corpus
from benchmark.data.pairs import Pairs
from benchmark.errors import ConfigError, UserError
from benchmark.hub import encoder_snapshot
from benchmark.registry import AUGMENTERS, BACKBONES, ENCODERS
from benchmark.seeds import derive
from benchmark.training.distillation import require_teacher
from benchmark.training.gathering import gathered, joined
from benchmark.training.objective import Mixing, training_loss
from benchmark.training.tracking import require_installed


class Step(Protocol):
    """The augmentation of one training step (benchmark/training/augmentation.py)."""

    perturb: Callable[[Tensor, Tensor], Tensor] | None
    adjust: Callable[[Tensor, Tensor], Tensor] | None
    weigh: Callable[[Tensor], Tensor] | None

    def generate(
        self,
        backbone: Backbone,
        real: Pairs,
        encoded: Encoded,
        batch: Batch,
        again: Callable[[Batch], Encoded],
    ) -> Pairs | None: ...


class DocreModel(nn.Module):
    """A document-level relation extractor.

    Args:
        encoder: the language model; not called for batches that bring their encoding along (a
            frozen encoder's, computed once).
        backbone: the head.
        classes: R, relations and NA.
    """

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

    def encode_again(self, batch: Batch) -> Encoded:
        """Another encoding of the batch, with other dropout where there is any."""
        return self.encode(batch) if batch.encoded_again is None else batch.encoded_again

    def represent(self, batch: Batch) -> Tensor:
        """[P, d] pair representations."""
        return self.backbone.represent(self.encode(batch), batch)

    def forward(
        self, batch: Batch, step: Step | None = None, mixing: Mixing | None = None
    ) -> Tensor:
        """The training loss of a batch, of which several processes have a part each.

        Args:
            step: the augmentation of this training step, or None.
            mixing: what the loss is made of; None: the default.
        """
        encoded = self.encode(batch)
        own = Pairs(
            self.backbone.represent(encoded, batch), batch.labels(self.classes), batch.positive
        )
        real, teacher = joined(own), gathered(batch.teacher, len(own.labels))
        generated, changes = None, {}
        if step is not None:
            generated = step.generate(self.backbone, real, encoded, batch, self.encode_again)
            changes = {"perturb": step.perturb, "adjust": step.adjust, "weigh": step.weigh}
        return training_loss(
            self.backbone,
            real,
            generated,
            encoded,
            batch,
            mixing=mixing or Mixing(),
            teacher=teacher,
            **changes,
        )

    @torch.no_grad()
    def logits(self, batch: Batch, *, undirected: bool = False) -> Tensor:
        """[P, R] in float32; for undirected relations those of both orders of a pair, averaged."""
        logits = self.backbone.classify(self.represent(batch)).float()
        return (logits + logits[batch.pair_reverse]) / 2 if undirected else logits

    def parameter_groups(self, lr_encoder: float, lr_head: float) -> list[dict]:
        """Trainable parameters at two learning rates."""
        slow = {id(p) for p in self.backbone.slow_parameters()}
        at_encoder_rate = [
            *self.encoder.parameters(),
            *(p for p in self.backbone.parameters() if id(p) in slow),
        ]
        at_head_rate = [p for p in self.backbone.parameters() if id(p) not in slow]
        groups = [
            {"params": at_encoder_rate, "lr": lr_encoder},
            {"params": at_head_rate, "lr": lr_head},
        ]
        for group in groups:
            group["params"] = [p for p in group["params"] if p.requires_grad]
        return [group for group in groups if group["params"]]


def build_model(run: RunConfig, corpus: Corpus) -> DocreModel:
    """The model of a run at its initial weights, which depend on the seed, the encoder and the
    backbone alone.
    """
    torch.manual_seed(derive(run.seed, "initialisation", 0))
    encoder = build_encoder(run.encoder, corpus)
    return _with_backbone(run, encoder, len(corpus.relations) + 1)


def build_encoder(config: EncoderConfig, corpus: Corpus) -> Encoder:
    """The configured encoder: a registered one, or a pretrained one by hub id or folder."""
    if config.name in ENCODERS:
        encoder = ENCODERS[config.name](_sentences(corpus), **config.options)
    else:
        encoder = _pretrained(config)
    return _configured(encoder, config)


def _pretrained(config: EncoderConfig, *, weights: bool = True) -> Encoder:
    snapshot = encoder_snapshot(config.name, config.revision, weights=weights)
    return pretrained(
        snapshot.folder,
        name=config.name,
        attention_dropout=config.attention_dropout,
        hidden_dropout=config.hidden_dropout,
        weights=weights,
    )


def _configured(encoder: Encoder, config: EncoderConfig) -> Encoder:
    encoder.windows = replace(encoder.windows, overlap=config.window_overlap)
    encoder.freeze(config.freeze)
    return encoder


def require_buildable(run: RunConfig) -> None:
    """Try a run's hyper-parameters: an encoder without its weights, a backbone without memory, an
    augmenter that is not fitted.

    Raises:
        UserError: names what cannot be made, and why.
    """
    width = _encoder_width(run.encoder.model_dump_json())
    _require_attention(run)
    if teacher := run.train.distill_from:
        require_teacher(teacher)
    require_installed(run.train.trackers)
    for registry, choice in ((BACKBONES, run.backbone), (AUGMENTERS, run.augmenter)):
        try:
            with torch.device("meta"):
                registry[choice.name](
                    *((width, 3) if registry is BACKBONES else ()), **choice.options
                )
        except UserError as error:
            raise ConfigError(f"{registry.kind} '{choice.name}': {error}") from error
        except Exception as error:  # whatever a constructor raises on values it cannot take
            raise ConfigError(
                f"{registry.kind} '{choice.name}' cannot be made with {choice.options}: {error}"
            ) from error
        if registry is AUGMENTERS and not issubclass(registry[choice.name], Augmenter):
            raise ConfigError(
                f"augmenter '{choice.name}': its class must derive from augmenters.base.Augmenter"
            )


def _require_attention(run: RunConfig) -> None:
    reads, gives = BACKBONES[run.backbone.name], encoder_class(run.encoder.name)
    if reads.reads_attention and not gives.gives_attention:
        raise ConfigError(
            f"backbone '{run.backbone.name}' reads the encoder's attention, and encoder "
            f"'{run.encoder.name}' gives none: take another encoder or another backbone"
        )


@functools.cache
def _encoder_width(config: str) -> int:
    """The width of an encoder's states. Its configuration and tokenizer are tried, once for all
    runs that share it.
    """
    wanted = EncoderConfig.model_validate_json(config)
    if wanted.name not in ENCODERS:
        with torch.device("meta"):
            return _configured(_pretrained(wanted, weights=False), wanted).width
    kind = ENCODERS[wanted.name]
    if not (isinstance(kind, type) and issubclass(kind, Encoder)):
        raise ConfigError(
            f"encoder '{wanted.name}': its class must derive from backbones.encoders.base.Encoder"
        )
    try:
        return _configured(kind([["word"]], **wanted.options), wanted).width
    except UserError:
        raise
    except Exception as error:  # whatever a constructor raises on values it cannot take
        raise ConfigError(
            f"encoder '{wanted.name}' cannot be made with {wanted.options}: {error}"
        ) from error


def restore_model(run: RunConfig, folder: Path, classes: int) -> DocreModel:
    """The stored model of a finished run, from its own directory alone.

    Raises UserError when the file that registers its encoder was not given.
    """
    from benchmark.training.checkpoints import load_weights

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
    from benchmark.training.checkpoints import read_tensors

    tensors, _ = read_tensors(weights)
    prefix = "encoder."
    of_encoder = {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
    model.encoder.load_state_dict(of_encoder)
    model.encoder.requires_grad_(False)


def _with_backbone(run: RunConfig, encoder: Encoder, classes: int) -> DocreModel:
    torch.manual_seed(derive(run.seed, "initialisation", 1))
    backbone = BACKBONES[run.backbone.name](encoder.width, classes, **run.backbone.options)
    backbone.prepare_encoder(encoder)
    return DocreModel(encoder, backbone, classes)


def _sentences(corpus: Corpus) -> Iterator[list[str]]:
    for document in corpus.train:
        yield from document["sentences"]
