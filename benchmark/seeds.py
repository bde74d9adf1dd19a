"""One seed per run, split by purpose: runs of one seed differ only where they must.

The augmenter's name never enters: all augmenters of a seed share initial weights, data order and
dropout masks.
"""

import hashlib


def derive(seed: int, purpose: str, *indices: int) -> int:
    """A child seed in [0, 2**63) for a purpose ("order", "dropout", ...) and, e.g., a step."""
    text = ":".join(map(str, (seed, purpose, *indices)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
