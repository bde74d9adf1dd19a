"""Our scores against the official Re-DocRED scorer's: on made-up documents that it scored, and on
Re-DocRED's own.

The documents of Re-DocRED stay outside: DOCRE_PARITY names a folder with
metrics_predictions_{0,1,2}.json.gz and metrics_expected.json, and beside it there is
data/re-docred/{dev,test}.json.
"""

import gzip
import json
import os
from pathlib import Path

import pytest

from benchmark.scoring.counts import count, score

# the literal list of the official scorer
FREQUENT = {"P17", "P131", "P27", "P150", "P175", "P577", "P463", "P527", "P495", "P361"}
KINDS = ("", "ign_", "freq_", "ltail_", "intra_", "inter_")
OFFICIAL = {f"{kind}f1": f"{kind}f1" for kind in KINDS}  # official key -> ours
OFFICIAL |= {name: name for name in ("precision", "recall")}
for _kind in ("freq", "ltail"):
    OFFICIAL |= {f"{_kind}_p": f"{_kind}_precision", f"{_kind}_r": f"{_kind}_recall"}


def canonical(document):
    """A DocRED-format document as a row of FEATURES, as far as scoring reads it."""
    return dict(
        title=document["title"],
        entities=[
            {"mentions": [{"name": m["name"], "sentence": m["sent_id"]} for m in mentions]}
            for mentions in document["vertexSet"]
        ],
        facts=[
            {"head": fact["h"], "tail": fact["t"], "relation": fact["r"]}
            for fact in document["labels"]
        ],
    )


@pytest.fixture(scope="module")
def made_up():
    return json.loads((Path(__file__).parent / "data" / "metrics_made_up.json").read_text())


def scored(gold, train, predictions):
    relations = {fact["relation"] for row in gold + train for fact in row["facts"]}
    relations = sorted(relations | {p["r"] for p in predictions})
    options = {"relations": relations, "frequent": FREQUENT, "train_documents": train}
    return score(count(gold, predictions, **options))


@pytest.fixture(scope="module")
def scores(made_up):
    gold, train = ([canonical(row) for row in made_up[split]] for split in ("gold", "train"))
    return scored(gold, train, made_up["predictions"])


@pytest.mark.parametrize("official, ours", OFFICIAL.items())
def test_score_equals_the_official_one(made_up, scores, official, ours):
    assert scores[ours] == pytest.approx(made_up["expected"][official], rel=0, abs=1e-12)


def test_the_made_up_documents_tell_ign_f1_from_f1(scores):
    assert scores["ign_f1"] < scores["f1"] - 0.005


PARITY = Path(os.environ.get("DOCRE_PARITY", "no-such-folder"))


@pytest.fixture(scope="module")
def redocred():
    """Rows of the documents to score, and of those that stand in for the training facts."""
    splits = (PARITY.parent / "data" / "re-docred" / f"{split}.json" for split in ("dev", "test"))
    return [[canonical(document) for document in json.loads(split.read_text())] for split in splits]


@pytest.mark.skipif(not PARITY.is_dir(), reason="needs Re-DocRED's documents: set DOCRE_PARITY")
@pytest.mark.parametrize("number", range(3))
def test_scores_on_redocred_equal_the_official_ones(redocred, number):
    gold, train = redocred
    predictions = (PARITY / f"metrics_predictions_{number}.json.gz").read_bytes()
    found = scored(gold, train, json.loads(gzip.decompress(predictions)))
    expected = json.loads((PARITY / "metrics_expected.json").read_text())[f"predictions_{number}"]
    for official, ours in OFFICIAL.items():
        assert found[ours] == pytest.approx(expected[official], rel=0, abs=1e-12), official
