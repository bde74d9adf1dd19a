"""The Hugging Face hub: encoders as whole snapshots, and uploads; or a readable error.

The hub's cache fills file by file, and what is hashed before the last file is there has another
identity afterwards. So the commit is resolved first, its files are downloaded, and everything is
then read from that one folder.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.errors import ConfigError, DataError, UserError, did_you_mean
from benchmark.registry import ENCODERS, YOURS

TEXTS = ["config.json", "*token*.json", "vocab.*", "merges.txt", "*.model", "added_tokens.json"]
TEXTS += ["special_tokens_map.json", "preprocessor_config.json"]
VOCABULARIES = ["tokenizer.json", "vocab.txt", "vocab.json", "*.model"]
SAFETENSORS = ["model.safetensors", "model-*-of-*.safetensors", "model.safetensors.index.json"]
TORCH = ["pytorch_model.bin", "pytorch_model-*-of-*.bin", "pytorch_model.bin.index.json"]

INSTEAD = (
    "Download it once with a network connection, or name a local folder that holds config.json, "
    "the tokenizer's files and model.safetensors: --set encoder.name=FOLDER"
)


@dataclass(frozen=True)
class Snapshot:
    """A complete encoder on disk. revision: the hub's commit; None for a folder of the user's."""

    folder: Path
    revision: str | None


def encoder_snapshot(
    name: str, revision: str | None = None, *, weights: bool = True
) -> Snapshot | None:
    """The files of an encoder (a local folder or a hub id); downloads what is missing. None for a
    registered encoder.

    Args:
        revision: a commit, branch or tag of the hub; None: the commit that its main branch names
            now, or named last if the hub cannot be reached.
        weights: False is content with the configuration and the tokenizer.

    Raises UserError when a file is missing, here and on the hub.
    """
    if name in ENCODERS:
        return None
    if (folder := Path(os.path.expanduser(name))).is_dir():
        if revision is not None:
            raise ConfigError(f"encoder.revision: '{name}' is a local folder, which has none")
        return Snapshot(folder, None)
    return _from_hub(name, revision, weights)


@functools.cache  # errors are not cached: what is missing now may be there later
def _from_hub(name: str, revision: str | None, weights: bool) -> Snapshot:
    hint = did_you_mean(name, ENCODERS)
    told = "This name is no local folder, and neither the hub nor its cache could provide it"
    told, instead = f"encoder '{name}':{hint} {told}", f"{INSTEAD}. {YOURS}"

    def files(revision: str | None, patterns: list[str]) -> Path:
        chosen = {"allow_patterns": patterns, "ignore_patterns": ["*/*"]}
        return downloaded(name, told, instead, revision=revision, **chosen)

    folder = files(revision, TEXTS + SAFETENSORS * weights)
    if weights and not weight_files(folder):
        files(folder.name, TEXTS + TORCH)
    if weights and (missing := missing_files(folder)):
        raise UserError(f"encoder '{name}': {folder} holds no {missing}. {INSTEAD}")
    return Snapshot(folder, folder.name)


def downloaded(
    repository: str, told: str, instead: str, *, kind: type[UserError] = UserError, **options: Any
) -> Path:
    """The folder of a snapshot; from the cache alone when the hub cannot be reached.

    Raises `kind`: what is told, the hub's reason, and what to do instead.
    """
    from huggingface_hub import snapshot_download

    with _explained(told, instead, kind):
        return Path(snapshot_download(repository, **options))


def dataset_folder(hub: str, patterns: Sequence[str], instead: str) -> Path:
    """`hub` itself if it is a folder, else the snapshot of that hub dataset, of which it downloads
    the files that match `patterns`.

    Raises DataError: there is no such dataset, or neither the hub nor the cache gives it. `instead`
    says what the user can do then.
    """
    folder = Path(os.path.expanduser(str(hub)))
    if folder.is_dir():
        return folder
    told = f"{hub}: cannot be loaded from the Hugging Face hub"
    files = {"repo_type": "dataset", "allow_patterns": list(patterns)}
    return downloaded(str(hub), told, instead, kind=DataError, **files)


def upload(folder: Path, repository: str, kind: str, *, message: str, private: bool) -> str:
    """Upload a folder in one commit, to the repository OWNER/NAME of a `kind` ("model" or
    "dataset"), which is made if it is not there. Returns its address.

    Raises UserError if the hub refuses or cannot be reached.
    """
    from huggingface_hub import HfApi

    api, place = HfApi(), {"repo_id": repository, "repo_type": kind}
    instead = f"Expected OWNER/NAME of a {kind} that you may write to; `hf auth login` logs you in"
    with _explained(f"{repository}: cannot be uploaded", instead):
        address = api.create_repo(**place, private=private, exist_ok=True)
        api.upload_folder(**place, folder_path=folder, commit_message=message)
    return str(address)


@contextmanager
def _explained(told: str, instead: str, kind: type[UserError] = UserError) -> Iterator[None]:
    try:
        yield
    # offline, no such repository, a name that the hub refuses: classes without a common base
    except Exception as error:
        # the cause may stand below the first line, an HTTP status
        reason = " ".join(str(error).split()) or type(error).__name__
        raise kind(f"{told}: {reason.rstrip('.'):.300}. {instead}") from error


def missing_files(folder: Path) -> str | None:
    """What an encoder's folder lacks, in words; or None."""
    if not (folder / "config.json").is_file():
        return "config.json"
    if not (weights := weight_files(folder)):
        return "weights (model.safetensors or pytorch_model.bin)"
    if missing := next((path.name for path in weights if not path.is_file()), None):
        return missing
    if not any(any(folder.glob(pattern)) for pattern in VOCABULARIES):
        return "tokenizer (tokenizer.json, vocab.txt, vocab.json or a SentencePiece model)"
    return None


def weight_files(folder: Path) -> list[Path]:
    """The files of an encoder's weights; those that an index names may be missing.

    Raises UserError for a faulty index.
    """
    for whole in ("model.safetensors", "pytorch_model.bin"):
        if (folder / whole).is_file():
            return [folder / whole]
        if (index := folder / f"{whole}.index.json").is_file():
            try:
                shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
                return [folder / shard for shard in sorted(shards)]
            except (ValueError, LookupError, TypeError, AttributeError) as error:
                raise UserError(f"{index}: not an index of weights: {error}") from error
    return []
