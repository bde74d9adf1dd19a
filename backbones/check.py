"""Checks that run over every backbone, the user's included: `run_benchmark.py check NAME`.

Documents, encodings and facts are tiny and made up. Each message says what is wrong and how to mend
it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from backbones.base import Backbone
from benchmark.checks import (
    Case,
    Checks,
    has_a_docstring,
    options_are_keywords_with_literal_defaults,
    run_each,
)
from benchmark.data.batches import Batch, Encoded
from benchmark.data.made_up import CLASSES, made_up_batch, made_up_document, made_up_encoding
from benchmark.data.pairs import Pairs

WIDTH = 16
ENTITIES = (3, 5, 2, 0, 1)  # of the documents of a batch
MANY = 88  # entities: DWIE has documents of up to 81
CLOSE = {"rtol": 1e-8, "atol": 1e-10}


def check_backbone(kind: type, options: dict[str, Any] | None = None) -> Checks:
    """Names and checks for a class. Each check raises CheckFailed or returns."""
    case = BackboneCase(kind, options)
    yield from run_each(case, CHECKS)


class BackboneCase(Case):
    def make(self) -> Backbone:
        torch.manual_seed(0)
        return self.kind(WIDTH, CLASSES, **self.options).double().eval()

    def batch(self, documents: list[dict]) -> tuple[Encoded, Batch]:
        batch = made_up_batch(documents, self.kind.needs)
        return made_up_encoding(batch, WIDTH), batch

    def documents(self) -> list[dict]:
        return [made_up_document(number, n) for number, n in enumerate(ENTITIES)]

    def logits(self, backbone: Backbone, documents: list[dict]) -> dict[tuple, Tensor]:
        """(document, head, tail) -> logits [R]."""
        encoded, batch = self.batch(documents)
        logits = backbone.classify(backbone.represent(encoded, batch))
        keys = ((int(batch.rows[d]), h, t) for d, h, t in batch.pairs.tolist())
        return dict(zip(keys, logits, strict=True))

    def expect_same(self, found: dict, expected: dict, message: str) -> None:
        self.expect(found.keys() == expected.keys(), message)
        for key, value in expected.items():
            self.expect(torch.allclose(found[key], value, **CLOSE), f"{message} (pair {key})")

    def loss(self, backbone: Backbone, documents: list[dict]) -> Tensor:
        encoded, batch = self.batch(documents)
        representations = backbone.represent(encoded, batch)
        labels = batch.labels(CLASSES).double()
        pairs = Pairs(representations, labels, batch.positive)
        losses = backbone.pair_loss(backbone.classify(representations), labels)
        if losses.shape != (len(labels),):
            self.fail(
                f"pair_loss must return one loss per pair [{len(labels)}], got {list(losses.shape)}"
            )
        auxiliary = torch.as_tensor(backbone.auxiliary_loss(pairs, encoded, batch))
        if auxiliary.ndim != 0:
            self.fail(f"auxiliary_loss must return a scalar, got {list(auxiliary.shape)}")
        return losses.sum() / max(len(losses), 1) + auxiliary


def is_a_backbone(case: BackboneCase) -> None:
    if not (inspect.isclass(case.kind) and issubclass(case.kind, Backbone)):
        case.fail("must be a class derived from backbones.base.Backbone")
    for method in ("represent", "classify", "pair_loss"):
        if getattr(case.kind, method) is getattr(Backbone, method):
            case.fail(f"has no {method}()")


def shapes_are_as_declared(case: BackboneCase) -> None:
    backbone = case.make()
    encoded, batch = case.batch(case.documents())
    found = backbone.represent(encoded, batch)
    expected = (len(batch.pairs), backbone.width)
    if found.shape != expected:
        case.fail(
            f"represent must return [pairs, width] = {list(expected)}, got {list(found.shape)}"
        )
    case.expect(found.isfinite().all(), "represent returns NaN or infinity")
    if backbone.bounds is not None:
        low, high = backbone.bounds
        if not ((found >= low) & (found <= high)).all():
            case.fail(f"representations leave bounds {low, high}")
    logits = backbone.classify(found)
    if logits.shape != (len(batch.pairs), CLASSES):
        case.fail(f"classify must return [pairs, classes], got {list(logits.shape)}")


def packed_and_one_by_one_agree(case: BackboneCase) -> None:
    backbone, documents = case.make(), case.documents()
    alone: dict[tuple, Tensor] = {}
    for document in documents:
        alone |= case.logits(backbone, [document])
    case.expect_same(
        case.logits(backbone, documents),
        alone,
        "a document's logits depend on the other documents of the batch",
    )


def the_order_of_documents_does_not_matter(case: BackboneCase) -> None:
    backbone, documents = case.make(), case.documents()
    case.expect_same(
        case.logits(backbone, documents[::-1]),
        case.logits(backbone, documents),
        "logits depend on the order of the documents",
    )
    first, second = case.loss(backbone, documents), case.loss(backbone, documents[::-1])
    if not torch.allclose(first, second, rtol=1e-6):
        case.fail("the loss depends on the order of the documents")


def the_order_of_entities_does_not_matter(case: BackboneCase) -> None:
    if case.kind.reads_entity_numbers:
        return
    backbone, document = case.make(), made_up_document(0, 4)
    name = np.array([2, 0, 3, 1])  # the new number of each entity
    renamed = {**document, "mention_entity": name[document["mention_entity"]]}
    for key in ("fact_head", "fact_tail", "evidence_head", "evidence_tail"):
        renamed[key] = name[np.array(document[key], dtype=int)]
    renamed["entity_type"] = document["entity_type"][name.argsort()]
    before = case.logits(backbone, [document])
    case.expect_same(
        case.logits(backbone, [renamed]),
        {(d, int(name[h]), int(name[t])): logits for (d, h, t), logits in before.items()},
        "logits depend on the numbers of the entities",
    )


def takes_one_pair_and_none(case: BackboneCase) -> None:
    """Documents of two entities, of one and of none."""
    backbone = case.make()
    for entities, count in ((2, 2), (1, 0), (0, 0)):
        found = case.logits(backbone, [made_up_document(0, entities)])
        case.expect(len(found) == count, f"{entities} entities have {count} pairs")
        if not case.loss(backbone, [made_up_document(0, entities)]).isfinite():
            case.fail(f"the loss of a batch of {count} pairs is NaN or infinite")


def takes_unusual_documents(case: BackboneCase) -> None:
    """A document of one sentence, as DWIE's are, and one of 88 entities."""
    short, crowded = made_up_document(0, 4), made_up_document(1, MANY)
    sentence = np.zeros_like(short["mention_sentence"])
    short |= {"sentence_start": [0], "mention_sentence": sentence}
    for document, what in ((short, "one sentence"), (crowded, f"{MANY} entities")):
        backbone = case.make()
        found = case.logits(backbone, [document]).values()
        if not all(logits.isfinite().all() for logits in found):
            case.fail(f"the logits of a document of {what} are NaN or infinite")
        case.loss(backbone.train(), [document]).backward()
        _expect_finite_gradients(case, backbone)


def takes_a_batch_without_facts(case: BackboneCase) -> None:
    backbone = case.make().train()
    facts = ("fact_head", "fact_tail", "fact_class")
    evidence = tuple(f"evidence_{name}" for name in ("head", "tail", "sentence", "count"))
    nothing = dict.fromkeys(facts + evidence, ())
    loss = case.loss(backbone, [{**document, **nothing} for document in case.documents()])
    loss.backward()
    case.expect(loss.isfinite(), "the loss of a batch without facts is NaN or infinite")
    _expect_finite_gradients(case, backbone)


def every_parameter_learns(case: BackboneCase) -> None:
    backbone = case.make().train()
    encoded, batch = case.batch(case.documents())
    states = encoded.states.requires_grad_(True)
    encoded = Encoded(states, encoded.rows)
    labels = batch.labels(CLASSES).double()
    representations = backbone.represent(encoded, batch)
    loss = backbone.pair_loss(backbone.classify(representations), labels).mean()
    loss = loss + backbone.auxiliary_loss(
        Pairs(representations, labels, batch.positive), encoded, batch
    )
    loss.backward()
    idle = [name for name, p in backbone.named_parameters() if p.requires_grad and p.grad is None]
    case.expect(not idle, f"no gradient reaches {', '.join(idle[:3])}; is it used?")
    _expect_finite_gradients(case, backbone)
    if not (states.grad is not None and states.grad.abs().sum() > 0):
        case.fail("no gradient reaches the encoder's states")


def _expect_finite_gradients(case: BackboneCase, backbone: Backbone) -> None:
    for name, parameter in backbone.named_parameters():
        finite = parameter.grad is None or parameter.grad.isfinite().all()
        case.expect(finite, f"the gradient of {name} is NaN or infinite")


def evaluation_is_deterministic(case: BackboneCase) -> None:
    backbone, documents = case.make(), case.documents()
    torch.manual_seed(1)
    first = case.logits(backbone, documents)
    torch.manual_seed(2)
    again = case.logits(backbone, documents)
    if not all(torch.equal(first[key], again[key]) for key in first):
        case.fail("two passes in evaluation mode differ; draw random numbers in training only")


def classify_reads_each_pair_alone(case: BackboneCase) -> None:
    """Generated pairs come without a document: what `classify` says of one pair depends on its
    representation alone.
    """
    backbone = case.make()
    encoded, batch = case.batch(case.documents())
    found = backbone.represent(encoded, batch)
    together, alone = backbone.classify(found), backbone.classify(found[3:5])
    if not torch.allclose(together[3:5], alone, **CLOSE):
        case.fail("the logits of a pair depend on the other pairs that are classified with it")


CHECKS: tuple[Callable[[BackboneCase], None], ...] = (
    is_a_backbone,
    has_a_docstring,
    options_are_keywords_with_literal_defaults,
    shapes_are_as_declared,
    packed_and_one_by_one_agree,
    the_order_of_documents_does_not_matter,
    the_order_of_entities_does_not_matter,
    takes_one_pair_and_none,
    takes_unusual_documents,
    takes_a_batch_without_facts,
    every_parameter_learns,
    evaluation_is_deterministic,
    classify_reads_each_pair_alone,
)
