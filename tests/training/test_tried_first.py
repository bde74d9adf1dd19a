"""What cannot be made is told before anything is trained; a full disk while documents are tokenised
is told in words.
"""

import errno
import os

import datasets
import pytest
from samples import ADA, ROME, corpus
from tiny_runs import config

from backbones.encoders.tiny import Tiny
from benchmark.config import Choice
from benchmark.data.features import featurise
from benchmark.errors import ConfigError, UserError
from benchmark.registry import AUGMENTERS
from benchmark.training.model import require_buildable


def encoder(name="tiny", **options):
    return config("kd_docre", encoder={"name": str(name), "options": options})


def augmenter(name, **options):
    return config().model_copy(update={"augmenter": Choice(name=name, options=options)})


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (config("baseline", options={"emb": 16, "block": 5}), "block must divide emb"),
        (config("baseline", options={"emb": -4}), "'emb': Input should be greater than"),
        (config("baseline", options={"emb": "abc"}), "'emb': Input should be a valid int"),
        (config("baseline", options={"entropy": "foo"}), "'entropy': Input should be 'vectorised"),
        (augmenter("vae", epochs=-1), "epochs"),
        (encoder(heads=3), "at least 2 heads"),
        (encoder(layers="two"), "'layers': Input should be a valid int"),
        (encoder("/none_here"), "none_here.*neither a local folder"),
        (config(distill_from="nowhere"), "teacher.*logits_train.* is missing.*store_logits"),
    ],
)
def test_hyper_parameters_are_tried(run, message):
    with pytest.raises(UserError, match=message):
        require_buildable(run)


def test_an_encoder_folder_without_a_tokenizer(tmp_path):
    whole, bare = tmp_path / "whole", tmp_path / "bare"
    for folder in (whole, bare):
        Tiny([["word"]], width=8, layers=1, heads=2).save(folder)
    for file in bare.glob("*token*"):
        file.unlink()
    require_buildable(encoder(whole))
    with pytest.raises(UserError, match="bare.*tokenizer"):
        require_buildable(encoder(bare))


def test_a_plugin_class_that_is_no_augmenter(monkeypatch):
    monkeypatch.setattr(AUGMENTERS, "_entries", dict(AUGMENTERS._entries))
    odd = type("Odd", (), {"__doc__": "Of another family.", "__module__": __name__})
    AUGMENTERS.register("odd")(odd)
    with pytest.raises(ConfigError, match="'odd'.*must derive from augmenters.base.Augmenter"):
        require_buildable(augmenter("odd"))


def test_a_full_disk_while_documents_are_tokenised(monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    made, tokenizer = corpus([ADA, ROME]), Tiny([["word"]], width=8, layers=1, heads=2).tokenizer
    monkeypatch.setattr(datasets.Dataset, "map", full)
    with pytest.raises(UserError, match=r"cannot be written: no space left"):
        featurise(made.train, made, tokenizer, training=True)
