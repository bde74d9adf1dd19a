import itertools
from collections import Counter, defaultdict

import datasets
import pytest

from benchmark.data.stats import statistics
from benchmark.data.synthetic import documents, synthetic
from benchmark.data.synthetic_words import RELATIONS, VAGUE
from benchmark.errors import ConfigError


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
        yield synthetic()


def facts_of(row):
    return {(fact["head"], fact["tail"], fact["relation"]) for fact in row["facts"]}


def pairs_of(row):
    return itertools.permutations(range(len(row["entities"])), 2)


def test_every_document_is_sound(corpus):
    """Titles differ, mentions spell their names, facts fit the types of their relations, and
    symmetric ones hold both ways.
    """
    assert (len(corpus.train), len(corpus.dev), len(corpus.test)) == (240, 60, 100)
    assert corpus.relations == tuple(relation.name for relation in RELATIONS)
    assert len(corpus.frequent) == 10
    rows = [*corpus.train, *corpus.dev, *corpus.test]
    assert len({row["title"] for row in rows}) == 400
    types = {relation.name: (relation.head, relation.tail) for relation in RELATIONS}
    symmetric = {relation.name for relation in RELATIONS if relation.symmetric}
    for row in rows:
        for entity in row["entities"]:
            assert entity["mentions"]
            for mention in entity["mentions"]:
                sentence = row["sentences"][mention["sentence"]]
                assert " ".join(sentence[mention["start"] : mention["end"]]) == mention["name"]
        facts = facts_of(row)
        assert len(facts) == len(row["facts"])
        for head, tail, name in facts:
            kinds = tuple(row["entities"][entity]["type"] for entity in (head, tail))
            assert head != tail and kinds == types[name]
            assert name not in symmetric or (tail, head, name) in facts


def test_the_corpus_looks_like_the_real_thing(corpus):
    numbers = statistics(corpus.train, corpus.frequent)
    assert 60 <= numbers["words"] / numbers["documents"] <= 120
    assert 5 <= numbers["entities"] / numbers["documents"] <= numbers["entities_max"] <= 9
    assert 0.55 <= numbers["frequent_share"] <= 0.66  # Re-DocRED: 0.58 dev, 0.60 test
    assert len(numbers["relations"]) == len(RELATIONS)  # none unseen
    assert min(numbers["relations"].values()) < 30  # a long tail
    assert numbers["na_share"] > 0.8 and numbers["labels_per_pair"][2] > 50
    assert numbers["inter_share"] > 0.04
    assert numbers["mentions"] > 2 * numbers["entities"]
    entities = [entity for row in corpus.train for entity in row["entities"]]
    names = Counter(len({m["name"] for m in entity["mentions"]}) for entity in entities)
    assert names[2] > 0.3 * numbers["entities"]  # named in full and in short
    words = {word for row in corpus.train for sentence in row["sentences"] for word in sentence}
    assert len({word for word in words if word.islower()}) < 400


def test_phrases_tell_relations_apart():
    said = defaultdict(set)
    for relation in RELATIONS:
        for phrase in relation.active + relation.passive:
            said[phrase].add(relation.name)
        assert (relation.head, relation.tail) in VAGUE
    assert all(len(names) == 1 for names in said.values()) and not set(said) & set(VAGUE.values())


def test_types_alone_do_not_tell_the_relations(corpus):
    """The best rule "predict these relations for every pair of these types": rates from train,
    threshold the best on test.
    """

    def counted(rows):
        pairs, facts = Counter(), Counter()
        for row in rows:
            types = [entity["type"] for entity in row["entities"]]
            pairs.update((types[h], types[t]) for h, t in pairs_of(row))
            facts.update(((types[h], types[t]), name) for h, t, name in facts_of(row))
        return pairs, facts

    pairs, facts = counted(corpus.train)
    rate = {rule: count / pairs[rule[0]] for rule, count in facts.items()}
    pairs, facts = counted(corpus.test)
    best, predicted, correct = 0.0, 0, 0
    for rule in sorted(rate, key=rate.get, reverse=True):  # each threshold takes one rule more
        predicted, correct = predicted + pairs[rule[0]], correct + facts[rule]
        best = max(best, 2 * correct / (predicted + facts.total()))
    assert 0.1 < best < 0.30


def context(row, head, tail):
    """The words between the nearest mentions of one sentence, and who comes first; None if the two
    never meet.
    """
    mentions = itertools.product(*(row["entities"][e]["mentions"] for e in (head, tail)))
    meetings = [(a, b) for a, b in mentions if a["sentence"] == b["sentence"]]
    if not meetings:
        return None
    a, b = min(meetings, key=lambda pair: abs(pair[0]["start"] - pair[1]["start"]))
    first, second = sorted((a, b), key=lambda mention: mention["start"])
    return " ".join(row["sentences"][a["sentence"]][first["end"] : second["start"]]), a is first


def test_the_text_does_tell_them(corpus):
    """A lookup of the words between two mentions, learned from train, finds most facts: the rest is
    across sentences or vague.
    """
    seen, relations = Counter(), defaultdict(Counter)
    for row in corpus.train:
        seen.update(context(row, *pair) for pair in pairs_of(row))
        for head, tail, name in facts_of(row):
            relations[context(row, head, tail)][name] += 1
    correct = predicted = total = 0
    for row in corpus.test:
        found = {
            (*pair, name)
            for pair in pairs_of(row)
            for name, count in relations[context(row, *pair)].items()
            if count > seen[context(row, *pair)] / 2
        }
        total += len(facts_of(row))
        predicted, correct = predicted + len(found), correct + len(found & facts_of(row))
    assert 2 * correct / (predicted + total) > 0.7


def test_a_document_depends_on_seed_split_and_index_only():
    first = list(documents("train", 5, 0))
    assert first == list(documents("train", 9, 0))[:5]
    assert first[0]["sentences"] != next(documents("train", 1, 1))["sentences"]
    assert first[0]["sentences"] != next(documents("test", 1, 0))["sentences"]


@pytest.mark.parametrize("options", [{"train": 0}, {"dev": 1.5}, {"seed": -1}])
def test_wrong_options_are_named(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        synthetic(**options)
