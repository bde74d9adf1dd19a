"""Scores are functions of sets of facts: no order, no numbering and no repetition matters."""

from hypothesis import given, settings
from hypothesis import strategies as st
from scoring.test_counts import RELATIONS, cases

from benchmark.scoring.counts import count, score, score_relations

SOME = settings(max_examples=40, deadline=None, derandomize=True)
shuffles = st.randoms(use_true_random=False)


def counted(gold, predictions, train, frequent, undirected):
    options = {"frequent": frequent, "train_documents": train, "undirected": undirected}
    return count(gold, predictions, relations=RELATIONS, **options)


def scores(*case):
    counts = counted(*case)
    return score(counts), score_relations(counts)


def shuffled(items, random):
    items = list(items)
    random.shuffle(items)
    return items


@SOME
@given(cases(), shuffles)
def test_no_order_and_no_repetition_matters(case, random):
    gold, predictions, train, *rest = case
    mixed = [
        {
            **row,
            "facts": shuffled(row["facts"], random),
            "entities": [{"mentions": shuffled(e["mentions"], random)} for e in row["entities"]],
        }
        for row in shuffled(gold, random)
    ]
    repeated = shuffled([*predictions, *predictions[:2]], random)
    assert scores(mixed, repeated, shuffled(train, random), *rest) == scores(*case)


@SOME
@given(cases(), shuffles)
def test_the_numbers_of_entities_are_names(case, random):
    gold, predictions, *rest = case
    number = {row["title"]: shuffled(range(len(row["entities"])), random) for row in gold}
    renamed = []
    for row in gold:
        new = number[row["title"]]
        entities = [row["entities"][new.index(e)] for e in range(len(new))]
        facts = [
            {**fact, "head": new[fact["head"]], "tail": new[fact["tail"]]} for fact in row["facts"]
        ]
        renamed.append({**row, "entities": entities, "facts": facts})
    moved = [
        {**p, "h_idx": number[p["title"]][p["h_idx"]], "t_idx": number[p["title"]][p["t_idx"]]}
        for p in predictions
    ]
    assert scores(renamed, moved, *rest) == scores(*case)


@SOME
@given(cases())
def test_a_right_prediction_more_never_lowers_a_score(case):
    gold, predictions, *rest = case
    missed = [
        {"title": row["title"], "h_idx": fact["head"], "t_idx": fact["tail"], "r": fact["relation"]}
        for row in gold
        for fact in row["facts"]
    ]
    before = score(counted(gold, predictions, *rest))
    after = score(counted(gold, predictions + missed, *rest))
    kinds = ("", "freq_", "ltail_", "intra_", "inter_", "macro_")
    for key in ("precision", "recall", *(f"{kind}f1" for kind in kinds)):
        assert before[key] is None or after[key] >= before[key] - 1e-12
    assert after["recall"] in (None, 1.0)
