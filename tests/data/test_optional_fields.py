"""Optional fields of a batch, against a plain reading of the documents."""

from collections import Counter

import pytest
import torch
from samples import ADA, LONELY, NOBODY, ROME, corpus, document

from backbones.encoders.tiny import Tiny
from benchmark.data.batches import OPTIONAL
from benchmark.data.collation import Collator
from benchmark.data.features import MARKER, featurise
from benchmark.data.sampling import Rows
from benchmark.data.synthetic import synthetic
from benchmark.data.windows import WindowPlan
from benchmark.errors import UserError
from benchmark.progress import Progress
from benchmark.training.cache import EncodedCollator, encode_once

CITED = document(
    "Cited",
    ["Ada met Bob in Rome .", "", "Bob left Rome .", "Ada stayed ."],
    [[(0, 0, 1), (3, 0, 1)], [(0, 2, 3), (2, 0, 1)], [(0, 4, 5), (2, 2, 3)]],
    [(0, 1, "r1"), (0, 1, "r2"), (1, 2, "r1"), (2, 2, "r3")],
)
for fact, evidence in zip(CITED["facts"], ([0], [0, 3], [2], [0]), strict=True):
    fact["evidence"] = evidence
for entity, kind in zip(CITED["entities"], ("PER", "PER", "LOC"), strict=True):
    entity["type"] = kind


def encoder_of(rows):
    words = [sentence for row in rows for sentence in row["sentences"]]
    return Tiny(words, vocabulary=300, width=8, layers=1, heads=2).eval()


def batch_of(made, split="train", needs=tuple(OPTIONAL), size=512):
    documents = getattr(made, split)
    tokenizer = encoder_of(made.train).tokenizer
    rows = Rows(featurise(documents, made, tokenizer, training=split == "train"), needs)
    plan = WindowPlan(size, 2, 1, 2, 0)
    return Collator(plan, needs)([rows[i] for i in range(len(documents))]), tokenizer


def read(tokenizer, tokens):
    pieces = tokenizer.fast.convert_ids_to_tokens(tokens.tolist())
    return " ".join(pieces).replace(" ##", "").split()


def expected_evidence(documents, *, undirected=False):
    """{(document, head, tail, sentence): number of facts}, of pairs of different entities."""
    counts = Counter()
    for d, row in enumerate(documents):
        for fact in row["facts"]:
            head, tail = fact["head"], fact["tail"]
            for pair in ((head, tail), (tail, head))[: 1 + undirected]:
                counts.update((d, *pair, s) for s in fact.get("evidence") or () if head != tail)
    return dict(counts)


@pytest.mark.parametrize("undirected", [False, True])
@pytest.mark.parametrize("size", [10, 512])  # several windows a document, and one
def test_every_field_is_that_of_the_documents(undirected, size):
    made = corpus([CITED, NOBODY, ADA, LONELY, ROME], undirected=undirected)
    batch, tokenizer = batch_of(made, size=size)
    documents = list(made.train)

    kinds = [entity["type"] for row in documents for entity in row["entities"]]
    names = {number: name for name, number in made.type_ids.items()}
    assert [names[number] for number in batch.entity_type.tolist()] == kinds

    mentions = [m for row in documents for e in row["entities"] for m in e["mentions"]]
    assert batch.mention_sentence.tolist() == [m["sentence"] for m in mentions]
    tokens = torch.zeros(len(documents) * batch.width, dtype=torch.long)
    inside = batch.window_target < len(tokens)
    tokens[batch.window_target[inside]] = batch.window_ids[inside]
    for mention, start, end in zip(mentions, batch.mention_state, batch.mention_end, strict=True):
        marked = read(tokenizer, tokens[start:end])
        assert marked[0] == marked[-1] == MARKER
        assert marked[1:-1] == mention["name"].lower().split()

    for d, row in enumerate(documents):
        text = tokens[d * batch.width : d * batch.width + int(batch.lengths[d])]
        for s, sentence in enumerate(row["sentences"]):
            piece = text[batch.token_sentence[d, : len(text)] == s]
            words = [word for word in read(tokenizer, piece) if word != MARKER]
            assert words == " ".join(sentence).lower().split()
        outside = batch.token_sentence[d] == -1
        assert outside.sum() == batch.width - int(batch.lengths[d]) + 2
        assert outside[0] and outside[int(batch.lengths[d]) - 1 :].all()

    pairs = batch.pairs.tolist()
    found = {(*pairs[pair], s): count for pair, s, count in batch.evidence.tolist()}
    assert found == expected_evidence(documents, undirected=undirected)
    assert found[0, 0, 1, 0] == 2 and found[0, 0, 1, 3] == 1


def test_synthetic_documents_bring_evidence():
    made = synthetic(train=6, dev=2, test=2)
    batch, _ = batch_of(made)
    pairs = batch.pairs.tolist()
    found = {(*pairs[pair], s): count for pair, s, count in batch.evidence.tolist()}
    assert found == expected_evidence(list(made.train))
    assert set(batch.evidence[:, 0].tolist()) == set(batch.positive.tolist())


def test_without_needs_nothing_more_is_read_or_carried():
    made = corpus([CITED, ADA])
    full, tokenizer = batch_of(made)
    plain, _ = batch_of(made, needs=())
    features = featurise(made.train, made, tokenizer, training=True)
    columns = {column for columns in OPTIONAL.values() for column in columns}
    assert not columns & set(Rows(features)[0])
    for name, value in vars(plain).items():
        if name in OPTIONAL:
            assert value is None
        elif isinstance(value, torch.Tensor):
            assert torch.equal(value, getattr(full, name))
    one, _ = batch_of(made, needs=("mention_end",))
    assert [name for name in OPTIONAL if getattr(one, name) is not None] == ["mention_end"]
    assert full.to("meta").evidence.is_meta


def test_an_unknown_field_is_named_with_the_known_ones():
    with pytest.raises(UserError, match="'sentences'.*entity_type, mention_sentence"):
        Collator(WindowPlan(64, 0, 1, 2, 0), ("entity_type", "sentences"))


def test_types_are_those_of_train_and_others_are_unknown():
    made = corpus([ADA, CITED], test=[ROME])
    assert made.type_ids == {"MISC": 1, "PER": 2, "LOC": 3}
    strange = corpus([CITED], test=[ROME])
    batch, _ = batch_of(strange, "test")
    assert batch.entity_type.tolist() == [0, 0]


def test_batches_of_a_frozen_encoder_carry_them_too(tmp_path):
    made = corpus([CITED, ADA])
    encoder = encoder_of(made.train)
    features = featurise(made.train, made, encoder.tokenizer, training=True)
    split = encode_once(encoder, features, tmp_path, torch.device("cpu"), Progress.silent())
    rows, needs = Rows(features, OPTIONAL), tuple(OPTIONAL)
    collator = Collator(encoder.windows, needs)
    batch = EncodedCollator(collator, [split])([rows[0], rows[1]])
    expected = collator([rows[0], rows[1]])
    assert batch.encoded is not None
    assert all(torch.equal(getattr(batch, name), getattr(expected, name)) for name in OPTIONAL)
