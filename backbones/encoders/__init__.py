"""Encoders by name: registered ones, and any pretrained model of Hugging Face."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.registry import ENCODERS

if TYPE_CHECKING:
    from backbones.encoders.base import Encoder


def encoder_class(name: str) -> type[Encoder]:
    """The registered encoder; that of pretrained models for a hub id or a folder."""
    if name in ENCODERS:
        return ENCODERS[name]
    from backbones.encoders.huggingface import HuggingFaceEncoder

    return HuggingFaceEncoder


def pretrained(folder: Path, **settings: Any) -> Encoder:
    """A pretrained encoder from its folder; `huggingface.load_encoder` lists the settings."""
    from backbones.encoders.huggingface import load_encoder

    return load_encoder(folder, **settings)
