"""The order of mentions changes nothing, and windows cover the text. `check` does the rest."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_up_batches import random_documents, random_encoded

from benchmark.data.made_up import CLASSES, made_up_batch
from benchmark.data.windows import WindowPlan
from benchmark.registry import BACKBONES

SMALL = {"atlop": {"emb": 16, "block": 4}, "kd_docre": {"emb": 16, "block": 4, "layers": 2}}
UNCHECKED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
SOME = settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=UNCHECKED)
CLOSE = {"rtol": 1e-9, "atol": 1e-11}


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
@given(st.integers(1, 6), st.integers(0, 10_000), st.randoms(use_true_random=False))
def test_the_order_of_mentions_changes_nothing(backbone, entities, seed, random):
    (row,) = random_documents([entities], seed)
    order = list(range(len(row["mention_entity"])))
    random.shuffle(order)
    moved = {key: row[key][order] for key in ("mention_position", "mention_entity")}
    found, expected = predictions(backbone, [row | moved]), predictions(backbone, [row])
    torch.testing.assert_close(found, expected, **CLOSE)


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
