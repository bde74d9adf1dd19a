"""A word-level LSTM, trained from the beginning. It has no attention to give."""

from torch import nn

from backbones.encoders.base import Encoder
from backbones.encoders.words import WordTokenizer
from benchmark.registry import ENCODERS


@ENCODERS.register("lstm_plugin")
class Lstm(Encoder):
    """A bidirectional LSTM over words.

    Args:
        size: of a word's embedding and of each direction.
    """

    gives_attention = False
    check_options = {"size": 6}

    def __init__(self, sentences, *, size: int = 64):
        super().__init__()
        self.tokenizer = WordTokenizer(sentences)
        self.windows, self.width = self.tokenizer.windows(), 2 * size
        self.embedding = nn.Embedding(len(self.tokenizer), size)
        self.lstm = nn.LSTM(size, size, batch_first=True, bidirectional=True)

    def forward(self, batch):
        lengths = batch.window_mask.sum(1).cpu()
        packed = nn.utils.rnn.pack_padded_sequence(
            self.embedding(batch.window_ids), lengths, batch_first=True, enforce_sorted=False
        )
        states, _ = nn.utils.rnn.pad_packed_sequence(
            self.lstm(packed)[0], batch_first=True, total_length=batch.window_ids.shape[1]
        )
        return self.by_document(states, None, batch)
