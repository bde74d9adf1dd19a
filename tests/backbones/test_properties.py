"""Whatever the documents: the order of mentions changes nothing, and windows agree with a single
pass. `check` does the rest.
"""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_up_batches import random_documents, random_encoded

from backbones.encoders.tiny import Tiny
from benchmark.data.batches import Collator, WindowPlan
from benchmark.data.made_up import CLASSES, made_up_batch
from benchmark.registry import BACKBONES

SMALL = {"atlop": {"emb": 16, "block": 4}, "kd_docre": {"emb": 16, "block": 4, "layers": 2}}
UNCHECKED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
SOME = settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=UNCHECKED)
CLOSE = {"rtol": 1e-9, "atol": 1e-11}

several = st.lists(st.integers(0, 6), min_size=1, max_size=5)  # entities of each document
seeds = st.integers(0, 10_000)


@pytest.fixture(params=SMALL)
def backbone(request):
    torch.manual_seed(0)
    return BACKBONES[request.param](16, CLASSES, **SMALL[request.param]).double()


def predictions(backbone, rows):
    """(row, head, tail) -> logits."""
    batch = made_up_batch(rows)
    logits = backbone.classify(backbone.represent(random_encoded(batch), batch))
    keys = ((int(batch.rows[d]), h, t) for d, h, t in batch.pairs.tolist())
    return dict(zip(keys, logits, strict=True))


@SOME
@given(st.integers(1, 6), seeds, st.randoms(use_true_random=False))
def test_the_order_of_mentions_changes_nothing(backbone, entities, seed, random):
    (row,) = random_documents([entities], seed)
    order = list(range(len(row["mention_entity"])))
    random.shuffle(order)
    moved = {key: row[key][order] for key in ("mention_position", "mention_entity")}
    found, expected = predictions(backbone, [row | moved]), predictions(backbone, [row])
    torch.testing.assert_close(found, expected, **CLOSE)


# ---- windows


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    words = [f"w{i}" for i in range(40)]
    made = Tiny([words], vocabulary=150, width=8, layers=1, heads=2).eval().double()
    for parameter in made.parameters():  # far from the near-uniform attention of fresh weights
        parameter.data.mul_(5)
    return made


def texts(encoder, entities, seed):
    """Rows whose tokens the encoder knows."""
    rows = random_documents(entities, seed)
    return [{**row, "tokens": row["tokens"] % encoder.model.config.vocab_size} for row in rows]


@SOME
@given(several, seeds, st.integers(0, 200), st.integers(0, 30))
@torch.no_grad()
def test_windows_agree_with_a_single_pass_where_the_text_fits(
    encoder, entities, seed, overlap, room
):
    rows = texts(encoder, entities, seed)
    longest = max(len(row["tokens"]) for row in rows)
    plan = encoder.windows
    whole, cut = (
        Collator(WindowPlan(size, around, plan.start, plan.end, plan.pad))(rows)
        for size, around in ((plan.size, 0), (longest + 2 + room, overlap))
    )
    assert cut.single_window or room
    for found, expected in zip(encoder(cut), encoder(whole), strict=True):
        torch.testing.assert_close(found, expected, **CLOSE)


@SOME
@given(several, seeds, st.integers(4, 30), st.integers(0, 40))
@torch.no_grad()
def test_windows_do_not_depend_on_the_other_documents(encoder, entities, seed, size, overlap):
    rows = texts(encoder, entities, seed)
    plan = encoder.windows
    collate = Collator(WindowPlan(size, overlap, plan.start, plan.end, plan.pad))
    batch = collate(rows)
    together, first = encoder(batch), 0
    for number, row in enumerate(rows):
        alone = encoder(collate([row]))
        length, mentions = len(row["tokens"]) + 2, len(row["mention_position"])
        torch.testing.assert_close(together.states[number, :length], alone.states[0], **CLOSE)
        torch.testing.assert_close(
            together.rows[first : first + mentions, :, :length], alone.rows, **CLOSE
        )
        first += mentions


@SOME
@given(st.integers(0, 3000), st.integers(3, 600), st.integers(0, 700))
def test_windows_cover_the_text_and_share_what_was_asked(tokens, size, overlap):
    plan, room = WindowPlan(size, overlap, 1, 2, 0), size - 2
    starts = plan.starts(tokens)
    ends = np.minimum(starts + room, tokens)
    assert starts[0] == 0 and ends[-1] == tokens and (np.diff(starts) > 0).all()
    assert (ends[:-1] - starts[1:] >= min(overlap, room // 2)).all()
    if tokens <= room:
        assert len(starts) == 1
