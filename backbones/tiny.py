"""A small BERT made on the spot: for demos, tests and machines without a network. Nothing is downloaded."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from backbones.encoder import Encoder
from benchmark.registry import ENCODERS

if TYPE_CHECKING:
    from transformers import BertModel

SPREAD = 0.1
AMPLITUDE = 0.3
SHARPNESS = 1.3
LONGEST = 40.0
OFFSETS = (0,)
MARKER = "*"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


@ENCODERS.register("tiny")
def tiny(
    texts: Iterable[list[str]],
    *,
    vocabulary: int = 1500,
    width: int = 64,
    layers: int = 2,
    heads: int = 4,
    positions: int = 512,
    dropout: float = 0.1,
) -> Encoder:
    """A randomly initialised BERT with a WordPiece vocabulary trained on the training documents.

    Args:
        texts: the words of the training sentences.
        vocabulary: number of wordpieces; the characters are always in.
        width, layers, heads: of the transformer; the feed-forward layers are 4 x width.
        positions: window size, special tokens included.
        dropout: of hidden states and attention.
    """
    from transformers import BertConfig, BertModel

    tokenizer = _wordpiece(texts, vocabulary)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        max_position_embeddings=positions,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        pad_token_id=tokenizer.pad_token_id,
        attn_implementation="sdpa",
    )
    model = BertModel(config, add_pooling_layer=False)
    _look_near(model)
    return Encoder(model, tokenizer)


@torch.no_grad()
def _look_near(model: BertModel) -> None:
    """Initialise so that every head attends to near positions.

    The first head's width of dimensions holds sines and cosines of the position and nothing else; no layer writes there.
    Every head compares these alone; head k looks OFFSETS[k] positions away.
    """
    config = model.config
    size = config.hidden_size // config.num_attention_heads
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=SPREAD)
    embeddings = model.embeddings
    embeddings.word_embeddings.weight[config.pad_token_id] = 0
    for table in (embeddings.word_embeddings, embeddings.token_type_embeddings):
        table.weight[:, :size] = 0
    rates = torch.logspace(0, -math.log10(LONGEST), size // 2)
    angles = torch.arange(config.max_position_embeddings).unsqueeze(1) * rates
    positions = embeddings.position_embeddings.weight.zero_()
    positions[:, :size] = torch.stack([angles.sin(), angles.cos()], 2).flatten(1) * AMPLITUDE
    for layer in model.encoder.layer:
        attention = layer.attention.self
        for head in range(config.num_attention_heads):
            rows = slice(head * size, (head + 1) * size)
            away = rates * OFFSETS[head % len(OFFSETS)]
            for projection, turn in ((attention.query, away), (attention.key, 0 * away)):
                projection.weight[rows] = 0
                projection.weight[rows, :size] = SHARPNESS * _rotation(turn)
        layer.attention.output.dense.weight[:size] = 0
        layer.output.dense.weight[:size] = 0


def _rotation(angles: Tensor) -> Tensor:
    """[2k, 2k]: turns (sin x, cos x) of each pair into (sin (x + angle), cos (x + angle))."""
    return torch.block_diag(
        *(torch.tensor([[c, s], [-s, c]]) for c, s in zip(angles.cos().tolist(), angles.sin().tolist(), strict=True))
    )


def _wordpiece(texts: Iterable[list[str]], size: int):
    """Every character, alone and as a continuation, then the most frequent words: unseen words fall into characters.

    Not the library's trainer, whose ties fall differently from run to run.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    normalizer, splitter = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    sentences = Counter(" ".join(words) for words in texts)
    counts: Counter[str] = Counter()
    for sentence, times in sentences.items():
        for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(sentence)):
            counts[word] += times
    characters = sorted(set("".join(counts)) | {MARKER})
    pieces = [*SPECIAL, *characters, *(f"##{character}" for character in characters)]
    frequent = sorted(
        (word for word, times in counts.items() if times > 1 and len(word) > 1), key=lambda word: (-counts[word], word)
    )
    pieces += frequent[: max(0, size - len(pieces))]
    tokenizer = Tokenizer(models.WordPiece({piece: number for number, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, splitter
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )
