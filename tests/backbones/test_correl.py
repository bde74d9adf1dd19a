"""Correl against loops over pairs, documents and relations, as its paper describes it."""

import pytest
import torch
from made_up_batches import random_documents, random_encoded
from torch.nn.functional import binary_cross_entropy_with_logits as entropy

from backbones.correl import Correl
from benchmark.data.made_up import made_up_batch
from benchmark.data.pairs import Pairs

CLASSES, WIDTH = 6, 16
# documents of several pairs and relations; of one relation; of one pair; without facts
FACTS = (
    {(0, 1): [2], (1, 0): [3, 5], (2, 4): [2], (3, 1): [1]},
    {(0, 2): [4], (3, 1): [4]},
    {(1, 2): [1, 5]},
    {},
)


def documents(facts=FACTS):
    rows = random_documents([5] * len(facts))
    for row, of_pairs in zip(rows, facts, strict=True):
        triples = [(h, t, r) for (h, t), relations in of_pairs.items() for r in relations]
        for i, name in enumerate(("head", "tail", "class")):
            row[f"fact_{name}"] = [triple[i] for triple in triples]
    return rows


def given(rows, **options):
    """A backbone, a batch, its encoding and the auxiliary loss."""
    torch.manual_seed(0)
    model = Correl(WIDTH, CLASSES, emb=16, block=4, **options).double()
    batch = made_up_batch(rows, (), label_tokens=True)
    encoded = random_encoded(batch)
    found = Pairs(model.represent(encoded, batch), batch.labels(CLASSES).double())
    return model, batch, encoded, model.auxiliary_loss(found, encoded, batch)


def of_pair(batch, encoded, pair):
    """The entities' embeddings, the context and the context of label tokens of a pair, by hand."""
    d, *sides = pair
    embedded, attention = [], []
    for slot in sides:
        entity = (batch.entity_document == d) & (batch.entity_slot == slot)
        mentions = (batch.mention_entity == int(entity.nonzero())).nonzero().flatten()
        states = encoded.states[d][batch.mention_state[mentions] % batch.width]
        embedded.append(states.logsumexp(0))
        attention.append(encoded.rows[mentions].mean(0))
    weights = (attention[0] * attention[1]).mean(0)
    labels = slice(int(batch.lengths[d]) - 1 - CLASSES, int(batch.lengths[d]) - 1)
    context = weights @ encoded.states[d] / (weights.sum() + 1e-5)
    of_labels = weights[labels] @ encoded.states[d, labels] / (weights[labels].sum() + 1e-5)
    return embedded, context, of_labels, encoded.states[d, labels]


def test_representations():
    model, batch, encoded, _ = given(documents())
    found = model.represent(encoded, batch)
    for number, pair in enumerate(batch.pairs.tolist()):
        embedded, context, of_labels, _ = of_pair(batch, encoded, pair)
        layers = model.features.head, model.features.tail
        sides = [
            torch.tanh(layer(torch.cat([entity, context, of_labels])))
            for layer, entity in zip(layers, embedded, strict=True)
        ]
        torch.testing.assert_close(found[number], torch.cat(sides))


def decisions(layer, vectors, members, candidates):
    """The entropies of leaving out each member in turn, one for each decision."""
    found = []
    for left_out in members:
        others = torch.stack([vectors[m] for m in members if m != left_out]).mean(0)
        for candidate in candidates:
            if candidate == left_out or candidate not in members:
                score = layer(others) @ vectors[candidate]
                label = torch.tensor(float(candidate in members), dtype=score.dtype)
                found.append(entropy(score, label))
    return found


@pytest.mark.parametrize("pooled", [True, False])
def test_auxiliary_losses(pooled):
    of_relations, of_pairs = [], []
    model, batch, encoded, found = given(documents(), pooled=pooled)
    for d, facts in enumerate(FACTS):
        pairs = [tuple(pair[1:]) for pair in batch.pairs.tolist() if pair[0] == d]
        made = {pair: of_pair(batch, encoded, (d, *pair)) for pair in pairs}
        tokens = made[pairs[0]][3]
        relations = sorted({r for some in facts.values() for r in some})
        if len(relations) > 1:
            of_relations += decisions(model.of_relations, tokens, relations, range(1, CLASSES))
        contexts = {pair: parts[2] for pair, parts in made.items()}
        if pooled:
            contexts = {pair: torch.tanh(model.pool(part)) for pair, part in contexts.items()}
        if len(facts) > 1:
            entropies = decisions(model.of_pairs, contexts, list(facts), pairs)
            of_pairs.append(torch.stack(entropies).mean())
    assert len(of_pairs) == 2
    expected = 0.7 * torch.stack(of_relations).mean() + 0.3 * torch.stack(of_pairs).mean()
    torch.testing.assert_close(found, expected)


def test_processes_with_a_part_of_the_documents_each():
    """Each has the loss of all documents."""
    rows, parts = documents(), []
    *_, whole = given(rows)
    for part in (rows[:1], rows[1:]):
        model, batch, encoded, _ = given(part)
        batch.everywhere = lambda values: parts.append(values) or values
        model.auxiliary_loss(Pairs(encoded.states, None), encoded, batch)
    batch.everywhere = lambda values: torch.cat(parts)
    found = model.auxiliary_loss(Pairs(encoded.states, None), encoded, batch)
    torch.testing.assert_close(found, whole)


NEITHER = ({(0, 1): [2]}, {(3, 2): [2]}, {})  # no two relations and no two pairs in a document


@pytest.mark.parametrize("combination", ["product", "sum"])
def test_a_task_that_no_document_has_is_left_out(combination):
    options = {"combination": combination}
    main = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    model, *_, neither = given(documents(NEITHER), **options)
    total = model.combine(main, neither)
    total.backward()
    assert neither == 0 and total == main and main.grad == 1
    assert all(p.grad is None or (p.grad == 0).all() for p in model.parameters())
    for facts, weight, other in (
        (({(0, 1): [2], (1, 2): [2]},), 0.0, 1.0),  # one relation
        (({(0, 1): [2, 3]},), 1.0, 0.0),  # one pair
    ):
        *_, there = given(documents(facts), alpha=weight)
        *_, absent = given(documents(facts), alpha=other)
        assert there > 0 and absent == 0


def test_combinations():
    main, auxiliary = torch.tensor(0.2), torch.tensor(0.5)
    product = Correl(WIDTH, CLASSES, emb=16, block=4).combine(main, auxiliary)
    assert product.item() == pytest.approx(1.25 * 0.2 * 0.5 / (0.2 + 0.25 * 0.5))
    assert Correl(WIDTH, CLASSES, emb=16, block=4, combination="sum").combine(1.0, 2.0) == 3
    nothing = torch.zeros((), requires_grad=True)  # a batch without pairs
    Correl(WIDTH, CLASSES, emb=16, block=4).combine(nothing, torch.zeros(())).backward()
    assert nothing.grad == 1
