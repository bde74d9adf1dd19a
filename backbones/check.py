"""Checks that run over every backbone, the user's included: `run_benchmark.py check NAME`.

Documents, encodings and facts are tiny and made up. Each message says what is wrong and how to mend
it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from backbones.base import Backbone
from benchmark.checks import Case, Checks, checks_of, run_each
from benchmark.data.batches import OPTIONAL, Batch, Encoded
from benchmark.data.documents import MOST_TYPES
from benchmark.data.made_up import CLASSES, made_up_batch, made_up_document, made_up_encoding
from benchmark.data.pairs import Pairs

WIDTH = 16
DOCUMENTS = [made_up_document(number, n) for number, n in enumerate((3, 5, 2, 0, 1))]
MANY = 88  # entities: DWIE has documents of up to 81


def check_backbone(kind: type, options: dict[str, Any] | None = None) -> Checks:
    """Names and checks for a class. Each check raises CheckFailed or returns."""
    return run_each(BackboneCase(kind, options), checks_of(__name__))


class BackboneCase(Case):
    base = Backbone
    required = ("represent", "pair_loss")
    optional = frozenset(OPTIONAL)

    def make(self) -> Backbone:
        torch.manual_seed(0)
        return self.made(self.kind(WIDTH, CLASSES, **self.options), "width").double().eval()

    def batch(self, documents: Sequence[dict] = DOCUMENTS) -> tuple[Encoded, Batch]:
        batch = made_up_batch(documents, self.kind.needs, self.kind.label_tokens)
        return made_up_encoding(batch, WIDTH), batch

    def logits(
        self, backbone: Backbone, documents: Sequence[dict] = DOCUMENTS
    ) -> dict[tuple, Tensor]:
        """(document, head, tail) -> logits [R]."""
        encoded, batch = self.batch(documents)
        logits = backbone.classify(backbone.represent(encoded, batch))
        keys = [(int(batch.rows[d]), h, t) for d, h, t in batch.pairs.tolist()]
        return dict(sorted(zip(keys, logits, strict=True)))

    def loss(
        self, backbone: Backbone, encoded: Encoded, batch: Batch, what: str = "a batch"
    ) -> Tensor:
        """Raises CheckFailed where it is NaN or infinite. what: the documents, in the message."""
        representations = backbone.represent(encoded, batch)
        labels = batch.labels(CLASSES).double()
        losses = backbone.pair_loss(backbone.classify(representations), labels)
        self.expect(losses.shape == labels[:, 0].shape, "pair_loss must return one loss per pair")
        pairs = Pairs(representations, labels, batch.positive)
        auxiliary = torch.as_tensor(backbone.auxiliary_loss(pairs, encoded, batch))
        self.expect(auxiliary.ndim == 0, "auxiliary_loss must return a scalar")
        for name, part in (("pair_loss", losses), ("auxiliary_loss", auxiliary)):
            self.expect(part.isfinite().all(), f"{name} of {what} is NaN or infinite")
        total = backbone.combine(losses.sum() / max(len(losses), 1), auxiliary)
        self.expect(total.ndim == 0, "combine must return a scalar")
        self.expect(total.isfinite(), f"combine of {what} is NaN or infinite")
        return total


def shapes_are_as_declared(case: BackboneCase) -> None:
    backbone = case.make()
    encoded, batch = case.batch()
    found, expected = backbone.represent(encoded, batch), [len(batch.pairs), backbone.width]
    shape = list(found.shape)
    case.expect(shape == expected, f"represent must return [pairs, width] {expected}, got {shape}")
    low, high = backbone.bounds or (-torch.inf, torch.inf)
    case.expect(found.isfinite().all(), "representations are NaN or infinite")
    inside = (found >= low) & (found <= high)
    case.expect(inside.all(), f"representations leave bounds {low, high}")
    logits = backbone.classify(found)
    shape, expected = list(logits.shape), [len(batch.pairs), CLASSES]
    case.expect(shape == expected, f"classify must return [pairs, classes] {expected}, got {shape}")
    case.expect(logits.isfinite().all(), "logits are NaN or infinite")


def leaves_its_input_alone(case: BackboneCase) -> None:
    encoded, batch = case.batch()
    case.loss(case.make(), encoded, batch)
    message = "changes the encoder's states or attention in place; work on a copy"
    case.expect_same(encoded, case.batch()[0], message, rtol=0, atol=0)


def takes_encoders_without_attention(case: BackboneCase) -> None:
    """Unless it says that it reads attention."""
    if not case.kind.reads_attention:
        encoded, batch = case.batch()
        with case.without_attention():
            case.loss(case.make(), encoded._replace(rows=None), batch)


def packed_and_one_by_one_agree(case: BackboneCase) -> None:
    backbone = case.make()
    alone: dict[tuple, Tensor] = {}
    for document in DOCUMENTS:
        alone |= case.logits(backbone, [document])
    message = "a document's logits depend on the other documents of the batch"
    case.expect_same(case.logits(backbone), alone, message)


def the_order_of_documents_does_not_matter(case: BackboneCase) -> None:
    backbone, back = case.make(), DOCUMENTS[::-1]
    message = "logits or loss depend on the order of the documents"
    case.expect_same(case.logits(backbone, back), case.logits(backbone), message)
    loss, again = (case.loss(backbone, *case.batch(order)) for order in (DOCUMENTS, back))
    case.expect_same(again, loss, message)


def the_order_of_entities_does_not_matter(case: BackboneCase) -> None:
    if case.kind.reads_entity_numbers:
        return
    backbone, document = case.make(), made_up_document(0, 4)
    name = np.array([2, 0, 3, 1])  # the new number of each entity
    renamed = {**document, "mention_entity": name[document["mention_entity"]]}
    for key in ("fact_head", "fact_tail", "evidence_head", "evidence_tail"):
        renamed[key] = name[np.array(document[key], dtype=int)]
    renamed["entity_type"] = document["entity_type"][name.argsort()]
    before = case.logits(backbone, [document]).items()
    expected = {(d, int(name[h]), int(name[t])): logits for (d, h, t), logits in before}
    message = "logits depend on how the entities are numbered"
    case.expect_same(case.logits(backbone, [renamed]), expected, message)


def takes_one_pair_and_none(case: BackboneCase) -> None:
    """Documents of two entities, of one and of none."""
    backbone = case.make()
    for entities in (2, 1, 0):
        encoded, batch = case.batch([made_up_document(0, entities)])
        case.loss(backbone, encoded, batch, f"a batch of {len(batch.pairs)} pairs")


def takes_unusual_documents(case: BackboneCase) -> None:
    """One sentence, as DWIE's have; 88 entities, some of the last type; no fact."""
    short, crowded = made_up_document(0, 4), made_up_document(1, MANY)
    crowded["entity_type"][0] = MOST_TYPES - 1
    short |= {"sentence_start": [0], "mention_sentence": 0 * short["mention_sentence"]}
    facts = [key for key in short if key.startswith(("fact", "evidence"))]
    unusual = {
        "of one sentence": [short],
        f"of {MANY} entities": [crowded],
        "without facts": [{**document, **dict.fromkeys(facts, ())} for document in DOCUMENTS],
    }
    for what, documents in unusual.items():
        backbone = case.make()
        logits = case.logits(backbone, documents).values()
        finite = all(of_pair.isfinite().all() for of_pair in logits)
        case.expect(finite, f"the logits of documents {what} are NaN or infinite")
        loss = case.loss(backbone.train(), *case.batch(documents), f"documents {what}")
        case.expect_gradients(loss, backbone)


def loss_depends_on_what_is_stored(case: BackboneCase) -> None:
    """On parameters and buffers: a resumed run has no more."""
    stopped, resumed = case.make().train(), case.make().train()
    for documents in (DOCUMENTS, DOCUMENTS[:2]):
        case.loss(stopped, *case.batch(documents))
    resumed.load_state_dict(stopped.state_dict())
    losses = []
    for backbone in (stopped, resumed):
        torch.manual_seed(1)
        losses.append(case.loss(backbone, *case.batch()))
    message = (
        "the loss depends on earlier steps, which breaks resuming; keep what it counts in buffers"
    )
    case.expect_same(*losses, message)


def every_parameter_learns(case: BackboneCase) -> None:
    backbone = case.make().train()
    encoded, batch = case.batch()
    encoded.states.requires_grad_(True)
    case.expect_gradients(case.loss(backbone, encoded, batch), backbone, everywhere=True)
    gradient = encoded.states.grad
    reaches = gradient is not None and gradient.abs().sum() > 0
    case.expect(reaches, "no gradient reaches the encoder's states")


def auxiliary_loss_takes_generated_pairs(case: BackboneCase) -> None:
    """They follow the real pairs of the batch."""
    backbone = case.make().train()
    encoded, batch = case.batch()
    labels = batch.labels(CLASSES).double()
    real = Pairs(backbone.represent(encoded, batch), labels, batch.positive)
    generated = Pairs(*real.only_positive(), torch.arange(len(batch.positive)))
    loss = torch.as_tensor(backbone.auxiliary_loss(real.joined_with(generated), encoded, batch))
    message = "with generated pairs behind the real ones, auxiliary_loss is no finite scalar"
    case.expect(loss.ndim == 0 and loss.isfinite(), message)


def pair_loss_raises_the_labelled_classes(case: BackboneCase) -> None:
    """Gradient steps on the logits alone lift their margins above all others."""
    backbone, labels = case.make(), torch.eye(CLASSES).double()
    labels[1, 3] = 1
    logits = torch.zeros_like(labels, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.1)
    for _ in range(50):
        optimizer.zero_grad()
        backbone.pair_loss(logits, labels).sum().backward()
        optimizer.step()
    margins, holds = backbone.margins(logits), labels[:, 1:] > 0
    raised = margins[holds].min() > margins[~holds].max()
    message = "training on pair_loss does not raise the labelled classes' margins above the others'"
    case.expect(raised, f"{message}: does each logit meet the label of its own class?")


def evaluation_is_deterministic(case: BackboneCase) -> None:
    backbone = case.make()
    torch.manual_seed(1)
    first = case.logits(backbone)
    torch.manual_seed(2)
    message = "two passes in evaluation mode differ; draw random numbers in training only"
    case.expect_same(case.logits(backbone), first, message, rtol=0, atol=0)


def classify_reads_each_pair_alone(case: BackboneCase) -> None:
    """Generated pairs come without a document: what `classify` says of one pair depends on its
    representation alone.
    """
    backbone = case.make()
    found = backbone.represent(*case.batch())
    message = "the logits of a pair depend on the other pairs that are classified with it"
    case.expect_same(backbone.classify(found)[3:5], backbone.classify(found[3:5]), message)


def evidence_names_sentences_of_the_document(case: BackboneCase) -> None:
    """If it has `evidence`: other documents of a batch do not change it."""
    backbone = case.make()
    if type(backbone).evidence is Backbone.evidence:
        return

    def sentences(documents: Sequence[dict]) -> list[tuple[int, ...]]:
        encoded, batch = case.batch(documents)
        found = backbone.evidence(encoded, batch)
        listed = found.ndim == 2 and found.shape[1] == 2
        case.expect(listed, "evidence must return rows of [pair, sentence]")
        pairs = batch.pairs[found[:, 0]]
        rows = torch.stack([batch.rows[pairs[:, 0]], pairs[:, 1], pairs[:, 2], found[:, 1]], 1)
        return sorted(map(tuple, rows.tolist()))

    packed, alone = sentences(DOCUMENTS), [row for d in DOCUMENTS for row in sentences([d])]
    case.expect(packed == sorted(alone), "a document's evidence depends on the others of the batch")
    known = {document["row"]: len(document["sentence_start"]) for document in DOCUMENTS}
    there = all(0 <= sentence < known[row] for row, _, _, sentence in packed)
    case.expect(there, "evidence names a sentence that its document does not have")
    case.expect(len(set(packed)) == len(packed), "evidence names a sentence of a pair twice")
