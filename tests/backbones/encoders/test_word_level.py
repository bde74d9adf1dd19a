"""Word vectors from a file; words without regard to capitals. `check` does the rest."""

import pytest
import torch

from backbones.encoders.word_level import BiLstm, Cnn
from backbones.encoders.words import UNKNOWN
from benchmark.errors import ConfigError


@pytest.mark.parametrize("first", ["2 3\n", "\N{BYTE ORDER MARK}"])
def test_vectors_from_a_file(tmp_path, first):
    path = tmp_path / "vectors.txt"
    text = f"{first}One 1 2 3\n* 9 9 9\ntwo 4 5 6\nONE 7 8 9\n"
    path.write_text(text, encoding="utf-8")
    encoder = BiLstm([["unknown"]], path=str(path), word_width=3)
    ids = [encoder.tokenizer(word)[0] for word in ("one", "ONE", "two", "unknown")]
    vectors = encoder.embeddings.weight[ids]
    assert vectors[:3].tolist() == [[1, 2, 3], [1, 2, 3], [4, 5, 6]]
    assert not encoder.embeddings.weight.requires_grad
    assert ids[3] == encoder.tokenizer("other")[0]
    encoder.save(tmp_path / "saved")
    path.unlink()
    loaded = BiLstm.load(tmp_path / "saved", path=str(path), word_width=3)
    loaded.load_state_dict(encoder.state_dict())
    assert torch.equal(loaded.embeddings.weight[ids], vectors)
    assert loaded.tokenizer.key == encoder.tokenizer.key


def test_vectors_that_cannot_be_used(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        Cnn([], path=str(tmp_path / "none.txt"))
    (tmp_path / "two.txt").write_text("one 1 2\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="no vectors of width 100"):
        Cnn([], path=str(tmp_path / "two.txt"))


def test_a_word_seen_once_is_unknown_but_not_one_with_a_vector(tmp_path):
    sentences = [["Two", "words", "*"], ["two", "*", "words", "once"]]
    encoder = BiLstm(sentences, word_width=3)
    ids = [encoder.tokenizer(word)[0] for word in ("two", "words", "once", "never")]
    assert ids[2:] == [UNKNOWN, UNKNOWN] and ids[0] != ids[1] and UNKNOWN not in ids[:2]
    encoder.save(tmp_path)
    assert BiLstm.load(tmp_path, word_width=3).tokenizer.key == encoder.tokenizer.key
    assert "once" in BiLstm(sentences, word_width=3, least=1).tokenizer.ids
