"""The contract of a backbone: from an encoded batch to representations of entity pairs, their
logits and their losses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from benchmark.data.batches import Batch, Encoded
from benchmark.data.pairs import Pairs
from benchmark.options import OptionModel

if TYPE_CHECKING:
    from backbones.encoders.base import Encoder


class Backbone(nn.Module):
    """A model of entity pairs on top of an encoder.

    Subclasses are registered with `@BACKBONES.register("name")`, take `(encoder_width, classes)`
    and keyword-only hyper-parameters, or a nested `Options` with `**options`
    (benchmark/options.py), and define `represent`, `pair_loss` and a layer `classifier`, or
    `classify`. The types of these methods stand here alone. `backbones/check.py` tells what is
    wrong with a backbone. Defaults of those in this folder are the official code's, where a comment
    does not say otherwise.

    Shapes: P pairs, d representation width, R relations and, at index 0, the threshold class (NA).
    P is 0 for documents of fewer than two entities: a mean over pairs is then NaN. Logits and
    labels have one dtype, float32 in training and float64 in `check`.

    A backbone is not told how many types of entities a dataset has. `batch.entity_type` is 0 for
    unknown and always below `benchmark.data.documents.MOST_TYPES`; those in this folder embed fewer
    (`parts/mentions.py`), and the rarest types share a row.

    Attributes:
        width: d, of the representations that augmenters see and `classify` reads. The constructor
            must set it, after `super().__init__()`.
        bounds: the range of representations (generated ones are clamped to it), or None.
        needs: optional fields of `Batch` that it reads (benchmark.data.batches.OPTIONAL), such as
            "entity_type"; batches carry only those that are named here.
        reads_attention: whether `represent` reads the attention rows; not every encoder gives them.
        reads_entity_numbers: whether logits depend on the entities' order in the file.
        label_tokens: whether every window of the encoder ends in a learned token for each class
            (`Encoder.append_tokens`): the last R + 1 tokens of a document are theirs and an end.
        tunes_threshold: whether the threshold is tuned on dev before each dev score; such a
            backbone has `move_threshold` (backbones/parts/binary.py).
        fuses: whether dev and test are scored with pseudo-documents, too
            (benchmark/training/fusion.py); such a backbone has `evidence`.
        check_options: hyper-parameters that make it small enough for `check`.
    """

    width: int
    bounds: tuple[float, float] | None = None
    needs: ClassVar[tuple[str, ...]] = ()
    reads_attention: ClassVar[bool] = False
    reads_entity_numbers: ClassVar[bool] = False
    label_tokens: ClassVar[bool] = False
    tunes_threshold: bool = False
    fuses: bool = False
    check_options: ClassVar[dict[str, Any]] = {}

    def __init__(self, **options: Any):
        super().__init__()
        self.options = getattr(self, "Options", OptionModel).of(options)

    def prepare_encoder(self, encoder: Encoder) -> None:
        """Change, once, the encoder that it is about to be trained with; by default nothing."""

    def require_room(self, entities: int) -> None:
        """Raise ConfigError unless documents of so many entities fit; by default all do. Asked
        before training, for the largest document of all splits.
        """

    def represent(self, encoded: Encoded, batch: Batch) -> Tensor:
        """[P, d] representations of the batch's pairs."""
        raise NotImplementedError

    def classify(self, representations: Tensor) -> Tensor:
        """[P, R] logits; by default those of the layer `self.classifier`."""
        return self.classifier(representations)

    def pair_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """[P] loss of each pair, for logits [P, R] and multi-hot or soft labels [P, R]."""
        raise NotImplementedError

    def drawn_pairs(self, labels: Tensor) -> Tensor | None:
        """[P] bool: the real pairs of a step, with labels [P, R], that the mean of `pair_loss` is
        taken over; None, the default, takes all. The auxiliary loss sees them all.
        """
        return None

    def auxiliary_loss(self, pairs: Pairs, encoded: Encoded, batch: Batch) -> Tensor | float:
        """A scalar that is added to the mean of the pairs' losses; 0 by default. Multiply a mean
        over the positive pairs of `batch` by `batch.share` to make it one over the whole batch's;
        `batch.everywhere` gathers the values of all processes' documents.

        Args:
            pairs: of the whole batch in at least float32, generated pairs last.
            encoded, batch: of this process's documents, which are the whole batch unless several
                processes train together.
        """
        return 0.0

    def combine(self, main: Tensor, auxiliary: Tensor | float) -> Tensor:
        """The scalar loss of a step, from that of its pairs, a teacher's among them, and the
        auxiliary one; by default their sum.
        """
        return main + auxiliary

    def evidence(self, encoded: Encoded, batch: Batch) -> Tensor:
        """[K, 2] (pair, sentence): the sentences that a pair's relations are read from; by pair and
        sentence, each once. A pair may have none.
        """
        raise NotImplementedError

    def slow_parameters(self) -> list[nn.Parameter]:
        """Parameters of the head that train at the encoder's learning rate; none by default.
        `train.rates` wins over them.
        """
        return []

    def margins(self, logits: Tensor) -> Tensor:
        """[P, R - 1] how far each relation's logit lies above the threshold, by default that of
        class 0. Facts of a margin above 0 are predicted.
        """
        return logits[:, 1:] - logits[:, :1]

    @torch.no_grad()
    def predict(self, logits: Tensor, *, max_labels: int) -> tuple[Tensor, Tensor]:
        """Relations above the threshold, at most `max_labels` for a pair (get_label of the
        ATLOP lineage).

        Returns:
            [F, 2] (pair, class) of the predicted facts, and their margins over the threshold [F].
        """
        margin = self.margins(logits)
        # as in the official code, class 0 is among the candidates that the limit counts; where it
        # is the threshold, relations above it rank the same without it
        floor = logits.topk(min(max_labels, logits.shape[1]), dim=1).values[:, -1:]
        facts = ((margin > 0) & (logits[:, 1:] >= floor)).nonzero()
        return facts + torch.tensor([0, 1], device=facts.device), margin[facts[:, 0], facts[:, 1]]
