"""Checks that run over every encoder, the user's included: `run_benchmark.py check NAME`.

Texts are tiny and made up. Each message says what is wrong and how to mend it.
"""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from backbones.encoders.base import Encoder
from benchmark.checks import Case, Checks, checks_of, run_each
from benchmark.data.batches import OPTIONAL, Batch, Encoded
from benchmark.data.collation import Collator
from benchmark.data.made_up import made_up_document

WORDS = [f"w{number}" for number in range(60)]
SENTENCES = [WORDS[start : start + 12] for start in range(0, 60, 6)] * 2


def check_encoder(kind: type, options: dict[str, Any] | None = None) -> Checks:
    """Names and checks for a class. Each check raises CheckFailed or returns."""
    return run_each(EncoderCase(kind, options), checks_of(__name__))


class EncoderCase(Case):
    base = Encoder
    required = ("forward",)
    optional = frozenset(OPTIONAL)
    tolerance = {"rtol": 1e-6, "atol": 1e-8}

    def make(self) -> Encoder:
        """In evaluation mode and double precision, its weights far from those of a fresh start."""
        torch.manual_seed(0)
        encoder = self.made(self.kind(SENTENCES, **self.options), "tokenizer", "windows", "width")
        encoder = encoder.double().eval()
        for parameter in encoder.parameters():
            parameter.data.mul_(2)
        return encoder

    def documents(self, encoder: Encoder) -> list[dict]:
        """Feature rows of texts of 10 to 40 words, one of them without entities."""
        rows = [made_up_document(number, n) for number, n in enumerate((3, 5, 0, 1))]
        for row in rows:
            words = [WORDS[token % len(WORDS)] for token in row["tokens"]]
            row["tokens"] = [encoder.tokenizer(word)[0] for word in words]
        return rows

    def encode(
        self, encoder: Encoder, documents: list[dict] | None = None
    ) -> tuple[Encoded, Batch]:
        documents = self.documents(encoder) if documents is None else documents
        batch = Collator(encoder.windows, encoder.needs)(documents)
        encoded = encoder(batch)
        message = f"forward returns {type(encoded).__name__}, no Encoded: end with by_document"
        self.expect(isinstance(encoded, Encoded), message)
        return encoded, batch


def the_tokenizer_gives_ids(case: EncoderCase) -> None:
    tokenizer = case.make().tokenizer
    for word in (WORDS[0], "*", "neverseen"):
        ids = tokenizer(word)
        sound = len(ids) > 0 and all(isinstance(number, int) for number in ids)
        case.expect(sound, f"tokenizer({word!r}) must be a list of ids, at least one, got {ids!r}")
    case.expect(isinstance(tokenizer.key, str), "tokenizer.key must be a string")


def shapes_are_as_declared(case: EncoderCase) -> None:
    encoder = case.make()
    encoded, batch = case.encode(encoder)
    M, L, shape = len(batch.mention_state), batch.width, list(encoded.states.shape)
    expected = [len(batch.rows), L, encoder.width]
    message = f"states must be [documents, tokens, width] {expected}, got {shape}"
    case.expect(shape == expected, message)
    floating = encoded.states.is_floating_point()
    case.expect(floating, f"states must be floating point, got {encoded.states.dtype}")
    padding = torch.arange(L) >= batch.lengths[:, None]
    silent, finite = encoded.states[padding] == 0, encoded.states.isfinite()
    where = " at padding (0 times NaN is NaN)" if finite[~padding].all() else ""
    case.expect(finite.all(), f"states are NaN or infinite{where}")
    case.expect(silent.all(), "states must be 0 at padding: end with by_document")
    rows, given = encoded.rows, encoded.rows is not None
    declared = given == encoder.gives_attention
    case.expect(declared, "gives_attention must be False if and only if rows are None")
    if not given:
        return
    shape = rows.shape == (M, rows.shape[1], L)
    case.expect(shape, f"rows must be [mentions {M}, heads, tokens {L}], got {list(rows.shape)}")
    sound = (rows >= 0).all() and (rows.sum(-1) <= 1 + 1e-6).all()
    case.expect(sound, "a mention's attention must be at least 0 and sum to 1 at most")


def packed_and_one_by_one_agree(case: EncoderCase) -> None:
    encoder = case.make()
    together, batch = case.encode(encoder)
    of_document = batch.mention_state // batch.width
    for slot, document in enumerate(case.documents(encoder)):
        alone, single = case.encode(encoder, [document])
        rows = together.rows
        if rows is not None:
            rows = rows[of_document == slot][..., : single.width]
        found = Encoded(together.states[slot : slot + 1, : single.width], rows)
        message = "a document's encoding depends on the other documents; mask the padding"
        case.expect_same(found, alone, message)


def long_documents_are_cut_into_windows(case: EncoderCase) -> None:
    """Some of the windows hold no mention."""
    encoder = case.make()
    whole, batch = case.encode(encoder)
    encoder.windows = replace(encoder.windows, size=batch.width, overlap=0)
    message = "the window's size changes the states, although every text fits into one window"
    case.expect_same(case.encode(encoder)[0], whole, message)
    encoder.windows = replace(encoder.windows, size=14, overlap=4)
    states = case.encode(encoder)[0].states
    joined = states.shape == whole.states.shape
    case.expect(joined, "texts longer than a window must come back whole: end with by_document")
    case.expect(states.isfinite().all(), "states of texts longer than a window are NaN or infinite")


def further_tokens_end_every_window(case: EncoderCase) -> None:
    """Of an encoder that takes some."""
    if case.kind.append_tokens is Encoder.append_tokens:
        return
    encoder, number = case.make(), 3
    lengths = case.encode(encoder)[1].lengths
    encoder.append_tokens(number)
    encoded, batch = case.encode(encoder)
    longer = batch.lengths - lengths == number + 1  # an end follows them
    case.expect(longer.all(), "append_tokens must set windows.appended to the ids of its tokens")
    with tempfile.TemporaryDirectory() as folder:
        encoder.save(Path(folder))
        restored = case.kind.load(Path(folder), **case.options).double().eval()
    restored.append_tokens(number)
    restored.load_state_dict(encoder.state_dict())
    message = "states differ after save(), load() and append_tokens() with the same weights"
    case.expect_same(case.encode(restored)[0], encoded, message)


def evaluation_is_deterministic(case: EncoderCase) -> None:
    encoder = case.make()
    torch.manual_seed(1)
    first, _ = case.encode(encoder)
    torch.manual_seed(2)
    message = "two passes in evaluation mode differ; dropout is for training"
    case.expect_same(case.encode(encoder)[0], first, message)


def the_seed_decides_the_weights(case: EncoderCase) -> None:
    one, other = dict(case.make().state_dict()), dict(case.make().state_dict())
    message = "two encoders of one seed differ: draw weights from torch's generator alone"
    case.expect_same(one, other, message, rtol=0, atol=0)


def is_restored_from_its_folder(case: EncoderCase) -> None:
    encoder = case.make()
    with tempfile.TemporaryDirectory() as folder:
        encoder.save(Path(folder))
        torch.manual_seed(5)
        restored = case.kind.load(Path(folder), **case.options).double().eval()
    same_ids = restored.tokenizer.key == encoder.tokenizer.key
    case.expect(same_ids, "load() gives another tokenizer than the one that was saved")
    restored.load_state_dict(encoder.state_dict())
    message = "states differ after save() and load() with the same weights"
    case.expect_same(case.encode(restored)[0], case.encode(encoder)[0], message)


def every_parameter_learns(case: EncoderCase) -> None:
    encoder = case.make().train()
    encoded, _ = case.encode(encoder)
    loss = sum(part.square().mean() for part in encoded if part is not None)
    case.expect_gradients(loss, encoder, everywhere=True)
