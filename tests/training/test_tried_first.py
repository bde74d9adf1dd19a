"""What cannot be made is told before anything is trained; a full disk while documents are tokenised
is told in words.
"""

import errno
import os
from collections.abc import Callable
from typing import Annotated, Literal

import datasets
import pytest
import torch
from pydantic import Field
from samples import ADA, ROME, corpus
from tiny_runs import config, execute, five_documents, tiny_corpus

from augmenters.base import Augmenter
from backbones.encoders.base import Encoder
from backbones.encoders.tiny import Tiny
from benchmark.config import Choice, EncoderConfig
from benchmark.data.features import featurise
from benchmark.errors import ConfigError, UserError
from benchmark.options import Share, require_annotated
from benchmark.registry import AUGMENTERS, BACKBONES, ENCODERS
from benchmark.training.building import build_model
from benchmark.training.loop import Loop
from benchmark.training.tried_first import require_buildable


def encoder(name="tiny", **options):
    return config("kd_docre", encoder={"name": str(name), "options": options})


def augmenter(name, **options):
    return config().model_copy(update={"augmenter": Choice(name=name, options=options)})


def correl(**encoder):
    chosen = Choice(name="correl", options={"emb": 8, "block": 4})
    return config(encoder=encoder).model_copy(update={"backbone": chosen})


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (config("baseline", options={"emb": 16, "block": 5}), "block must divide emb"),
        (config("baseline", options={"emb": -4}), "'emb': expected a number greater than"),
        (config("baseline", options={"emb": "abc"}), "'emb': expected a valid int"),
        (config("baseline", options={"entropy": "foo"}), "'entropy': expected 'vectorised"),
        (augmenter("vae", epochs=-1), "epochs"),
        (encoder(heads=3), "at least 2 heads"),
        (encoder(layers="two"), "'layers': expected a valid int"),
        (encoder("/none_here"), "none_here.*no local folder"),
        (encoder("tiyn"), "encoder 'tiyn': Did you mean 'tiny'. This name is"),
        (augmenter("distilled", teachers="nowhere"), "'teachers': expected a valid list"),
        (augmenter("distilled", teachers=[1]), "'teachers.*valid string"),
        (augmenter("distilled", teachers=[]), "'teachers': expected at least 1 item"),
        (augmenter("distilled", teachers=["nowhere"]), "teacher.*logits_train.* is missing"),
        (config(distill_from="nowhere"), "teacher.*logits_train.* is missing.*store_logits"),
    ],
)
def test_hyper_parameters_are_tried(run, message):
    with pytest.raises(UserError, match=message):
        require_buildable(run)


def test_constructors_may_read_values_of_tensors(monkeypatch):
    class Graded(BACKBONES["atlop"]):
        """Drop rates that grow with the layer."""

        def __init__(self, encoder_width, classes, *, rate: float = 0.1):
            super().__init__(encoder_width, classes, emb=8, block=4)
            self.rates = [x.item() for x in torch.linspace(0, rate, 4)]

    monkeypatch.setattr(BACKBONES, "_entries", dict(BACKBONES._entries))
    BACKBONES.register("graded")(Graded)
    run = config().model_copy(update={"backbone": Choice(name="graded", options={"rate": 0.2})})
    require_buildable(run)


def test_options_are_what_their_annotations_say(monkeypatch):
    class Mixture(Augmenter):
        """Looks at its options when it is fitted, too late."""

        def __init__(
            self,
            *,
            parts: int = 2,
            widths: tuple[float, float] = (0.5, 1.0),
            rate: Share = 0.1,
            on=None,
        ):
            self.parts, self.widths = parts, widths

    monkeypatch.setattr(AUGMENTERS, "_entries", dict(AUGMENTERS._entries))
    AUGMENTERS.register("mixture")(Mixture)
    require_buildable(augmenter("mixture", parts=3, widths=[1, 2.5], on="whatever"))
    for options, message in (
        ({"parts": "two"}, "augmenter 'mixture': option 'parts': .* valid integer, got 'two'"),
        ({"parts": 2.5}, "option 'parts': .* valid integer"),
        ({"widths": [1.0]}, "option 'widths'"),
        ({"rate": 1.0}, "option 'rate': .* less than 1"),
    ):
        with pytest.raises(ConfigError, match=message):
            require_buildable(augmenter("mixture", **options))


def test_annotations_that_say_nothing_refuse_nothing():
    class Odd:
        def __init__(
            self,
            *,
            rate: float = None,
            act: Callable = None,
            scale: "float in (0, 1]" = 1.0,  # noqa: F722
        ): ...

    class Named:
        def __init__(self, *, rate: float = None, act: Callable = None): ...

    require_annotated(Odd, {"rate": "fast", "scale": 0.5})
    require_annotated(Named, {"rate": None, "act": "relu"})
    with pytest.raises(ConfigError, match="option 'rate': .* valid number, got 'fast'"):
        require_annotated(Named, {"rate": "fast", "act": "relu"})


def test_a_bound_that_does_not_fit_the_value_refuses_nothing():
    class Bounded:
        def __init__(
            self,
            *,
            scale: Annotated[float | Literal["auto"], Field(gt=0)] = 1.0,
            rate: Annotated[float, Field(decimal_places=2)] = 0.1,
            name: Annotated[str, Field(pattern="(")] = "a",
        ): ...

    require_annotated(Bounded, {"scale": "auto", "rate": 0.123, "name": "b"})
    with pytest.raises(ConfigError, match="option 'scale': .* greater than 0"):
        require_annotated(Bounded, {"scale": -1.0})


def test_an_augmenter_of_attention_is_refused_where_none_is_read():
    require_buildable(augmenter("era"))
    gain = augmenter("era").model_copy(update={"backbone": Choice(name="gain")})
    with pytest.raises(ConfigError, match="'era' changes .* backbone 'gain' reads none"):
        require_buildable(gain)


def test_a_teacher_must_be_finished(tmp_path):
    (tmp_path / "logits_train.safetensors").touch()
    with pytest.raises(UserError, match="is not finished"):
        require_buildable(augmenter("distilled", teachers=[str(tmp_path)]))


def test_an_encoder_that_takes_no_tokens(monkeypatch):
    require_buildable(correl())
    monkeypatch.setattr(ENCODERS, "_entries", dict(ENCODERS._entries))
    none = {"__doc__": "Takes none.", "append_tokens": Encoder.append_tokens}
    ENCODERS.register("takes_none")(type("TakesNone", (Tiny,), none | {"__module__": __name__}))
    for name, message in (("bilstm", "gives none"), ("takes_none", "'takes_none' takes none")):
        run = correl().model_copy(update={"encoder": EncoderConfig(name=name)})
        with pytest.raises(ConfigError, match=f"'correl' .*{message}"):
            require_buildable(run)
    with pytest.raises(ConfigError, match="TakesNone takes no tokens at the end"):
        ENCODERS["takes_none"]([["word"]]).append_tokens(4)


def test_windows_without_room_for_a_token_of_each_relation():
    build_model(correl(options={"positions": 13}), tiny_corpus())
    with pytest.raises(ConfigError, match="4 further tokens .* in windows of 12"):
        build_model(correl(options={"positions": 12}), tiny_corpus())


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


def test_there_is_room_for_the_largest_document_of_all_splits(tmp_path, monkeypatch):
    """Of four entities, in test alone."""
    monkeypatch.setattr("backbones.parts.axial.OFFICIAL_ENTITIES", 3)
    monkeypatch.setattr(Loop, "_epoch", lambda *_: pytest.fail("something is trained"))
    documents = sorted(five_documents(), key=lambda row: len(row["entities"]))
    run = config("kd_docre", options={"axial": "pad_to_42_unmasked"})
    with pytest.raises(ConfigError, match="at most 3 entities, and one has 4"):
        execute(tmp_path, run, corpus=corpus(documents[:4], documents[:4], documents[4:]))
