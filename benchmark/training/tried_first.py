"""What an experiment asks for, tried before anything is computed: can it be made at all?"""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Iterator
from typing import Any

import torch

from augmenters.base import Augmenter
from backbones.base import Backbone
from backbones.encoders import encoder_class
from backbones.encoders.base import Encoder
from benchmark.config import Choice, EncoderConfig, Experiment, RunConfig
from benchmark.data.docred import read_documents, require_unseen
from benchmark.data.documents import Corpus
from benchmark.errors import ConfigError, UserError, did_you_mean
from benchmark.options import require_annotated
from benchmark.registry import AUGMENTERS, BACKBONES, ENCODERS
from benchmark.training.building import configured, pretrained_encoder
from benchmark.training.distillation import require_teacher
from benchmark.training.tracking import require_installed


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
    with _explained("augmenter", run.augmenter.name, options):
        require_annotated(kind, options)
        _made(kind, **options)
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


def require_fitting_documents(run: RunConfig, corpus: Corpus) -> None:
    """Look at the file of a run's further documents. Raises DataError for a fault, a relation that
    the corpus lacks, and a document of dev or test.
    """
    kind = AUGMENTERS[run.augmenter.name]
    if kind.does() == "documents" and (file := kind(**run.augmenter.options).documents_file):
        require_unseen(read_documents(file, relations=corpus.relations), corpus, str(file))


def _tried(backbone: Choice, width: int) -> Backbone:
    """A backbone, if possible without memory. Raises ConfigError when it cannot be made."""
    name, options = backbone.name, backbone.options
    with _explained("backbone", name, options):
        require_annotated(BACKBONES[name], options)
        return _made(BACKBONES[name], width, 3, **options)


def _made(kind: type, *given: int, **options: Any) -> Any:
    """An object of the class: without memory, unless its constructor reads values of tensors."""
    try:
        with torch.device("meta"):
            return kind(*given, **options)
    except UserError:
        raise
    except Exception:  # if it has another reason, that is raised again
        return kind(*given, **options)


@functools.cache
def _encoder_width(config: str) -> int:
    """The width of an encoder's states. Its configuration and tokenizer are tried, once for all
    runs that share it.
    """
    wanted = EncoderConfig.model_validate_json(config)
    if wanted.name not in ENCODERS:
        encoder_class(wanted.name)  # loads transformers, which torch 2.6 cannot within the block
        with torch.device("meta"):
            return pretrained_encoder(wanted, weights=False).width
    kind = ENCODERS[wanted.name]
    _require_subclass("encoder", wanted.name, kind, Encoder)
    with _explained("encoder", wanted.name, wanted.options):
        require_annotated(kind, wanted.options)
        return configured(kind([["word"]], **wanted.options), wanted).width


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
