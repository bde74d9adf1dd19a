"""Checks that run over every encoder, the user's included: `run_benchmark.py check NAME`.

Texts are tiny and made up. Each message says what is wrong and how to mend it.
"""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from backbones.encoders.base import Encoder
from benchmark.checks import (
    Case,
    Checks,
    has_a_docstring,
    options_are_keywords_with_literal_defaults,
    run_each,
)
from benchmark.data.batches import Batch, Collator, Encoded
from benchmark.data.made_up import made_up_document

WORDS = [f"w{number}" for number in range(60)]
SENTENCES = [WORDS[start : start + 12] for start in range(0, 60, 6)] * 2
CLOSE = {"rtol": 1e-6, "atol": 1e-8}


def check_encoder(kind: type, options: dict[str, Any] | None = None) -> Checks:
    """Names and checks for a class. Each check raises CheckFailed or returns."""
    yield from run_each(EncoderCase(kind, options), CHECKS)


class EncoderCase(Case):
    def make(self, seed: int = 0) -> Encoder:
        """In evaluation mode and double precision, its weights far from those of a fresh start."""
        torch.manual_seed(seed)
        encoder = self.kind(SENTENCES, **self.options).double().eval()
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

    def encode(self, encoder: Encoder, documents: list[dict]) -> tuple[Encoded, Batch]:
        batch = Collator(encoder.windows, encoder.needs)(documents)
        with torch.no_grad():
            return encoder(batch), batch

    def expect_same(self, found: Encoded, expected: Encoded, message: str) -> None:
        for one, other in zip(found, expected, strict=True):
            same = one is other or torch.allclose(one, other, **CLOSE)
            self.expect(same, message)


def is_an_encoder(case: EncoderCase) -> None:
    if not (inspect.isclass(case.kind) and issubclass(case.kind, Encoder)):
        case.fail("must be a class derived from backbones.encoders.base.Encoder")
    encoder = case.make()
    for name in ("width", "windows", "tokenizer"):
        case.expect(hasattr(encoder, name), f"the constructor must set self.{name}")


def the_tokenizer_gives_ids(case: EncoderCase) -> None:
    tokenizer = case.make().tokenizer
    for word in (WORDS[0], "*", "neverseen"):
        ids = tokenizer(word)
        whole = len(ids) > 0 and all(isinstance(number, int) for number in ids)
        case.expect(whole, f"tokenizer({word!r}) must be a list of ids, at least one, got {ids!r}")
    case.expect(isinstance(tokenizer.key, str), "tokenizer.key must be a text")


def shapes_are_as_declared(case: EncoderCase) -> None:
    encoder = case.make()
    encoded, batch = case.encode(encoder, case.documents(encoder))
    expected = (len(batch.rows), batch.width, encoder.width)
    if encoded.states.shape != expected:
        case.fail(
            f"states must be [documents, tokens, width] = {list(expected)}, "
            f"got {list(encoded.states.shape)}"
        )
    padding = torch.arange(batch.width) >= batch.lengths[:, None]
    if not (encoded.states[padding] == 0).all():
        case.fail("states must be 0 at padding: end with by_document")
    case.expect(encoded.states.isfinite().all(), "states are NaN or infinite")


def attention_rows_are_as_declared(case: EncoderCase) -> None:
    encoder = case.make()
    encoded, batch = case.encode(encoder, case.documents(encoder))
    if encoded.rows is None or not encoder.gives_attention:
        if not (encoded.rows is None and not encoder.gives_attention):
            case.fail("gives_attention must be False if and only if forward returns None as rows")
        return
    M, L = len(batch.mention_state), batch.width
    shape = list(encoded.rows.shape)
    if not (len(shape) == 3 and shape[0] == M and shape[2] == L):
        case.fail(f"rows must be [mentions, heads, tokens] = [{M}, heads, {L}], got {shape}")
    sums = encoded.rows.sum(-1)
    if not ((encoded.rows >= 0).all() and (sums <= 1 + 1e-6).all()):
        case.fail("a mention's attention must be at least 0 and sum to 1 at most")


def packed_and_one_by_one_agree(case: EncoderCase) -> None:
    encoder = case.make()
    documents = case.documents(encoder)
    together, batch = case.encode(encoder, documents)
    of_document = batch.mention_state // batch.width
    for slot, document in enumerate(documents):
        alone, single = case.encode(encoder, [document])
        rows = together.rows
        if rows is not None:
            rows = rows[of_document == slot][..., : single.width]
        case.expect_same(
            Encoded(together.states[slot : slot + 1, : single.width], rows),
            alone,
            "a document's encoding depends on the other documents; mask the padding",
        )


def long_documents_are_cut_into_windows(case: EncoderCase) -> None:
    """Some of the windows hold no mention."""
    encoder = case.make()
    documents = case.documents(encoder)
    whole, _ = case.encode(encoder, documents)
    longest = max(len(document["tokens"]) for document in documents)
    encoder.windows = replace(encoder.windows, size=longest + 2, overlap=0)
    fitting, _ = case.encode(encoder, documents)
    case.expect_same(fitting, whole, "the window's size matters although every text fits")
    encoder.windows = replace(encoder.windows, size=14, overlap=4)
    cut, batch = case.encode(encoder, documents)
    expected = (len(documents), batch.width, encoder.width)
    if not (cut.states.shape == expected and cut.states.isfinite().all()):
        case.fail("texts longer than a window must come back whole: end with by_document")


def evaluation_is_deterministic(case: EncoderCase) -> None:
    encoder = case.make()
    documents = case.documents(encoder)
    torch.manual_seed(1)
    first, _ = case.encode(encoder, documents)
    torch.manual_seed(2)
    again, _ = case.encode(encoder, documents)
    case.expect_same(again, first, "two passes in evaluation mode differ; dropout is for training")


def the_seed_decides_the_weights(case: EncoderCase) -> None:
    one, other = case.make().state_dict(), case.make().state_dict()
    if not all(torch.equal(one[name], other[name]) for name in one):
        case.fail("two encoders of one seed differ: draw weights from torch's generator alone")


def is_restored_from_its_folder(case: EncoderCase) -> None:
    encoder = case.make()
    with tempfile.TemporaryDirectory() as folder:
        encoder.save(Path(folder))
        torch.manual_seed(5)
        restored = case.kind.load(Path(folder), **case.options).double().eval()
    if restored.tokenizer.key != encoder.tokenizer.key:
        case.fail("load() gives another tokenizer than the one that was saved")
    restored.load_state_dict(encoder.state_dict())
    documents = case.documents(encoder)
    case.expect_same(
        case.encode(restored, documents)[0],
        case.encode(encoder, documents)[0],
        "save(), load() and the same weights give other states",
    )


def every_parameter_learns(case: EncoderCase) -> None:
    encoder = case.make().train()
    batch = Collator(encoder.windows, encoder.needs)(case.documents(encoder))
    encoded = encoder(batch)
    loss = encoded.states.square().mean()
    if encoded.rows is not None:
        loss = loss + encoded.rows.square().mean()
    loss.backward()
    idle = [name for name, p in encoder.named_parameters() if p.requires_grad and p.grad is None]
    case.expect(not idle, f"no gradient reaches {', '.join(idle[:3])}; is it used?")
    for name, parameter in encoder.named_parameters():
        finite = parameter.grad is None or parameter.grad.isfinite().all()
        case.expect(finite, f"the gradient of {name} is NaN or infinite")


CHECKS: tuple[Callable[[EncoderCase], None], ...] = (
    is_an_encoder,
    has_a_docstring,
    options_are_keywords_with_literal_defaults,
    the_tokenizer_gives_ids,
    shapes_are_as_declared,
    attention_rows_are_as_declared,
    packed_and_one_by_one_agree,
    long_documents_are_cut_into_windows,
    evaluation_is_deterministic,
    the_seed_decides_the_weights,
    is_restored_from_its_folder,
    every_parameter_learns,
)
