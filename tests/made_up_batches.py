"""Random batches for tests of backbones: documents of so many entities each."""

from benchmark.data.batches import Batch
from benchmark.data.made_up import made_up_batch, made_up_document
from benchmark.data.made_up import made_up_encoding as random_encoded

__all__ = ["random_batch", "random_documents", "random_encoded"]


def random_documents(entities, seed: int = 0) -> list[dict]:
    return [made_up_document(number, n, seed) for number, n in enumerate(entities)]


def random_batch(entities=(3, 5, 2, 0), seed: int = 0) -> Batch:
    return made_up_batch(random_documents(entities, seed))
