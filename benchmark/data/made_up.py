"""Tiny random batches and encodings for the checks of backbones, encoders and augmenters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from benchmark.data.batches import Batch, Encoded
from benchmark.data.collation import Collator
from benchmark.data.windows import WindowPlan

PLAN = WindowPlan(size=64, overlap=0, start=1, end=2, pad=0)
CLASSES, HEADS = 6, 4


def made_up_document(number: int, entities: int, seed: int = 0) -> dict[str, Any]:
    """A feature row: 20 to 39 tokens in two sentences, two mentions of two tokens for each entity.

    Every second entity has a fact, which cites the first sentence.
    """
    rng = np.random.default_rng([seed, number])
    length = int(rng.integers(20, 40))
    again = rng.integers(0, max(entities, 1), entities)
    mentions = np.concatenate([np.arange(entities), again]).astype(np.int64)
    pairs = [(h, t) for h in range(entities) for t in range(entities) if h != t]
    facts = [
        (*pairs[i], int(rng.integers(1, CLASSES)))
        for i in rng.permutation(len(pairs))[: entities // 2]
    ]
    head, tail, relation = zip(*facts, strict=True) if facts else ((), (), ())
    tokens, position = rng.integers(5, 100, length), rng.integers(0, length - 2, len(mentions))
    return {
        "row": number,
        "tokens": tokens,
        "mention_position": position,
        "mention_entity": mentions,
        "entities": entities,
        "fact_head": head,
        "fact_tail": tail,
        "fact_class": relation,
        "entity_type": 1 + np.arange(entities) % 3,
        "mention_sentence": (position >= length // 2).astype(np.int64),
        "mention_end": position + 2,
        "sentence_start": [0, length // 2],
        "evidence_head": head,
        "evidence_tail": tail,
        "evidence_sentence": (0,) * len(facts),
        "evidence_count": (1,) * len(facts),
    }


def made_up_batch(
    documents: Sequence[dict[str, Any]], needs: Sequence[str] = (), label_tokens: bool = False
) -> Batch:
    """label_tokens: windows end in a token for each class."""
    plan = replace(PLAN, appended=tuple(range(100, 100 + CLASSES))) if label_tokens else PLAN
    return Collator(plan, needs)(documents)


def made_up_encoding(batch: Batch, width: int = 16, dtype=torch.float64) -> Encoded:
    """Random states and attention rows, zero at padding; seeded by the document's number."""
    states = torch.zeros(len(batch.rows), batch.width, width, dtype=torch.float64)
    rows = torch.zeros(len(batch.mention_state), HEADS, batch.width, dtype=torch.float64)
    of_document = batch.mention_state // batch.width
    for slot, number in enumerate(batch.rows.tolist()):
        rng = torch.Generator().manual_seed(number)
        length, mine = int(batch.lengths[slot]), of_document == slot
        states[slot, :length] = torch.randn(length, width, generator=rng, dtype=torch.float64)
        # by position, so that the order of mentions does not matter
        attention = torch.rand(length, HEADS, length, generator=rng, dtype=torch.float64)
        rows[mine, :, :length] = attention[batch.mention_state[mine] % batch.width]
    return Encoded(states.to(dtype), (rows / rows.sum(-1, keepdim=True)).to(dtype))
