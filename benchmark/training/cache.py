"""The outputs of a frozen encoder, computed once per split and kept on disk: a whole grid on a
laptop never encodes a document twice.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch
from datasets import Dataset
from torch import Tensor

from backbones.encoders.huggingface import Encoder
from benchmark import processes
from benchmark.data.batches import BLANK, Batch, Collator, DocumentBatches, Encoded, Rows
from benchmark.errors import UserError
from benchmark.progress import Progress
from benchmark.training.checkpoints import read_facts, read_tensors, write_tensors


class EncodedSplit:
    """Token states and mention rows of all documents of a split, flat, with offsets."""

    def __init__(self, tensors: dict[str, Tensor]):
        self.states, self.rows = (
            tensors["states"],
            tensors["rows"],
        )  # [sum L, d], [sum M * heads * L]
        self.heads = int(tensors["heads"])
        self.length, self.mentions = tensors["length"], tensors["mentions"]  # [documents]
        self.state_start = self.length.cumsum(0) - self.length
        size = self.mentions * self.heads * self.length
        self.row_start = size.cumsum(0) - size

    def attach(self, batch: Batch) -> Batch:
        """The batch with its documents' encoding."""
        states = self.states.new_zeros(len(batch.rows), batch.width, self.states.shape[1])
        rows = self.rows.new_zeros(len(batch.mention_state), self.heads, batch.width)
        done = 0
        for slot, document in enumerate(batch.rows.tolist()):
            if document == BLANK:
                continue
            length, mentions = int(self.length[document]), int(self.mentions[document])
            states[slot, :length] = self.states.narrow(0, int(self.state_start[document]), length)
            flat = self.rows.narrow(
                0, int(self.row_start[document]), mentions * self.heads * length
            )
            rows[done : done + mentions, :, :length] = flat.view(mentions, self.heads, length)
            done += mentions
        batch.encoded = Encoded(states, rows)
        return batch


class EncodedCollator:
    """A collator whose batches bring the frozen encoder's outputs along."""

    def __init__(self, collator: Collator, split: EncodedSplit):
        self.collator, self.split = collator, split

    def __call__(self, rows) -> Batch:
        return self.split.attach(self.collator(rows))


def encode_once(
    encoder: Encoder, features: Dataset, folder: Path, device: torch.device, progress: Progress
) -> EncodedSplit:
    """The split's encoding from `folder`, or computed and stored there.

    The file's name identifies weights, their configuration, tokens and windows. A torn file is
    replaced.
    """
    config = {
        key: value
        for key, value in encoder.model.config.to_dict().items()
        if not key.startswith(("_", "transformers"))
    }
    sha = hashlib.sha256(
        f"{features._fingerprint}{encoder.windows}{json.dumps(config, sort_keys=True, default=str)}".encode()
    )
    for tensor in encoder.state_dict().values():
        sha.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    path = folder / f"encoded-{sha.hexdigest()[:16]}.safetensors"

    def store() -> None:
        if not path.is_file() or _is_torn(path, progress):
            folder.mkdir(parents=True, exist_ok=True)
            write_tensors(path, _encode(encoder.to(device).eval(), features, device, progress))

    processes.on_main(store)
    return EncodedSplit(read_tensors(path)[0])


def _is_torn(path: Path, progress: Progress) -> bool:
    try:
        read_facts(path)  # looks at the header, and whether the file is as long as it says
    except UserError as error:
        progress.message(f"encoded anew: {error}")
        return True
    return False


@torch.no_grad()
def _encode(
    encoder: Encoder, features: Dataset, device: torch.device, progress: Progress
) -> dict[str, Tensor]:
    collate, rows_of = Collator(encoder.windows), Rows(features)
    order = DocumentBatches(features["length"], 4, order="sorted")
    states: list[Tensor | None] = [None] * len(features)
    rows: list[Tensor | None] = [None] * len(features)
    with progress.task("encoding with the frozen encoder", total=len(order)) as bar:
        for numbers in order:
            batch = collate([rows_of[i] for i in numbers]).to(device)
            encoded = encoder(batch)
            mentions = torch.bincount(
                batch.mention_state // batch.width, minlength=len(numbers)
            ).tolist()
            of_document = encoded.rows.split(mentions)
            for slot, document in enumerate(numbers):
                length = int(batch.lengths[slot])
                states[document] = encoded.states[slot, :length].float().cpu()
                rows[document] = of_document[slot][..., :length].float().cpu()
            bar.advance()
    heads = encoder.model.config.num_attention_heads
    return {
        "states": torch.cat(states),
        "rows": torch.cat([r.flatten() for r in rows]),
        "heads": torch.tensor(heads),
        "length": torch.tensor([len(s) for s in states]),
        "mentions": torch.tensor([len(r) for r in rows]),
    }
