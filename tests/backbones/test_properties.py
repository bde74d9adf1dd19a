"""Whatever the documents: packed and one by one agree, and what is only a matter of order moves
rows and changes nothing else.
"""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_up_batches import COLLATE, only, random_encoded, random_row

from backbones.encoders.huggingface import HuggingFaceEncoder
from backbones.encoders.tiny import Tiny
from benchmark.data.batches import Collator, Encoded, WindowPlan
from benchmark.data.pairs import Pairs
from benchmark.registry import BACKBONES
from benchmark.training.objective import Mixing, training_loss

CLASSES = 6
SMALL = {
    "atlop": {"emb": 16, "block": 4},
    "kd_docre": {"emb": 16, "block": 4, "layers": 2},
    "baseline": {"emb": 16, "block": 4, "layers": 2},
}
SOME = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
CLOSE = {"rtol": 1e-9, "atol": 1e-11}

several = st.lists(st.integers(0, 6), min_size=1, max_size=5)  # entities of each document
seeds = st.integers(0, 10_000)


@pytest.fixture(params=SMALL)
def backbone(request):
    torch.manual_seed(0)
    return BACKBONES[request.param](16, CLASSES, **SMALL[request.param]).double()


def documents(entities, seed):
    rows = [random_row(number, n, seed=seed) for number, n in enumerate(entities)]
    batch = COLLATE(rows)
    return rows, batch, random_encoded(batch, seed=seed)


def predictions(backbone, encoded, batch):
    """(row, head, tail) -> logits."""
    logits = backbone.classify(backbone.represent(encoded, batch))
    keys = ((int(batch.rows[d]), h, t) for d, h, t in batch.pairs.tolist())
    return dict(zip(keys, logits, strict=True))


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, **CLOSE)


@SOME
@given(several, seeds)
def test_packed_and_one_by_one_agree(backbone, entities, seed):
    rows, batch, encoded = documents(entities, seed)
    alone = {}
    for number in range(len(rows)):
        one, its = only(batch, encoded, number, rows)
        alone |= predictions(backbone, its, one)
    assert len(alone) == sum(n * (n - 1) for n in entities)
    assert_same(predictions(backbone, encoded, batch), alone)


@SOME
@given(several, seeds, st.randoms(use_true_random=False))
def test_the_order_of_documents_moves_rows_and_leaves_the_loss(backbone, entities, seed, random):
    rows, batch, encoded = documents(entities, seed)
    order = list(range(len(rows)))
    random.shuffle(order)
    other = COLLATE([rows[i] for i in order])
    mention_document = batch.mention_state // batch.width
    mentions = torch.cat([(mention_document == i).nonzero()[:, 0] for i in order])
    moved = Encoded(encoded.states[order], encoded.rows[mentions])
    assert_same(predictions(backbone, moved, other), predictions(backbone, encoded, batch))
    loss = lambda e, b: training_loss(
        backbone,
        Pairs(backbone.represent(e, b), b.labels(CLASSES).double()),
        None,
        e,
        b,
        mixing=Mixing(),
    )
    torch.testing.assert_close(
        loss(moved, other), loss(encoded, batch), rtol=1e-6, atol=1e-9
    )  # summed in single precision


@SOME
@given(st.integers(1, 6), seeds, st.randoms(use_true_random=False))
def test_the_order_of_mentions_changes_nothing(backbone, entities, seed, random):
    (row,), batch, encoded = documents([entities], seed)
    order = list(range(len(row["mention_entity"])))
    random.shuffle(order)
    shuffled = {
        **row,
        "mention_position": row["mention_position"][order],
        "mention_entity": row["mention_entity"][order],
    }
    moved = Encoded(encoded.states, encoded.rows[order])
    assert_same(
        predictions(backbone, moved, COLLATE([shuffled])), predictions(backbone, encoded, batch)
    )


@SOME
@given(st.integers(1, 6), seeds, st.randoms(use_true_random=False))
def test_the_numbers_of_entities_are_names(backbone, entities, seed, random):
    (row,), batch, encoded = documents([entities], seed)
    name = list(range(entities))
    random.shuffle(name)
    renamed = {**row, "mention_entity": np.array(name)[row["mention_entity"]]}
    for key in ("fact_head", "fact_tail"):
        renamed[key] = [name[e] for e in row[key]]
    other = COLLATE([renamed])
    before = predictions(backbone, encoded, batch)
    assert_same(
        predictions(backbone, encoded, other),
        {(d, name[h], name[t]): x for (d, h, t), x in before.items()},
    )
    facts = lambda b: {
        (*b.pairs[p].tolist()[1:], c)
        for p, c in zip(b.fact_pair, b.fact_class.tolist(), strict=True)
    }
    assert facts(other) == {(name[h], name[t], c) for h, t, c in facts(batch)}


# ---- windows


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    made: HuggingFaceEncoder = (
        Tiny([[f"w{i}" for i in range(40)]], vocabulary=150, width=8, layers=1, heads=2)
        .eval()
        .double()
    )
    for parameter in made.parameters():  # far from the near-uniform attention of fresh weights
        parameter.data.mul_(5)
    return made


def texts(encoder, entities, seed):
    """Rows whose tokens the encoder knows."""
    rows = [random_row(number, n, seed=seed) for number, n in enumerate(entities)]
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
