"""DocRE F1 as an `evaluate` module; every formula is in `benchmark.scoring.counts`.

It loads offline, with the project importable, by `evaluate.load("benchmark/scoring/docre_f1.py")`,
or as `DocREF1()`. (`evaluate` reads the import lines below by regular expression: one module per
line.)
"""

import datasets
import evaluate

from benchmark.data.documents import FEATURES
from benchmark.scoring.counts import count, score

DESCRIPTION = """F1, Ign F1, Freq F1 and LTail F1 of document-level relation extraction, as the
official Re-DocRED scorer defines them."""

ARGUMENTS = """
Args:
    predictions: one item per document: {"title", "facts": [{"h_idx", "t_idx", "r"}]}, those
        without facts included.
    references: the gold documents, rows of benchmark.data.documents.FEATURES, in any order; facts
        need no evidence.
    relations, frequent, train_documents, undirected: as of benchmark.scoring.counts.count; without
        `frequent` there is neither Freq nor LTail F1.
Returns:
    the dictionary of benchmark.scoring.counts.score: fractions, None where a score is undefined.
"""

CITATION = """@inproceedings{tan-etal-2022-revisiting,
    title = {Revisiting {DocRED} - Addressing the False Negative Problem in Relation Extraction},
    author = {Tan, Qingyu and Xu, Lu and Bing, Lidong and Ng, Hwee Tou and
              Aljunied, Sharifah Mahani},
    booktitle = {Proceedings of EMNLP},
    year = {2022}}"""


class DocREF1(evaluate.Metric):
    """See DESCRIPTION and ARGUMENTS."""

    def _info(self) -> evaluate.MetricInfo:
        whole, text = datasets.Value("int32"), datasets.Value("string")
        facts = datasets.List({"h_idx": whole, "t_idx": whole, "r": text})
        predictions = {"title": text, "facts": facts}
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation=CITATION,
            inputs_description=ARGUMENTS,
            features=datasets.Features({"predictions": predictions, "references": dict(FEATURES)}),
        )

    def add(self, *, prediction=None, reference=None, **others):
        """Add one document."""
        self.add_batch(predictions=[prediction], references=[reference], **others)

    def add_batch(self, *, predictions=None, references=None, **others):
        """Add some documents. Their facts may lack evidence: no score reads it."""
        references = [
            row | {"facts": [{"evidence": []} | fact for fact in row["facts"]]}
            for row in references
        ]
        super().add_batch(predictions=predictions, references=references, **others)

    def _compute(self, predictions, references, *, frequent=None, train_documents=(), **options):
        submission = [
            {"title": document["title"], **fact}
            for document in predictions
            for fact in document["facts"]
        ]
        options |= {"frequent": frequent, "train_documents": train_documents}
        return score(count(references, submission, **options))
