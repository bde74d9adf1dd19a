"""BioRED (Luo et al. 2022): 400 / 100 / 100 biomedical abstracts, 8 undirected relations.

No hub dataset was found that holds its relations as files: `bigbio/biored` is a loading script,
which `datasets` no longer runs, and others hold sentences or answers of language models. So the
files are the user's own, converted to DocRED format.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from benchmark.data.docred import docred_format
from benchmark.registry import DATASETS

if TYPE_CHECKING:
    from benchmark.data.documents import Corpus

LICENCE = "From NCBI, which states no licence; the abstracts are PubMed's."
FREQUENT = ("Association", "Positive_Correlation", "Negative_Correlation")


@DATASETS.register("biored")
def biored(
    *, train: str, test: str, dev: str | None = None, dev_documents: int = 0, split_seed: int = 0
) -> Corpus:
    """BioRED in DocRED format, by path; options as for `docred-format`.

    Its relations hold in both directions. Those of Freq F1 are Association, Positive_Correlation
    and Negative_Correlation; the inventory is the relations that occur.
    """
    corpus = docred_format(
        train=train,
        dev=dev,
        test=test,
        dev_documents=dev_documents,
        split_seed=split_seed,
        frequent=FREQUENT,
        undirected=True,
        shown_as="biored",
    )
    return dataclasses.replace(corpus, licence=LICENCE)
