"""Every registered encoder passes every check, and a broken one is named."""

import pytest

from backbones.encoders.check import check_encoder
from backbones.encoders.tiny import Tiny
from benchmark.checks import CheckFailed
from benchmark.registry import ENCODERS


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_registered_encoders_pass(name):
    for what, check in check_encoder(ENCODERS[name]):
        try:
            check()
        except CheckFailed as failure:
            pytest.fail(f"{what}: {failure}")


class Narrow(Tiny):
    """Says another width than its states have."""

    def __init__(self, sentences, *, vocabulary: int = 200, width: int = 8, heads: int = 2):
        super().__init__(sentences, vocabulary=vocabulary, width=width, heads=heads)
        self.width = 5


def test_a_wrong_width_is_named():
    with pytest.raises(CheckFailed, match=r"states must be \[documents, tokens, width\]"):
        dict(check_encoder(Narrow))["shapes are as declared"]()
