"""What cannot be made is told before anything is trained; a full disk while documents are tokenised
is told in words.
"""

import errno
import os

import datasets
import pytest
import tiny_runs
from samples import ADA, ROME, corpus

from backbones.encoders.tiny import Tiny
from benchmark.config import Choice
from benchmark.data.features import featurise
from benchmark.errors import ConfigError, UserError
from benchmark.registry import AUGMENTERS
from benchmark.training.model import require_buildable


def run_with(**parts):
    return tiny_runs.config("kd_docre", "gaussian").model_copy(update=parts)


def encoder(name, **options):
    return run_with(
        encoder=tiny_runs.config().encoder.model_copy(
            update={"name": str(name), "options": options}
        )
    )


def test_an_encoder_folder_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match=r"none_here.*neither a local folder"):
        require_buildable(encoder(tmp_path / "none_here"))


def test_an_encoder_folder_without_a_tokenizer(tmp_path):
    whole, bare = tmp_path / "whole", tmp_path / "bare"
    for folder in (whole, bare):
        Tiny([["word"]], width=8, layers=1, heads=2).save(folder)
    for file in bare.glob("*token*"):
        file.unlink()
    require_buildable(encoder(whole))
    with pytest.raises(UserError, match="bare.*tokenizer"):
        require_buildable(encoder(bare))


def test_a_preset_with_values_that_it_cannot_take():
    with pytest.raises(ConfigError, match="at least 2 heads"):
        require_buildable(encoder("tiny", heads=3, width=8))
    with pytest.raises(ConfigError, match="encoder 'tiny' cannot be made with"):
        require_buildable(encoder("tiny", layers="two"))


def test_a_teacher_that_stored_no_logits(tmp_path):
    with pytest.raises(
        UserError, match=r"distill_from.*logits_train.safetensors is missing.*store_logits"
    ):
        require_buildable(tiny_runs.config(distill_from=str(tmp_path)))


def test_a_plugin_class_that_is_no_augmenter(monkeypatch):
    monkeypatch.setattr(AUGMENTERS, "_entries", dict(AUGMENTERS._entries))
    AUGMENTERS.register("odd")(
        type("Odd", (), {"__doc__": "Of another family.", "__module__": __name__})
    )
    with pytest.raises(
        ConfigError, match=r"augmenter 'odd'.*must derive from augmenters.base.Augmenter"
    ):
        require_buildable(run_with(augmenter=Choice(name="odd", options={})))


def test_a_full_disk_while_documents_are_tokenised(monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    made, tokenizer = corpus([ADA, ROME]), Tiny([["word"]], width=8, layers=1, heads=2).tokenizer
    monkeypatch.setattr(datasets.Dataset, "map", full)
    with pytest.raises(UserError, match=r"cannot be written: no space left"):
        featurise(made.train, made, tokenizer, training=True)
