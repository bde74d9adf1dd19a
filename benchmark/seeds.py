"""One seed per run, split by what the randomness is for, so that runs of one seed differ only where
they must.

The augmenter's name never enters: all augmenters of a seed share initial weights, data order and
dropout masks.
"""

import hashlib


def derive(seed: int, purpose: str, *indices: int) -> int:
    """A child seed in [0, 2**63) for `purpose` ("initialisation", "order", "dropout",
    "augmentation", ...) and, e.g., a step number.
    """
    text = ":".join(map(str, (seed, purpose, *indices)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
