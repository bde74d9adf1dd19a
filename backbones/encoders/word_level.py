"""The word-level encoders of DocRED's baselines (Yao et al. 2019; thunlp/DocRED): words, entity
numbers and types, then a CNN, an LSTM or a BiLSTM.

Their text has no markers: `encoder.mention: unmarked`.
"""

import json
import os
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, max_pool1d, pad
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from backbones.encoders.base import Encoder
from backbones.encoders.words import MARKER, PAD, WordTokenizer
from backbones.parts.mentions import TokenTags
from benchmark.errors import ConfigError
from benchmark.options import OptionModel, Probability, Whole
from benchmark.registry import ENCODERS

TAG = 20  # width of the embeddings of entity numbers and of types


class WordEncoder(Encoder):
    """Lower-cased words with tags, and a network over them; subclasses define the network.

    Args:
        sentences: lists of words, which are the vocabulary without `path`.
    """

    needs = TokenTags.needs
    gives_attention = False
    check_options: ClassVar[dict[str, Any]] = {"word_width": 8}

    def __init__(self, sentences, **options):
        super().__init__()
        self.options = options = self.Options.of(options)
        words = vectors = None
        if options.path:
            words, vectors = _read(options.path, options.word_width)
            sentences = [words]
        most, least = options.vocabulary, options.least
        if words is not None:
            most, least = len(words), 1
        self.tokenizer = WordTokenizer(sentences, most, least=least, lower=True)
        self.windows = self.tokenizer.windows()
        self.embeddings = nn.Embedding(len(self.tokenizer), options.word_width, padding_idx=PAD)
        if vectors is not None:
            self.embeddings.weight.data[-len(vectors) :] = vectors
            self.embeddings.weight.requires_grad_(False)
        self.tags = TokenTags(TAG)
        self.input_width = options.word_width + 2 * TAG
        self.width = options.width

    def forward(self, batch):
        """Token states; those of the special tokens are 0."""
        entities, types = self.tags(batch)
        inputs = (
            self.embeddings(batch.window_ids),
            entities[batch.window_target],
            types[batch.window_target],
        )
        lengths = batch.window_mask.sum(1) - 2
        column = torch.arange(batch.window_ids.shape[1] - 1, device=lengths.device)
        real = (column < lengths[:, None]).unsqueeze(-1)
        states = self.network(torch.cat(inputs, -1)[:, 1:] * real, lengths, real) * real
        return self.by_document(pad(states, (0, 0, 1, 0)), None, batch)

    def network(self, x: Tensor, lengths: Tensor, real: Tensor) -> Tensor:
        """[W, T, width] from inputs [W, T, input_width], zero where `real` [W, T, 1] is False."""
        raise NotImplementedError

    @classmethod
    def load(cls, folder, **options):
        words = json.loads((folder / "words.json").read_text(encoding="utf-8"))
        made = options | {"path": None, "vocabulary": max(len(words), 1), "least": 1}
        return cls([words], **made)


def _read(path: str, width: int) -> tuple[list[str], Tensor]:
    """The words of a file of vectors, and their vectors [words, width]."""
    vectors: dict[str, list[float]] = {}
    try:
        with Path(os.path.expanduser(path)).open(encoding="utf-8-sig") as lines:
            for line in lines:
                word, *values = line.rstrip().split(" ")
                if len(values) == width and word != MARKER:  # not the header of word2vec
                    vectors.setdefault(word.lower(), [float(value) for value in values])
    except (OSError, ValueError) as error:
        raise ConfigError(f"path: word vectors cannot be read from {path}: {error}") from error
    if not vectors:
        raise ConfigError(f"path: {path} has no vectors of width {width} (word_width)")
    return list(vectors), torch.tensor(list(vectors.values()))


@ENCODERS.register("cnn")
class Cnn(WordEncoder):
    """Three convolutions over three words each, for `bilinear`; with `mention: unmarked`."""

    class Options(OptionModel):
        # a text file of word vectors, "word number number ..." a line, which are not trained; null:
        # they are random and trained
        path: str | None = None
        word_width: Whole = 100  # of a word's vector
        vocabulary: Whole = 50_000  # words kept, without `path`
        least: Whole = 2  # without `path`: a word seen less often is an unknown word
        width: Whole = 200  # channels
        rate: Probability = 0.5  # of dropout after each layer

    def __init__(self, sentences, **options):
        super().__init__(sentences, **options)
        widths = (self.input_width, self.width, self.width)
        self.convolutions = nn.ModuleList(nn.Conv1d(w, self.width, 3, padding=1) for w in widths)

    def network(self, x, lengths, real):
        x, real = x.transpose(1, 2), real.transpose(1, 2)
        for layer in self.convolutions:
            # the maximum after ReLU, so that padding, which is 0, is never it
            x = max_pool1d(layer(x).relu() * real, 3, stride=1, padding=1) * real
            x = dropout(x, self.options.rate, self.training)
        return x.transpose(1, 2)


@ENCODERS.register("lstm")
class Lstm(WordEncoder):
    """An LSTM over words, for `bilinear` and `context_aware`; with `mention: unmarked`."""

    class Options(OptionModel):
        # as in `cnn`
        path: str | None = None
        word_width: Whole = 100
        vocabulary: Whole = 50_000
        least: Whole = 2
        width: Whole = 128  # of states
        rate: Probability = 0.2  # of dropout of the inputs, one mask for a text

    directions = 1

    def __init__(self, sentences, **options):
        super().__init__(sentences, **options)
        width, both = self.width, self.directions == 2
        self.lstm = nn.LSTM(self.input_width, width, batch_first=True, bidirectional=both)
        self.start = nn.ParameterList(
            nn.Parameter(torch.zeros(self.directions, 1, width)) for _ in range(2)
        )
        self.leave = nn.Linear(self.directions * width, width)

    def network(self, x, lengths, real):
        x = x * dropout(x.new_ones(len(x), 1, x.shape[2]), self.options.rate, self.training)
        packed = pack_padded_sequence(
            x, lengths.clamp(min=1).cpu(), batch_first=True, enforce_sorted=False
        )
        start = tuple(state.expand(-1, len(x), -1).contiguous() for state in self.start)
        states, _ = self.lstm(packed, start)
        states, _ = pad_packed_sequence(states, batch_first=True, total_length=x.shape[1])
        return self.leave(states).relu()


@ENCODERS.register("bilstm")
class BiLstm(Lstm):
    """An LSTM over words in both directions, for `bilinear` and `context_aware`; with `mention:
    unmarked`.
    """

    directions = 2
