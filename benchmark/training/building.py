"""A run's model: made with its initial weights, or restored from a finished run's directory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from backbones.encoders import encoder_class, pretrained
from backbones.encoders.base import Encoder
from benchmark.config import EncoderConfig, RunConfig
from benchmark.data.documents import Corpus
from benchmark.errors import ConfigError, UserError
from benchmark.hub import encoder_snapshot
from benchmark.registry import BACKBONES, ENCODERS
from benchmark.seeds import derive
from benchmark.training.checkpoints import load_weights, read_tensors
from benchmark.training.model import DocreModel


def build_model(run: RunConfig, corpus: Corpus) -> DocreModel:
    """The model of a run at its initial weights, which depend on the seed, the encoder and the
    backbone alone.

    Raises ConfigError for a frozen encoder to which the backbone adds weights.
    """
    torch.manual_seed(derive(run.seed, "initialisation", 0))
    encoder = build_encoder(run.encoder, corpus)
    own = set(encoder.state_dict())
    model = _with_backbone(run, encoder, len(corpus.relations) + 1)
    if run.encoder.freeze != "none" and own != set(encoder.state_dict()):
        raise ConfigError(
            f"encoder.freeze: {run.encoder.freeze}: backbone '{run.backbone.name}' adds weights to "
            "the encoder, and in a frozen one they would stay untrained; leave encoder.freeze out"
        )
    return model


def build_encoder(config: EncoderConfig, corpus: Corpus) -> Encoder:
    """The configured encoder: a registered one, or a pretrained one by hub id or folder."""
    if config.name not in ENCODERS:
        return pretrained_encoder(config)
    sentences = (sentence for document in corpus.train for sentence in document["sentences"])
    return configured(ENCODERS[config.name](sentences, **config.options), config)


def restore_model(run: RunConfig, folder: Path, classes: int) -> DocreModel:
    """The stored model of a finished run, from its own directory alone.

    Raises UserError when the file that registers its encoder was not given.
    """
    stored, name = folder / "encoder", run.encoder.name
    if name not in ENCODERS and not (stored / "config.json").is_file():
        raise UserError(
            f"{folder}: its encoder '{name}' is not registered; give its file with --plugin"
        )
    encoder = configured(encoder_class(name).load(stored, **run.encoder.options), run.encoder)
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


def pretrained_encoder(config: EncoderConfig, *, weights: bool = True) -> Encoder:
    """The encoder of a hub id or a folder; without `weights`, its shape alone."""
    snapshot = encoder_snapshot(config.name, config.revision, weights=weights)
    dropout = {name: getattr(config, name) for name in ("attention_dropout", "hidden_dropout")}
    encoder = pretrained(snapshot.folder, name=config.name, weights=weights, **dropout)
    return configured(encoder, config)


def configured(encoder: Encoder, config: EncoderConfig) -> Encoder:
    """The encoder with the windows and the frozen part that the experiment asks for."""
    encoder.windows = replace(encoder.windows, overlap=config.window_overlap)
    encoder.freeze(config.freeze)
    return encoder
