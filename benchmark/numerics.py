"""Which version of its numbers a run has: raised by hand with each change that moves results.
Stored runs of another version are refused, not mixed with new ones.
"""

from __future__ import annotations

from benchmark.config import RunConfig

NUMERICS_VERSION = 4  # of what all runs share

# Of a backbone, an augmenter or an encoder whose own numbers moved; all others have version 1.
PART_VERSIONS = {
    # predictions of binary relations are not limited to `train.max_labels` of a pair
    **dict.fromkeys(("bilinear", "context_aware", "rsman", "ssan"), 2),
    # as these, and generated pairs draw no further negatives into the loss
    **dict.fromkeys(("gain", "jerex"), 2),
    "calibrated": 2,  # only what is borrowed is widened
    "dropout_view": 2,  # with `augment.stage3: head` each copy has an encoding of its own
    "era": 2,  # each pair loses tokens of its own, and the other weights stay
    **dict.fromkeys(("cnn", "lstm", "bilstm"), 2),  # a word seen once is an unknown word
}


def numerics_version(run: RunConfig) -> int | str:
    """NUMERICS_VERSION, followed by the parts of the run that have another version than 1."""
    names = run.encoder.name, run.backbone.name, run.augmenter.name
    moved = [f"{name} {PART_VERSIONS[name]}" for name in names if name in PART_VERSIONS]
    return ", ".join([str(NUMERICS_VERSION), *moved]) if moved else NUMERICS_VERSION
