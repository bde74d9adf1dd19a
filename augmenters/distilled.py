"""What several trained models know together, taught to one."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from augmenters.none import NoAugmentation
from benchmark.options import OptionModel
from benchmark.registry import AUGMENTERS


@AUGMENTERS.register("distilled")
class Distilled(NoAugmentation):
    """An ensemble in one model: its logits are pulled towards the mean logits of finished runs.

    After the warm-up the mean squared error between them is added to the loss, over all pairs that
    it takes (knowledge distillation, Hinton et al. 2015; KD-DocRE, Tan et al. 2022). A single
    teacher of another seed tells whether it is the ensemble that helps. No pair is generated.
    """

    class Options(OptionModel):
        # folders of finished runs with `train.store_logits: true`, on the same training documents
        teachers: Annotated[list[str], Field(min_length=1)]

    check_options: ClassVar[dict[str, Any]] = {"teachers": ["results/x/atlop/none/seed-0"]}
