"""The order of documents, and their parts for several processes."""

import numpy as np
import pytest

from benchmark.data.sampling import BLANK, DocumentBatches


@pytest.mark.parametrize("order", ["random", "bucketed", "sorted"])
def test_every_document_once(order):
    sizes = np.random.default_rng(0).integers(10, 500, 103)
    batches = DocumentBatches(sizes, 4, order=order, seed=1)
    epochs = []
    for epoch in range(2):
        batches.set_epoch(epoch)
        epochs.append(list(batches))
        assert sorted(sum(epochs[-1], [])) == list(range(103))
        assert len(epochs[-1]) == len(batches) == 26
    again = DocumentBatches(sizes, 4, order=order, seed=1)
    again.set_epoch(1)
    assert list(again) == epochs[1]
    assert (epochs[0] == epochs[1]) == (order == "sorted")


@pytest.mark.parametrize("order", ["random", "bucketed", "sorted"])
@pytest.mark.parametrize("processes", [1, 2, 3, 5])
def test_processes_share_the_batches_of_one(order, processes):
    """Together, their parts are the batches of one process; one without documents has a blank."""
    sizes = np.random.default_rng(0).integers(5, 50, 23)
    whole = DocumentBatches(sizes, 4, order=order, seed=1)
    parts = [
        DocumentBatches(sizes, 4, order=order, seed=1, share=(process, processes))
        for process in range(processes)
    ]
    for part in (whole, *parts):
        part.set_epoch(2)
        part.skip = 1
    for batch, *shares in zip(whole, *parts, strict=True):
        assert [row for share in shares for row in share if row != BLANK] == batch
        least = len(batch) // processes
        assert all(share == [BLANK] or least <= len(share) <= least + 1 for share in shares)


def test_bucketed_batches_hold_similar_documents():
    sizes = np.random.default_rng(0).integers(10, 500, 400)
    waste = lambda order: sum(
        max(sizes[b]) * len(b) - sum(sizes[b]) for b in DocumentBatches(sizes, 4, order=order)
    )
    assert waste("bucketed") < 0.25 * waste("random")


def test_the_batch_that_is_not_full_holds_documents_of_any_size():
    """They weigh more in their batch's mean: else every epoch would favour long documents."""
    sizes = np.arange(103)
    batches = DocumentBatches(sizes, 4, order="bucketed")
    epochs = [batches.batches(epoch) for epoch in range(300)]
    left = [sizes[batch].mean() for epoch in epochs for batch in epoch if len(batch) == 3]
    # the standard deviation of a mean of 3 of 103 numbers is 17
    assert len(left) == 300 and abs(np.mean(left) - 51) < 5 * 17.2 / 300**0.5
