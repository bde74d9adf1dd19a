"""A small BERT made on the spot: for demos, tests and machines without a network. Nothing is downloaded."""

from __future__ import annotations

from collections.abc import Iterable

from backbones.encoder import Encoder
from benchmark.registry import ENCODERS

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
        vocabulary: largest number of wordpieces.
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
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=size, special_tokens=[*SPECIAL, "*"], show_progress=False)
    tokenizer.train_from_iterator((" ".join(words) for words in texts), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )
