"""Random batches for tests of backbones."""

import numpy as np
import torch

from benchmark.data.batches import Batch, Collator, Encoded, WindowPlan

COLLATE = Collator(WindowPlan(64, 0, 1, 2, 0))


def random_row(number: int, entities: int, classes: int = 6, seed: int = 0) -> dict:
    rng = np.random.default_rng([seed, number])
    length = int(rng.integers(20, 40))
    mentions = (
        np.concatenate([np.arange(entities), rng.integers(0, max(entities, 1), entities)])
        if entities
        else np.zeros(0, int)
    )
    pairs = [(h, t) for h in range(entities) for t in range(entities) if h != t]
    facts = [
        (*pairs[i], int(rng.integers(1, classes)))
        for i in rng.permutation(len(pairs))[: entities // 2]
    ]
    head, tail, relation = zip(*facts, strict=True) if facts else ((), (), ())
    return {
        "row": number,
        "tokens": rng.integers(5, 100, length),
        "mention_position": rng.integers(0, length, len(mentions)),
        "mention_entity": mentions,
        "entities": entities,
        "fact_head": head,
        "fact_tail": tail,
        "fact_class": relation,
    }


def random_batch(entities=(3, 5, 2, 0), seed: int = 0) -> Batch:
    return COLLATE([random_row(number, n, seed=seed) for number, n in enumerate(entities)])


def random_encoded(batch: Batch, width: int = 16, heads: int = 4, seed: int = 0) -> Encoded:
    rng = torch.Generator().manual_seed(seed)
    states = torch.randn(len(batch.rows), batch.width, width, generator=rng, dtype=torch.float64)
    rows = torch.rand(
        len(batch.mention_state), heads, batch.width, generator=rng, dtype=torch.float64
    )
    document = batch.mention_state // batch.width
    real = torch.arange(batch.width) < batch.lengths[:, None]
    rows = rows * real[document][:, None]
    return Encoded(states * real[..., None], rows / rows.sum(-1, keepdim=True))


def only(batch: Batch, encoded: Encoded, number: int, rows: list[dict]) -> tuple[Batch, Encoded]:
    """One document of a batch on its own."""
    alone = COLLATE([rows[number]])
    mentions = batch.mention_state // batch.width == number
    return alone, Encoded(
        encoded.states[number : number + 1, : alone.width],
        encoded.rows[mentions][..., : alone.width],
    )
