"""How long a run will take, from one training step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import torch
from accelerate import Accelerator

from benchmark.config import RunConfig
from benchmark.data.documents import Corpus
from benchmark.training.building import build_model
from benchmark.training.evaluation import batches_of

TRIES = 4
SAMPLE = 4  # batches' worth of documents, of which those of middling length are timed


def estimated_seconds(run: RunConfig, corpus: Corpus) -> float:
    """Seconds that a `none` run will take: its training steps, a look at dev in each epoch, and the
    predictions at the end; by the fastest of TRIES steps on documents of middling length. A frozen
    encoder encodes each document once.
    """
    config = run.train
    torch.set_num_threads(config.threads)
    accelerator = Accelerator(mixed_precision=config.mixed_precision)
    device = accelerator.device
    model = build_model(run, corpus).to(device).train()
    size = min(config.batch_size, len(corpus.train))
    sample = corpus.train.select(range(min(len(corpus.train), SAMPLE * size)))
    batches = list(batches_of(sample, corpus, model, run, training=True, size=size))
    batch = batches[len(batches) // 2].to(device)
    optimizer = torch.optim.AdamW(model.parameter_groups(config))

    def step() -> None:
        model(batch).backward()
        optimizer.step()
        optimizer.zero_grad()

    def seconds(action: Callable[[], Any]) -> float:
        began = time.perf_counter()
        with accelerator.autocast():
            action()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - began

    def fastest(action: Callable[[], Any]) -> float:
        """The least seconds of TRIES: the first warms up, a busy machine slows others."""
        return min(seconds(action) for _ in range(TRIES))

    @torch.no_grad()
    def encode() -> None:
        batch.encoded = model.encoder(batch)  # which steps then take from the batch

    of_encoding = fastest(encode) if run.encoder.freeze == "all" else 0.0
    of_step, of_look = fastest(step), fastest(lambda: model.logits(batch))
    encoded = len(corpus.train) + len(corpus.dev) + len(corpus.test)
    steps = config.epochs * math.ceil(len(corpus.train) / config.batch_size)
    predicted = (config.epochs + 1) * len(corpus.dev) + len(corpus.test)
    return steps * of_step + predicted / size * of_look + encoded / size * of_encoding
