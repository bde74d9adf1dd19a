"""The outputs of an encoder that is not trained, computed once per split and kept on disk: a whole
grid on a laptop never encodes a document twice.

With `augment.stage3: head` the encoder is that of stage 1. It has learned with dropout, so dropout
must survive the cache: the training documents are encoded several times in training mode, and in
each epoch a document comes with one of these encodings. On a single clean encoding the head
overfits, and whatever regularises it looks like a gain.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from datasets import Dataset
from torch import Tensor

from backbones.encoders.base import Encoder
from benchmark import processes
from benchmark.data.batches import Batch, Encoded
from benchmark.data.collation import Collator
from benchmark.data.sampling import BLANK, DocumentBatches, Rows
from benchmark.errors import UserError
from benchmark.progress import Progress
from benchmark.seeds import derive
from benchmark.store.cleaning import ENCODINGS
from benchmark.training.checkpoints import DIGEST, read_facts, read_tensors, write_tensors


class EncodedSplit:
    """Token states and mention rows of all documents of a split, flat, with offsets."""

    def __init__(self, tensors: dict[str, Tensor]):
        self.states = tensors["states"]  # [sum L, d]
        self.rows = tensors["rows"]  # [sum M * heads * L]
        self.heads = int(tensors["heads"])  # 0 for an encoder that gives no attention
        self.length, self.mentions = tensors["length"], tensors["mentions"]  # [documents]
        self.state_start = self.length.cumsum(0) - self.length
        size = self.mentions * self.heads * self.length
        self.row_start = size.cumsum(0) - size

    def of(self, document: int) -> tuple[Tensor, Tensor]:
        """Token states [L, d] and mention rows [M, heads, L] of a document."""
        length, mentions = int(self.length[document]), int(self.mentions[document])
        states = self.states.narrow(0, int(self.state_start[document]), length)
        flat = self.rows.narrow(0, int(self.row_start[document]), mentions * self.heads * length)
        return states, flat.view(mentions, self.heads, length)


@dataclass
class EncodedCollator:
    """A collator whose batches bring the encoder's outputs along.

    Args:
        passes: encodings of the split; with several, `seed`, the epoch (which `batches` knows) and
            the document decide which.
        again: how many other passes a batch brings as well; at most all there are.
    """

    collator: Collator
    passes: Sequence[EncodedSplit]
    batches: DocumentBatches | None = None
    seed: int = 0
    again: int = 0

    def __call__(self, rows: Sequence[dict]) -> Batch:
        batch = self.collator(rows)
        batch.encoded = self._joined(batch, 0)
        others = range(1, min(1 + self.again, len(self.passes)))
        batch.encoded_again = tuple(self._joined(batch, further) for further in others)
        return batch

    def _joined(self, batch: Batch, further: int) -> Encoded:
        """A batch's encoding in float32, by the pass `further` places after the drawn one."""
        width, heads = self.passes[0].states.shape[1], self.passes[0].heads
        states = torch.zeros(len(batch.rows), batch.width, width)
        rows = torch.zeros(len(batch.mention_state), heads, batch.width)
        done = 0
        for slot, document in enumerate(batch.rows.tolist()):
            if document == BLANK:
                continue
            of_tokens, of_mentions = self._pass(document, further).of(document)
            length, mentions = len(of_tokens), len(of_mentions)
            states[slot, :length] = of_tokens
            rows[done : done + mentions, :, :length] = of_mentions
            done += mentions
        return Encoded(states, rows if heads else None)

    def _pass(self, document: int, further: int = 0) -> EncodedSplit:
        if len(self.passes) == 1:
            return self.passes[0]
        drawn = derive(self.seed, "pass", self.batches.epoch, document)
        return self.passes[(drawn + further) % len(self.passes)]


def encode_once(
    encoder: Encoder, features: Dataset, folder: Path, device: torch.device, progress: Progress
) -> EncodedSplit:
    """The split's encoding from `folder`, or computed and stored there.

    The file's name identifies weights, their configuration, tokens and windows.
    """
    kind = f"{type(encoder).__module__}.{type(encoder).__qualname__}"
    text = f"{features._fingerprint}{encoder.windows}{kind}{encoder.settings()}"
    sha = hashlib.sha256(text.encode())
    for tensor in encoder.state_dict().values():
        sha.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy())
    digest = sha.hexdigest()[:16]
    encode = lambda: _encode(encoder.to(device).eval(), features, device, progress)
    return _stored(folder / f"encoded-{digest}.safetensors", digest, encode)


def encode_with_stage1(
    encoder: Encoder,
    features: Dataset,
    weights: Path,
    name: str,
    device: torch.device,
    progress: Progress,
    dropout_seed: int | None = None,
) -> EncodedSplit:
    """A split, called `name`, as the encoder of stage 1 sees it, in half precision; kept beside its
    `weights`.

    dropout_seed: the encoder is in training mode, with this seed; None: it is not.
    """
    of_weights = read_facts(weights).get(DIGEST)
    facts = f"{features._fingerprint}{encoder.windows}{dropout_seed}{of_weights}"

    def encode() -> dict[str, Tensor]:
        with torch.random.fork_rng([device] if device.type == "cuda" else [], device_type="cuda"):
            torch.manual_seed(dropout_seed or 0)
            encoder.to(device).train(dropout_seed is not None)
            found = _encode(encoder, features, device, progress)
        return found | {name: found[name].half() for name in ("states", "rows")}

    path = weights.parent / ENCODINGS.replace("*", name)
    return _stored(path, hashlib.sha256(facts.encode()).hexdigest()[:16], encode)


def _stored(path: Path, digest: str, encode: Callable[[], dict[str, Tensor]]) -> EncodedSplit:
    """The encoding in `path`, made first if the file is missing, torn or of something else."""

    def store() -> None:
        # the header is enough: it tells a torn file as well
        with contextlib.suppress(UserError):
            if read_facts(path).get("of") == digest:
                return
        path.parent.mkdir(parents=True, exist_ok=True)
        write_tensors(path, encode(), {"of": digest})

    processes.on_main(store)
    return EncodedSplit(read_tensors(path)[0])


@torch.no_grad()
def _encode(
    encoder: Encoder, features: Dataset, device: torch.device, progress: Progress
) -> dict[str, Tensor]:
    collate, rows_of = Collator(encoder.windows, encoder.needs), Rows(features, encoder.needs)
    order = DocumentBatches(features["length"], 4, order="sorted")
    states: list[Tensor | None] = [None] * len(features)
    rows: list[Tensor | None] = [None] * len(features)
    with progress.task("encoding documents once", total=len(order)) as bar:
        for numbers in order:
            batch = collate([rows_of[i] for i in numbers]).to(device)
            document = batch.mention_state // batch.width
            mentions = torch.bincount(document, minlength=len(numbers)).tolist()
            found, attended = encoder(batch)[:2]
            if attended is None:
                attended = found.new_zeros(sum(mentions), 0, batch.width)
            of_document, heads = attended.split(mentions), attended.shape[1]
            for slot, (number, length) in enumerate(zip(numbers, batch.lengths, strict=True)):
                states[number] = found[slot, :length].float().cpu()
                rows[number] = of_document[slot][..., :length].float().cpu()
            bar.advance()
    return {
        "states": torch.cat(states),
        "rows": torch.cat([r.flatten() for r in rows]),
        "heads": torch.tensor(heads),
        "length": torch.tensor([len(s) for s in states]),
        "mentions": torch.tensor([len(r) for r in rows]),
    }
