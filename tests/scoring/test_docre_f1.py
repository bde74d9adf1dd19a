"""The `evaluate` module loads without network and says what `counts` says. One process: importing
evaluate takes seconds.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

SCRIPT = """
import json, sys
import evaluate
from benchmark.scoring.docre_f1 import DocREF1

mention = lambda name: {"name": name, "sentence": 0, "start": 0, "end": 1}
document = lambda title, facts: {
    "title": title,
    "sentences": [["w"]],
    "entities": [{"type": "X", "mentions": [mention(f"{title} {i}")]} for i in range(3)],
    "facts": [{"head": h, "tail": t, "relation": r} for h, t, r in facts],
}
references = [document("a", [(0, 1, "P1"), (1, 2, "P2")]), document("b", [])]
predictions = [
    {"title": "b", "facts": [{"h_idx": 2, "t_idx": 0, "r": "P1"}]},
    {"title": "a", "facts": [{"h_idx": 0, "t_idx": 1, "r": "P1"}]},
]
options = dict(relations=["P1", "P2"], frequent=["P1"], train_documents=[references[0]])
loaded = evaluate.load(sys.argv[1], cache_dir=sys.argv[2])
metrics = [loaded, DocREF1(cache_dir=sys.argv[2])]
given = {"predictions": predictions, "references": references, **options}
one_by_one = DocREF1(cache_dir=sys.argv[2], experiment_id="one_by_one")
for prediction, reference in zip(predictions, references, strict=True):
    one_by_one.add(prediction=prediction, reference=reference)
scores = [metric.compute(**given) for metric in metrics]
print(json.dumps([*scores, one_by_one.compute(**options)]))
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    environment = os.environ | {
        "HF_HOME": str(cache),
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": str(ROOT),
    }
    module = str(ROOT / "benchmark" / "scoring" / "docre_f1.py")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, module, str(cache)],
        capture_output=True,
        text=True,
        env=environment,
        cwd=cache,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_scores_of_a_hand_made_case(results):
    # 2 gold facts, 2 predictions, 1 right and seen in training: P = R = 1/2; Ign P = (1 - 1) / (2 -
    # 1 + 1e-5) = 0
    assert results[0]["f1"] == pytest.approx(0.5)
    assert results[0]["ign_f1"] == 0
    # P1 is frequent: 1 gold, 2 predictions, 1 right -> P = 1/2, R = 1; P2 is the tail: nothing
    # predicted
    assert results[0]["freq_f1"] == pytest.approx(2 / 3)
    assert results[0]["ltail_f1"] == 0
    assert results[0]["inter_f1"] is None
    assert results[1] == results[2] == results[0]
