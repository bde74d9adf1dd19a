"""A backbone that changes its encoder: trained, stored, restored, and under the cheap protocol."""

import pytest
import torch
from tiny_runs import config, execute, tiny_corpus

from benchmark.config import AugmentConfig, Choice
from benchmark.data.collation import Collator
from benchmark.data.made_up import made_up_document
from benchmark.errors import ConfigError
from benchmark.training.building import build_model, restore_model

RUN = config(epochs=1).model_copy(
    update={"backbone": Choice(name="ssan", options={"emb": 8, "structure": "decomp"})}
)


def test_a_run_with_entity_structure(tmp_path):
    directory = execute(tmp_path, RUN)
    models = [restore_model(RUN, directory.path, 4).eval() for _ in range(2)]
    names = [name for name in models[0].state_dict() if name.startswith("encoder.structure.")]
    assert any("layers.0.weights" in name for name in names)
    collate = Collator(models[0].encoder.windows, models[0].needs)
    rows = [made_up_document(0, 3), made_up_document(1, 2)]
    batch = collate([row | {"tokens": row["tokens"] % 20} for row in rows])
    first, again = (model.logits(batch) for model in models)
    assert torch.equal(first, again) and first.isfinite().all()
    with torch.no_grad():
        for bias in models[1].encoder.structure.parameters():
            bias.zero_()
    assert not torch.equal(models[1].logits(batch), first)
    head = RUN.model_copy(update={"augment": AugmentConfig(stage3="head", warmup_epochs=1)})
    assert execute(tmp_path, head).read_json("metrics.json")["epochs"] == 1


def test_weights_that_a_backbone_adds_to_a_frozen_encoder():
    frozen = config(encoder={"name": "tiny", "freeze": "all"})
    build_model(frozen, tiny_corpus())
    with pytest.raises(ConfigError, match="freeze: all: backbone 'ssan' .* would stay untrained"):
        build_model(frozen.model_copy(update={"backbone": RUN.backbone}), tiny_corpus())
