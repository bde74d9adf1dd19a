"""Inference-stage fusion in whole runs of `dreeam`: beside the plain scores, and out of reach of
test labels.
"""

from functools import partial
from types import SimpleNamespace

import pytest
import tiny_runs
from hypothesis import given
from hypothesis import strategies as st
from samples import corpus, document
from tiny_runs import config, execute, head, numbers

from benchmark.training import fusion
from benchmark.training.session import Session

SENTENCES = ["Ann met Bob .", "It rained in Oslo .", "Bob saw Cid .", "Ann left Oslo ."]
ENTITIES = [[(0, 0, 1), (3, 0, 1)], [(0, 2, 3), (2, 0, 1)], [(1, 3, 4), (3, 2, 3)], [(2, 2, 3)]]
FACTS = [(0, 1, "r1"), (1, 0, "r2"), (0, 2, "r3"), (1, 3, "r1")]
OF_TEST = FACTS[:2]


def made(facts_of_test=OF_TEST, **options):
    of = lambda title, facts: document(title, SENTENCES, ENTITIES, facts)
    train = [of(f"d{number}", FACTS) for number in range(4)]
    dev, test = [of("d4", FACTS)], [of("d5", facts_of_test), document("d6", ["Rain ."], [])]
    return corpus(train, dev, test, **options)


@pytest.fixture(autouse=True)
def dreeam(monkeypatch):
    monkeypatch.setitem(tiny_runs.BACKBONES, "dreeam", {"emb": 8, "block": 4, "layers": 1})


def run(folder, *, facts_of_test=OF_TEST, fuse=True, undirected=False, **options):
    options = {"epochs": 6, "lr_head": 3e-2, **options}
    chosen = config("dreeam", options={"fusion": fuse}, **options)
    return execute(folder, chosen, corpus=made(facts_of_test, undirected=undirected))


def test_fused_scores_lie_beside_the_plain_ones(tmp_path):
    plain, fused = run(tmp_path / "a", fuse=False), run(tmp_path / "b")
    names = {path.name for path in fused.path.iterdir()}
    kinds = ("predictions", "candidates", "counts")
    more = {f"{kind}_{split}_fused.json" for kind in kinds for split in ("dev", "test")}
    assert names - {path.name for path in plain.path.iterdir()} == more
    one, other = numbers(plain), numbers(fused)
    assert isinstance(other["metrics"].pop("fusion_threshold"), float)
    assert all(0 <= other["metrics"][split].pop("fused")["f1"] <= 1 for split in ("dev", "test"))
    assert one == other
    facts = fused.read_json("predictions_test_fused.json")
    assert facts and {fact["title"] for fact in facts} == {"d5"}
    assert all(fact["h_idx"] != fact["t_idx"] for fact in facts)


@pytest.mark.parametrize(
    "options", [{"undirected": True}, {"encoder": {"freeze": "all"}}, {"max_labels": 1}]
)
def test_other_kinds_of_runs(tmp_path, options):
    found = run(tmp_path, **options)
    assert found.read_json("metrics.json")["test"]["fused"]["f1"] is not None
    pairs = [(f["h_idx"], f["t_idx"]) for f in found.read_json("predictions_test_fused.json")]
    assert not options.get("undirected") or all(h < t for h, t in pairs)


def test_the_cheap_protocol(tmp_path):
    options, data = {"options": {"fusion": True}}, made()
    execute(tmp_path, config("dreeam", **options), corpus=data)
    found = execute(tmp_path, head(backbone="dreeam", **options), corpus=data)
    metrics = found.read_json("metrics.json")
    assert "fused" in metrics["test"] and "fused" in metrics["stage1"]


def test_facts_of_test_do_not_reach_the_fused_predictions(tmp_path):
    first, second = run(tmp_path / "a"), run(tmp_path / "b", facts_of_test=[(3, 2, "r2")])
    one, other = (found.read_json("metrics.json") for found in (first, second))
    assert one["fusion_threshold"] == other["fusion_threshold"]
    assert one["dev"] == other["dev"] and one["test"]["fused"] != other["test"]["fused"]
    for name in ("predictions_test_fused.json", "candidates_test_fused.json"):
        assert first.read_json(name) == second.read_json(name)


FACT = st.tuples(*[st.integers(0, 3)] * 2, st.sampled_from(["r1", "r2", "r3"]))
RANKED = st.dictionaries(FACT, st.integers(-40, 40).map(lambda n: n / 4), max_size=12)


@given(RANKED, RANKED, st.sets(FACT), st.sets(FACT), st.sets(FACT))
def test_no_labels_of_test_move_the_threshold(dev, test, gold, of_test, others):
    """Whatever dev and test are scored, and whatever holds in test."""
    scored = {
        split: [
            dict(title=split, h_idx=h, t_idx=t, r=r, score=value)
            for (h, t, r), value in facts.items()
        ]
        for split, facts in (("dev", dev), ("test", test))
    }
    results = []
    for truth in (of_test, others):
        documents = {
            split: [document(split, SENTENCES, ENTITIES, sorted(facts))]
            for split, facts in (("dev", gold), ("test", truth))
        }
        of_facts = SimpleNamespace(to_json=list)
        session = SimpleNamespace(
            corpus=SimpleNamespace(undirected=False, relations=("r1", "r2", "r3")),
            documents=documents,
            count=lambda split, facts, of_facts=of_facts: of_facts,
        )
        session.ranking = partial(Session.ranking, session)
        metrics, written = {"dev": {}, "test": {}}, {}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fusion, "fused_candidates", lambda session, split: scored[split])
            patch.setattr(fusion, "score", lambda counts: {})
            for split in ("dev", "test"):
                fusion.score_fused(session, split, metrics, written)
        results.append((metrics, written))
    assert results[0] == results[1]
