"""What several trained models know together, taught to one."""

from typing import Any, ClassVar

from augmenters.none import NoAugmentation
from benchmark.options import OptionModel
from benchmark.registry import AUGMENTERS


@AUGMENTERS.register("distilled")
class Distilled(NoAugmentation):
    """An ensemble in one model: logits are drawn to the mean of those of finished runs.

    After the warm-up the mean squared error between them is added to the loss, over all pairs
    (knowledge distillation, Hinton et al. 2015; KD-DocRE, Tan et al. 2022). Teachers of one seed
    other than the student's tell whether it is the ensemble that helps. No pair is generated.
    """

    class Options(OptionModel):
        # folders of finished runs with `train.store_logits: true`, on the same training documents
        teachers: list[str]

    check_options: ClassVar[dict[str, Any]] = {"teachers": []}
