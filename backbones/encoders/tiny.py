"""A small BERT made on the spot: for demos, tests and machines without a network.

Its heads start out attending to near positions: with the usual random weights it would learn
nothing from a few hundred documents, since it would first have to find out that neighbouring words
belong together.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import nn

from backbones.encoders.huggingface import HuggingFaceEncoder
from backbones.encoders.words import MARKER
from benchmark.errors import ConfigError
from benchmark.options import OptionModel, Share, Whole
from benchmark.registry import ENCODERS

if TYPE_CHECKING:
    from transformers import BertModel

# standard deviation of all other weights; BERT's 0.02 learns more slowly at these widths
SPREAD = 0.1
AMPLITUDE = 0.3  # of the positions' sines
LONGEST = 40.0  # wave length of the slowest sine over that of the fastest, which is 2 pi tokens
# of queries and keys: with 4 heads of 16, a neighbour gets a third of the weight of the token
# itself
SHARPNESS = 1.3
BLOCK = 20_000  # sentences held at a time while words are counted
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


@ENCODERS.register("tiny")
class Tiny(HuggingFaceEncoder):
    """A BERT without pretraining, whose heads start out attending to near positions; vocabulary
    from the training documents, given as lists of words.
    """

    class Options(OptionModel):
        vocabulary: Whole = 1500  # wordpieces; the characters are always in
        # of the transformer; feed-forward layers are 4 x width. At least 2 heads, of even width
        width: Whole = 64
        layers: Whole = 1
        heads: Whole = 4
        # window size, the two special tokens included
        positions: Annotated[int, Field(ge=3)] = 512
        dropout: Share = 0.0  # of hidden states and attention

    check_options: ClassVar[dict[str, Any]] = {"vocabulary": 200, "width": 8, "heads": 2}

    def __init__(self, sentences: Iterable[list[str]], **options: Any):
        from transformers import BertConfig, BertModel

        options = self.Options.of(options)
        width, heads = options.width, options.heads
        if heads < 2 or width % (2 * heads):
            raise ConfigError(
                "needs at least 2 heads and a width that 2 x heads divides, "
                f"got heads {heads}, width {width}"
            )
        tokenizer = _wordpiece(sentences, options.vocabulary)
        config = BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=width,
            num_hidden_layers=options.layers,
            num_attention_heads=heads,
            intermediate_size=4 * width,
            max_position_embeddings=options.positions,
            hidden_dropout_prob=options.dropout,
            attention_probs_dropout_prob=options.dropout,
            pad_token_id=tokenizer.pad_token_id,
            attn_implementation="sdpa",
        )
        model = BertModel(config, add_pooling_layer=False)
        _look_near(model)
        super().__init__(model, tokenizer)


@torch.no_grad()
def _look_near(model: BertModel) -> None:
    """Initialise all weights, so that every head attends to near positions.

    The first dimensions, as many as a head is wide, hold sines and cosines of the position alone;
    queries and keys are made of these. That is a beginning: all of it is trained.
    """
    config, embeddings = model.config, model.embeddings
    size = config.hidden_size // config.num_attention_heads
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=SPREAD)
    for words in (embeddings.word_embeddings, embeddings.token_type_embeddings):
        words.weight[:, :size] = 0
    rates = torch.logspace(0, -math.log10(LONGEST), size // 2)
    angles = torch.arange(config.max_position_embeddings).unsqueeze(1) * rates
    positions = embeddings.position_embeddings.weight.zero_()
    positions[:, :size] = AMPLITUDE * torch.cat([angles.sin(), angles.cos()], 1)
    for layer in model.encoder.layer:
        for projection in (layer.attention.self.query, layer.attention.self.key):
            projection.weight.zero_()
            heads = torch.eye(size).repeat(config.num_attention_heads, 1)
            projection.weight[:, :size] = SHARPNESS * heads
        layer.attention.output.dense.weight[:size] = 0
        layer.output.dense.weight[:size] = 0


def _wordpiece(texts: Iterable[list[str]], size: int):
    """Every character, alone and as a continuation, then the most frequent words. Not the library's
    trainer, whose ties fall differently from run to run.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    normalizer = normalizers.BertNormalizer(lowercase=True)
    splitter = pre_tokenizers.BertPreTokenizer()
    counts: Counter[str] = Counter()
    texts = iter(texts)
    while sentences := Counter(" ".join(words) for words in islice(texts, BLOCK)):
        for sentence, times in sentences.items():
            for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(sentence)):
                counts[word] += times
    characters = sorted(set("".join(counts)) | {MARKER})
    pieces = [*SPECIAL, *characters, *(f"##{character}" for character in characters)]
    frequent = [word for word, times in counts.items() if times > 1 and len(word) > 1]
    frequent.sort(key=lambda word: (-counts[word], word))
    pieces += frequent[: max(0, size - len(pieces))]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, splitter
    names = ("pad_token", "unk_token", "cls_token", "sep_token")
    special = dict(zip(names, SPECIAL, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)
