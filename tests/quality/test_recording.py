"""quality.json of whole runs: written while they train, the same when measured afterwards, and no
other number moves.
"""

import pytest
from tiny_runs import config, execute, execute_and_kill, numbers, tiny_corpus

from benchmark.config import Choice
from benchmark.errors import UserError
from benchmark.progress import Progress
from benchmark.quality.recording import rare_relations
from benchmark.training.augmentation import Augmentation
from benchmark.training.stored_quality import StoredRunQuality


def stage1(tmp_path, **options):
    return execute(tmp_path, config(**options), branch_epoch=1)


def afterwards(corpus=None):
    return StoredRunQuality(lambda run: corpus or tiny_corpus(), Progress.silent())


@pytest.mark.parametrize("augmenter", ["copies", "vaediff"])
def test_a_run_measures_itself_and_finds_the_same_afterwards(tmp_path, augmenter):
    stage1(tmp_path)
    run = execute(tmp_path, config(augmenter=augmenter))
    found = run.read_json("quality.json")
    assert found["pairs"]["compared"] > 0 and set(found["groups"]) == {"all", "tail", "frequent"}
    assert bool(found["diagnosis"]) == (augmenter == "vaediff")
    assert "quality.json" in run.read_json("DONE")["sha256"]
    (run.path / "quality.json").unlink()
    afterwards().record(run)
    assert run.read_json("quality.json") == found
    run.verify()


def test_measuring_changes_no_other_number(tmp_path, monkeypatch):
    stage1(tmp_path / "measured")
    measured = numbers(execute(tmp_path / "measured", config(augmenter="gaussian")))
    monkeypatch.setattr(Augmentation, "measure", lambda self: None)
    stage1(tmp_path / "plain")
    assert numbers(execute(tmp_path / "plain", config(augmenter="gaussian"))) == measured


def test_a_killed_run_finds_the_same_when_it_goes_on(tmp_path, monkeypatch):
    stage1(tmp_path)
    run = execute_and_kill(monkeypatch, tmp_path, config(augmenter="vaediff"), epoch=1)
    before = (run / "quality.json").read_bytes()
    execute(tmp_path, config(augmenter="vaediff"))
    assert (run / "quality.json").read_bytes() == before


def test_without_a_stage_1_model_it_is_left_out_with_a_word(tmp_path, monkeypatch):
    listener, said = Progress.silent(), []
    listener.message = said.append
    monkeypatch.setattr(Progress, "silent", staticmethod(lambda: listener))
    run = execute(tmp_path, config(augmenter="copies"))
    assert not (run.path / "quality.json").exists()
    assert any("not measured" in text and "`none` run" in text for text in said)


def test_afterwards_says_what_is_missing(tmp_path):
    none = stage1(tmp_path)
    run = execute(tmp_path, config(augmenter="vae"))
    (run.path / "augmenter.safetensors").rename(run.path / "away")
    with pytest.raises(UserError, match=r"vae.seed-0: kept no augmenter \(augmenter.safetensors\)"):
        afterwards().record(run)
    (run.path / "away").rename(run.path / "augmenter.safetensors")
    (none.path / "best.safetensors").rename(none.path / "away")
    with pytest.raises(UserError, match=r"none.seed-0 kept no weights"):
        afterwards().record(run)
    (none.path / "DONE").unlink()
    with pytest.raises(UserError, match="`none` run of the same seed, which is not there"):
        afterwards().record(run)


def test_an_augmenter_that_makes_no_pairs_is_not_measured(tmp_path):
    stage1(tmp_path)
    control = Choice(name="input_dropout", options={"rate": 0.3})
    run = config(augmenter="copies").model_copy(update={"augmenter": control})
    with pytest.raises(UserError, match="input_dropout makes no pairs of its own"):
        afterwards().record(execute(tmp_path, run))


def test_other_documents_are_refused(tmp_path):
    stage1(tmp_path)
    run = execute(tmp_path, config(augmenter="copies"), finish=False)
    settings = run.read_json("config.json")
    run.write_json("config.json", settings | {"facts": {"corpus_digest": "of other documents"}})
    run.finish()
    with pytest.raises(UserError, match="other documents"):
        afterwards().record(run)


def test_rare_relations():
    assert rare_relations(("a", "b", "c"), {"b"}).tolist() == [True, False, True]
    assert rare_relations(("a",), None) is None
