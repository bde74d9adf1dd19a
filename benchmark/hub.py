"""The Hugging Face hub: encoders as whole snapshots, and uploads; or a readable error.

The hub's cache fills file by file. Nothing may be hashed or trained before the last file is there:
the run would have another identity afterwards. So the commit is resolved first, its files are
downloaded, and everything is then read from that one folder. `huggingface_hub` locks each file, so
several workers that start together download it once.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import ConfigError, UserError, did_you_mean
from benchmark.registry import ENCODERS

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
    """The files of an encoder; downloads what is missing. None for a registered encoder.

    Args:
        name: a registered name, a local folder, or a hub id.
        revision: a commit, branch or tag of the hub; None: the commit that its main branch names
            now, or named last if the hub cannot be reached.
        weights: False is content with the configuration and the tokenizer.

    Raises:
        UserError: no such folder or model, or a file is missing and the hub cannot be reached.
    """
    if name in ENCODERS:
        return None
    if (folder := Path(name).expanduser()).is_dir():
        if revision is not None:
            raise ConfigError(f"encoder.revision: '{name}' is a local folder, which has none")
        return Snapshot(folder, None)
    return _from_hub(name, revision, weights)


@functools.cache  # errors are not cached: what is missing now may be there later
def _from_hub(name: str, revision: str | None, weights: bool) -> Snapshot:
    hint = did_you_mean(name, ENCODERS)
    if hint and "/" not in name:  # a typo: asking the hub for it would take a while
        known = ", ".join(ENCODERS)
        raise UserError(
            f"unknown encoder '{name}'.{hint} Known: {known}, a local folder, an id of the hub"
        )
    if name.startswith((".", "~", "/")) or name.count("/") > 1:  # no id of the hub
        raise UserError(f"encoder '{name}': no such folder. {INSTEAD}")
    folder = _download(name, revision, TEXTS + SAFETENSORS * weights, hint)
    if not weights:
        return Snapshot(folder, folder.name)
    if not weight_files(folder):
        _download(name, folder.name, TEXTS + TORCH, hint)
    if missing := missing_files(folder):
        raise UserError(f"encoder '{name}': {folder} holds no {missing}. {INSTEAD}")
    return Snapshot(folder, folder.name)


def _download(name: str, revision: str | None, patterns: list[str], hint: str) -> Path:
    """The folder of the snapshot; from the cache alone when the hub cannot be reached."""
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                name, revision=revision, allow_patterns=patterns, ignore_patterns=["*/*"]
            )
        )
    # offline, no such model, a name or revision that the hub refuses: classes without a common base
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        at = f" at revision '{revision}'" if revision else ""
        raise UserError(
            f"encoder '{name}'{at}: neither a local folder, nor complete in the hub's cache, nor "
            f"could the hub give it ({reason:.300}).{hint} {INSTEAD}"
        ) from error


def missing_files(folder: Path) -> str | None:
    """What of an encoder is not in its folder, in words."""
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
    """The files of an encoder's weights, also those of an index that are not there."""
    for whole in ("model.safetensors", "pytorch_model.bin"):
        if (folder / whole).is_file():
            return [folder / whole]
        if (index := folder / f"{whole}.index.json").is_file():
            shards = sorted(set(json.loads(index.read_text())["weight_map"].values()))
            return [folder / shard for shard in shards]
    return []


def upload(folder: Path, repository: str, kind: str, *, message: str, private: bool) -> str:
    """Upload a folder in one commit, to a repository that is made if it is not there.

    Args:
        repository: OWNER/NAME.
        kind: "model" or "dataset".

    Returns the repository's address. Raises UserError if the hub refuses or cannot be reached.
    """
    from huggingface_hub import HfApi

    api, place = HfApi(), {"repo_id": repository, "repo_type": kind}
    try:
        address = api.create_repo(**place, private=private, exist_ok=True)
        api.upload_folder(**place, folder_path=folder, commit_message=message)
    # offline, not logged in, no right to write there: classes without a common base
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise UserError(
            f"{repository}: cannot be uploaded: {reason}. Expected OWNER/NAME of a {kind} that you "
            "may write to; `hf auth login` logs you in"
        ) from error
    return str(address)
