"""Hand-made documents for tests."""

from benchmark.data.documents import FEATURES, Corpus


def document(title, sentences, entities, facts=()):
    """A canonical row. entities: lists of (sentence, start, end); facts: (head, tail, relation)."""

    def mention(s, start, end):
        name = " ".join(sentences[s].split()[start:end])
        return {"name": name, "sentence": s, "start": start, "end": end}

    return dict(
        title=title,
        sentences=[sentence.split() for sentence in sentences],
        entities=[
            {"type": "MISC", "mentions": [mention(*place) for place in mentions]}
            for mentions in entities
        ],
        facts=[dict(zip(("head", "tail", "relation"), fact, strict=True)) for fact in facts],
    )


def corpus(train, dev=None, test=None, relations=("r1", "r2", "r3"), **options):
    from datasets import Dataset

    make = lambda rows: Dataset.from_list(rows, features=FEATURES)
    splits = map(make, (train, dev or train, test or train))
    return Corpus("tests", *splits, relations, {}, frozenset(relations[:1]), **options)


ADA = document(
    "Ada",
    ["Ada Lovelace was born in London .", "She met Babbage there , Lovelace wrote ."],
    [[(0, 0, 2), (1, 5, 6)], [(0, 5, 6)], [(1, 2, 3)]],
    [(0, 1, "r1"), (0, 2, "r2"), (2, 0, "r2"), (0, 2, "r3")],
)
ROME = document(
    "Rome", ["Rome is the capital of Italy ."], [[(0, 0, 1)], [(0, 5, 6)]], [(0, 1, "r3")]
)
EMPTY_HANDED = document(
    "Paris", ["Paris is far from Oslo and Bonn ."], [[(0, 0, 1)], [(0, 4, 5)], [(0, 6, 7)]]
)
LONELY = document("Alone", ["Nobody else is here but Zoe ."], [[(0, 5, 6)]])
NOBODY = document("Nothing", ["It rains ."], [])
