import itertools
from collections import Counter, defaultdict

import datasets
import pytest

from benchmark.data.stats import statistics
from benchmark.data.synthetic import RELATIONS, VAGUE, Difficulty, documents, synthetic
from benchmark.errors import ConfigError


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
        yield synthetic()


def test_sizes_titles_and_inventory(corpus):
    assert (len(corpus.train), len(corpus.dev), len(corpus.test)) == (240, 60, 100)
    titles = [
        title for split in (corpus.train, corpus.dev, corpus.test) for title in split["title"]
    ]
    assert len(set(titles)) == 400
    assert corpus.relations == tuple(relation.name for relation in RELATIONS)
    assert len(corpus.frequent) == 10


def test_every_mention_spells_its_name_and_every_fact_fits_its_relations_types(corpus):
    types = {relation.name: (relation.head, relation.tail) for relation in RELATIONS}
    for row in itertools.chain(corpus.train, corpus.dev, corpus.test):
        for entity in row["entities"]:
            assert entity["mentions"]
            for mention in entity["mentions"]:
                sentence = row["sentences"][mention["sentence"]]
                words = sentence[mention["start"] : mention["end"]]
                assert " ".join(words) == mention["name"]
        for fact in row["facts"]:
            assert fact["head"] != fact["tail"]
            kinds = tuple(row["entities"][fact[role]]["type"] for role in ("head", "tail"))
            assert kinds == types[fact["relation"]]
        keys = [(fact["head"], fact["tail"], fact["relation"]) for fact in row["facts"]]
        assert len(set(keys)) == len(keys)


def test_symmetric_relations_hold_both_ways(corpus):
    symmetric = {relation.name for relation in RELATIONS if relation.symmetric}
    found = 0
    for row in corpus.train:
        facts = {(fact["head"], fact["tail"], fact["relation"]) for fact in row["facts"]}
        both_ways = {fact for fact in facts if fact[2] in symmetric}
        assert {(tail, head, name) for head, tail, name in both_ways} == both_ways
        found += len(both_ways)
    assert found


def test_the_corpus_looks_like_the_real_thing(corpus):
    numbers = statistics(corpus.train, corpus.frequent)
    assert 60 <= numbers["words_mean"] <= 120
    assert 5 <= numbers["entities_mean"] <= numbers["entities_max"] <= 9
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


def _pairs(rows):
    """(document, head, tail, types) of every ordered pair, and the gold facts."""
    pairs, gold = [], set()
    for d, row in enumerate(rows):
        types = [entity["type"] for entity in row["entities"]]
        pairs += [
            (d, h, t, (types[h], types[t])) for h, t in itertools.permutations(range(len(types)), 2)
        ]
        gold |= {(d, fact["head"], fact["tail"], fact["relation"]) for fact in row["facts"]}
    return pairs, gold


def test_types_alone_do_not_tell_the_relations(corpus):
    """The best rule "predict these relations for every pair of these types": rates from train,
    threshold the best on test.
    """
    pairs, gold = _pairs(corpus.train)
    types = {(d, h, t): kinds for d, h, t, kinds in pairs}
    of_types = Counter(kinds for *_, kinds in pairs)
    rate = {
        (kinds, name): count / of_types[kinds]
        for (kinds, name), count in Counter((types[d, h, t], r) for d, h, t, r in gold).items()
    }
    pairs, gold = _pairs(corpus.test)
    of_types = Counter(kinds for *_, kinds in pairs)
    types = {(d, h, t): kinds for d, h, t, kinds in pairs}
    hits = Counter((types[d, h, t], r) for d, h, t, r in gold)
    best, predicted, correct = 0.0, 0, 0
    for rule in sorted(rate, key=rate.get, reverse=True):  # each threshold takes one rule more
        predicted, correct = predicted + of_types[rule[0]], correct + hits[rule]
        best = max(best, 2 * correct / (predicted + len(gold)))
    assert 0.1 < best < 0.30


def _context(row, head, tail):
    """The words between the nearest mentions of one sentence, and who comes first; None if the two
    never meet.
    """
    meetings = [
        (abs(a["start"] - b["start"]), a, b)
        for a in row["entities"][head]["mentions"]
        for b in row["entities"][tail]["mentions"]
        if a["sentence"] == b["sentence"]
    ]
    if not meetings:
        return None
    _, a, b = min(meetings, key=lambda meeting: meeting[0])
    first, second = sorted((a, b), key=lambda mention: mention["start"])
    return " ".join(row["sentences"][a["sentence"]][first["end"] : second["start"]]), a is first


def test_the_text_does_tell_them(corpus):
    """A lookup of the words between two mentions, learned from train, finds most facts: the rest is
    across sentences or vague.
    """
    seen, relations = Counter(), defaultdict(Counter)
    for row in corpus.train:
        gold = {(fact["head"], fact["tail"], fact["relation"]) for fact in row["facts"]}
        for h, t in itertools.permutations(range(len(row["entities"])), 2):
            seen[_context(row, h, t)] += 1
            relations[_context(row, h, t)].update(
                r for head, tail, r in gold if (head, tail) == (h, t)
            )
    correct = predicted = total = 0
    for row in corpus.test:
        gold = {(fact["head"], fact["tail"], fact["relation"]) for fact in row["facts"]}
        total += len(gold)
        for h, t in itertools.permutations(range(len(row["entities"])), 2):
            context = _context(row, h, t)
            found = {
                (h, t, r) for r, count in relations[context].items() if count > seen[context] / 2
            }
            predicted, correct = predicted + len(found), correct + len(found & gold)
    assert 2 * correct / (predicted + total) > 0.7


EASY = Difficulty(
    zipf=1.1, cue_noise=0, cross_sentence=0, multi_label=0, distractors=0, joined=0, aliases=0
)


def _numbers(**changes):
    return statistics(documents("train", 60, 0, Difficulty(**{**EASY.__dict__, **changes})))


def test_each_knob_turns_what_it_says():
    easy = _numbers()
    assert easy["inter_share"] == 0 and set(easy["labels_per_pair"]) == {1}
    assert _numbers(cross_sentence=0.5)["inter_share"] > 0.2
    assert _numbers(multi_label=0.5)["labels_per_pair"][2] > 50
    assert _numbers(distractors=1)["sentences"] > 1.5 * easy["sentences"]
    assert _numbers(joined=0.5)["sentences"] < 0.9 * easy["sentences"]
    shares = [made["frequent_share"] for made in (_numbers(zipf=0), easy, _numbers(zipf=2))]
    assert shares[0] < shares[1] < shares[2]
    vague = list(documents("train", 10, 0, Difficulty(**{**EASY.__dict__, "cue_noise": 1})))
    text = " ".join(word for row in vague for sentence in row["sentences"] for word in sentence)
    said = sum(text.count(phrase) for phrase in VAGUE.values())
    assert said >= 0.9 * sum(len(row["facts"]) for row in vague) - 10
    full = [entity for row in documents("train", 10, 0, EASY) for entity in row["entities"]]
    assert all(len({m["name"] for m in entity["mentions"]}) == 1 for entity in full)


def test_a_document_depends_on_seed_split_and_index_only():
    first = list(documents("train", 5, 0, EASY))
    assert first == list(documents("train", 9, 0, EASY))[:5]
    assert first[0]["sentences"] != next(documents("train", 1, 1, EASY))["sentences"]
    assert first[0]["sentences"] != next(documents("test", 1, 0, EASY))["sentences"]


@pytest.mark.parametrize(
    "options",
    [{"train": 0}, {"dev": 1.5}, {"seed": -1}, {"cue_noise": 1.5}, {"zipf": "x"}, {"joined": True}],
)
def test_wrong_options_are_named(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        synthetic(**options)
