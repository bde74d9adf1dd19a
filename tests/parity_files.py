"""The batch, the encoding and the weights that a parity file holds."""

from pathlib import Path

import numpy as np
import torch

from benchmark.data.batches import Encoded
from benchmark.data.collation import Collator
from benchmark.data.windows import WindowPlan

DATA = Path(__file__).parent / "parity" / "data"
CLOSE = {"rtol": 1e-8, "atol": 1e-10}


def read(name):
    return dict(np.load(DATA / f"{name}.npz"))


def encoding(arrays, needs=()):
    """The batch and the encoder's output of `arrays`: "sequence_output" [D, L, d], perhaps
    "attention" [D, heads, L, L]; "mentions" rows (document, entity, start[, end]), whose first
    token is at start + "offset".
    """
    if "tokens" in arrays:  # of one document, without special tokens
        states, documents, length = None, 1, len(arrays["tokens"]) + 2
    else:
        states = torch.from_numpy(arrays["sequence_output"]).double()
        documents, length = states.shape[:2]
    offset = int(arrays["offset"]) - 1  # counted without the start token
    rows = []
    for d in range(documents):
        mentions = arrays["mentions"][arrays["mentions"][:, 0] == d]
        n = mentions[:, 1].max() + 1
        nothing = np.zeros(0, dtype=int)
        rows.append(
            {
                "row": d,
                "tokens": arrays.get("tokens", np.zeros(length - 2)),
                "mention_position": mentions[:, 2] + offset,
                "mention_end": mentions[:, -1] + offset,
                "mention_entity": mentions[:, 1],
                "mention_sentence": arrays.get("mention_sentence", np.zeros(len(mentions), int)),
                "sentence_start": arrays.get("sentence_start", [0]),
                "entity_type": arrays.get("entity_type", np.ones(n, int)),
                "entities": n,
                **{f"fact_{key}": nothing for key in ("head", "tail", "class")},
                **_evidence(arrays),
            }
        )
    batch = Collator(WindowPlan(512, 0, 1, 2, 0), needs)(rows)
    if "attention" not in arrays:
        return batch, Encoded(states, None)
    document = batch.mention_state // length
    attention = torch.from_numpy(arrays["attention"]).double()
    return batch, Encoded(states, attention[document, :, batch.mention_state % length])


def _evidence(arrays):
    pair, sentence = np.nonzero(arrays.get("evidence", np.zeros((0, 0))))
    pairs = arrays["pairs"][pair] if len(pair) else np.zeros((0, 3), int)
    return dict(
        evidence_head=pairs[:, 1],
        evidence_tail=pairs[:, 2],
        evidence_sentence=sentence,
        evidence_count=arrays["evidence"][pair, sentence] if len(pair) else sentence,
    )


def weights(arrays):
    """The official parameters, by their official names; in units of "scale", if there is one."""
    return {
        key.removeprefix("w."): torch.from_numpy(value * arrays.get("scale", 1))
        for key, value in arrays.items()
        if key.startswith("w.")
    }


def order(batch, arrays):
    """For each pair of the file, its number in the batch."""
    numbers = {tuple(pair): i for i, pair in enumerate(batch.pairs.tolist())}
    return [numbers[tuple(pair)] for pair in arrays["pairs"].tolist()]


def renamed(model, official, names):
    """Load official weights under our names: {our prefix: official prefix}, or the official prefix
    and the first row that its weights fill; ours may have further rows.
    """
    with torch.no_grad():
        for name, ours in model.state_dict().items():
            if name.endswith(("num_batches_tracked", "threshold")):
                continue
            prefix = max((p for p in names if name.startswith(p)), key=len)
            place = names[prefix]
            theirs, first = place if isinstance(place, tuple) else (place, 0)
            value = official[theirs + name.removeprefix(prefix)]
            rows = ours[first : first + len(value)]
            rows.copy_(value.reshape(rows.shape))
