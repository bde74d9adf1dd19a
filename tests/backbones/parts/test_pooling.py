"""Entity and context pooling against their formulas, one entity and one pair at a time."""

import torch
from made_up_batches import random_batch, random_encoded

from backbones.parts.pooling import entity_attention, entity_embeddings, localized_context
from benchmark.data.batches import Encoded


def test_entity_embeddings():
    batch = random_batch()
    states = random_encoded(batch).states
    found = entity_embeddings(states, batch)
    flat = states.flatten(0, 1)
    for entity in range(len(batch.entity_document)):
        expected = flat[batch.mention_state[batch.mention_entity == entity]].exp().sum(0).log()
        torch.testing.assert_close(found[entity], expected)


def test_entity_embeddings_of_large_states_are_finite():
    batch = random_batch()
    states = (random_encoded(batch).states * 1e4).requires_grad_()
    found = entity_embeddings(states, batch)
    found.sum().backward()
    assert found.isfinite().all() and states.grad.isfinite().all()


def test_localized_context():
    batch = random_batch()
    encoded = random_encoded(batch)
    attention = entity_attention(encoded.rows, batch)
    head, tail = batch.entity_of(batch.pairs)
    for heads, epsilon in (("mean", 1e-5), ("sum", 1e-10)):
        found = localized_context(encoded, batch, batch.pairs, heads=heads, epsilon=epsilon)
        for pair in range(len(batch.pairs)):
            product = attention[head[pair]] * attention[tail[pair]]
            weight = product.mean(0) if heads == "mean" else product.sum(0)
            weight = weight / (weight.sum() + epsilon)
            torch.testing.assert_close(found[pair], weight @ encoded.states[batch.pairs[pair, 0]])


def test_entity_attention_is_the_mean_over_mentions():
    batch = random_batch()
    rows = random_encoded(batch).rows
    found = entity_attention(rows, batch)
    for entity in range(len(found)):
        torch.testing.assert_close(found[entity], rows[batch.mention_entity == entity].mean(0))
    assert isinstance(random_encoded(batch), Encoded)
