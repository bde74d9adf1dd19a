"""DWIE (Zaporojets et al. 2021) in its DocRED-format conversion (LogiRE).

Every document is one "sentence", of up to 1,651 words and 88 entities. The annotations are GPL-3
and the articles Deutsche Welle's: there is no hub copy to take, the files are the user's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmark.data.docred import corpus_of_files
from benchmark.registry import DATASETS

if TYPE_CHECKING:
    from benchmark.data.documents import Corpus

TRAIN_DOCUMENTS = 602  # of the split in use, besides 98 to select on and 99 to test on


@DATASETS.register("dwie")
def dwie(
    *,
    train: str,
    test: str,
    dev: str | None = None,
    relations: str | None = None,
    dev_documents: int = 0,
    split_seed: int = 0,
    frequent: Sequence[str] | None = None,
) -> Corpus:
    """DWIE in DocRED format, by path.

    Args:
        relations: the conversion's rel2id.json (65 relations and Na). None: the relations that
            occur, fewer in a partial split.

    The other options are those of `docred-format`. Facts given twice (the conversion has some)
    count once.
    """
    return corpus_of_files(
        "dwie",
        train=train,
        dev=dev,
        test=test,
        dev_documents=dev_documents,
        split_seed=split_seed,
        relations=relations,
        frequent=frequent,
        full_train=TRAIN_DOCUMENTS,
    )
