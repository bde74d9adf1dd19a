"""Pseudo-documents by hand, and the sentences that they are made of by brute force."""

import numpy as np
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st

from benchmark.data.batches import OPTIONAL
from benchmark.data.collation import Collator
from benchmark.data.features import FEATURES
from benchmark.data.pseudo import PseudoDocuments, cut, sentence_sets
from benchmark.data.sampling import BLANK, Rows
from benchmark.data.windows import WindowPlan

# Four sentences of 3, 2, 4 and 1 tokens. Entity 0 is named in the first and the second, 1 in the
# second alone, 2 in the third (twice), 3 in the fourth and the third.
ROW = {
    "tokens": [10, 11, 12, 20, 21, 30, 31, 32, 33, 40],
    "length": 10,
    "mention_position": [1, 3, 4, 5, 7, 9, 8],
    "mention_end": [3, 4, 5, 6, 9, 10, 9],
    "mention_entity": [0, 0, 1, 2, 2, 3, 3],
    "mention_sentence": [0, 1, 1, 2, 2, 3, 2],
    "entities": 4,
    "entity_type": [5, 6, 7, 8],
    "sentence_start": [0, 3, 5, 9],
    "fact_head": [0],
    "fact_tail": [2],
    "fact_class": [3],
    "evidence_head": [0],
    "evidence_tail": [2],
    "evidence_sentence": [0],
    "evidence_count": [1],
}


def rows(*documents):
    return Rows(Dataset.from_list(list(documents), features=FEATURES), tuple(OPTIONAL))


def plain(row):
    return {name: np.asarray(value).tolist() for name, value in row.items()}


def test_the_first_and_the_third_of_four_sentences():
    piece, entities = cut(rows(ROW)[0], np.array([True, False, True, False]))
    assert entities.tolist() == [0, 2, 3]  # 1 has no mention there
    assert plain(piece) == {
        "tokens": [10, 11, 12, 30, 31, 32, 33],
        "length": 7,
        "mention_position": [1, 3, 5, 6],
        "mention_end": [3, 4, 7, 7],
        "mention_entity": [0, 1, 1, 2],
        "mention_sentence": [0, 1, 1, 1],
        "entities": 3,
        "entity_type": [5, 7, 8],
        "sentence_start": [0, 3],
        **dict.fromkeys([name for name in ROW if name.startswith(("fact", "evidence"))], []),
    }


def test_all_sentences_are_the_document_without_its_facts():
    piece, entities = cut(rows(ROW)[0], np.ones(4, dtype=bool))
    assert entities.tolist() == [0, 1, 2, 3]
    kept = {name: value for name, value in ROW.items() if not name.startswith(("fact", "evid"))}
    assert plain(piece).items() >= kept.items()


def test_the_pseudo_documents_of_a_split_and_their_batch():
    evidence = [
        [2, 0, 2, 0],  # the first sentence names 0; the third, 2's first, comes to it
        [2, 2, 0, 0],  # asks for the same
        [2, 3, 1, 3],  # the fourth names 3; the second, 1's first, comes to it
        [0, 0, 1, 1],  # names both
    ]
    made = PseudoDocuments(rows(ROW, ROW, ROW), np.array(evidence))
    assert made.document.tolist() == [0, 2, 2] and made.sizes.tolist() == [2, 3, 7]
    assert made.entities.tolist() == [[0, 1, -1], [0, 1, 3], [0, 2, 3]]
    assert made[1]["tokens"].tolist() == [20, 21, 40]
    batch = Collator(WindowPlan(64, 0, 1, 2, 0), tuple(OPTIONAL))([made[2], made[0], made[BLANK]])
    assert batch.rows.tolist() == [2, 0, BLANK] and batch.entities.tolist() == [3, 2, 0]
    assert batch.window_ids[1].tolist() == [1, 20, 21, 2, 0, 0, 0, 0, 0]
    assert batch.token_sentence[0].tolist() == [-1, 0, 0, 0, 1, 1, 1, 1, -1]
    assert not len(batch.fact_pair) and not len(batch.evidence)


def test_a_split_without_evidence_has_none():
    made = PseudoDocuments(rows(ROW), np.zeros((0, 4), dtype=np.int64))
    assert len(made) == len(made.sizes) == 0 and made.entities.shape == (0, 0)


@given(st.data())
def test_which_sentences_pairs_ask_for_by_brute_force(data):
    sentences, n = data.draw(st.integers(1, 5)), data.draw(st.integers(2, 4))
    places = st.sets(st.integers(0, sentences - 1), min_size=1)
    named = [data.draw(places) for _ in range(n)]
    mentions = [(entity, s) for entity in range(n) for s in named[entity]]
    entity, sentence = np.array(mentions).T
    row = {"entities": n, "mention_entity": entity, "mention_sentence": sentence}
    pairs = [(h, t) for h in range(n) for t in range(n) if h != t]
    asked = [data.draw(places) for _ in pairs]
    expected = set()
    for (head, tail), evidence in zip(pairs, asked, strict=True):
        wanted = set(evidence)
        for end in (head, tail):
            wanted |= set() if wanted & named[end] else {min(named[end])}
        expected.add(frozenset(wanted))
    table = np.array([[s in evidence for s in range(sentences)] for evidence in asked])
    made = sentence_sets(row, np.array(pairs), table)
    found = [frozenset(np.flatnonzero(chosen).tolist()) for chosen in made]
    assert set(found) == expected and len(found) == len(expected)
