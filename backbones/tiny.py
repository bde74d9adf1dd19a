"""A small BERT made on the spot: for demos, tests and machines without a network. Nothing is downloaded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from backbones.encoder import Encoder
from benchmark.registry import ENCODERS

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
    return Encoder(BertModel(config, add_pooling_layer=False), tokenizer)


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
    frequent = sorted((word for word, times in counts.items() if times > 1 and len(word) > 1), key=lambda word: (-counts[word], word))
    pieces += frequent[: max(0, size - len(pieces))]
    tokenizer = Tokenizer(models.WordPiece({piece: number for number, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, splitter
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )
