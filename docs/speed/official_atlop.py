"""A training step of the official ATLOP beside one of ours, on the same documents and weights.

    git clone https://github.com/wzhouad/ATLOP
    python -m docs.speed.official_atlop ATLOP CONFIG [--set KEY=VALUE] [--runs NONE VAEDIFF]

From the top of the repository; needs `pip install opt_einsum`, as the official code does. The first
argument is its folder, whose model.py is executed. CONFIG, an experiment file such as
configs/redocred_bert.yaml, gives documents, encoder (BERT or RoBERTa), batch size, precision and
threads. The two take turns on each batch, forward and backward pass and optimiser; the ratio is
taken within a turn. Before that, both compute the loss of the first batch without dropout: equal
weights must give equal losses. With --runs, the folders of a finished `none` run and of one with a
fitted augmenter, the stored times of the three stages stand beside those of the official scheme.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor
from transformers import AutoModel

from benchmark.config import RunConfig, read_experiment
from benchmark.data.collation import Collator
from benchmark.data.features import featurise
from benchmark.data.sampling import DocumentBatches, Rows
from benchmark.registry import DATASETS
from benchmark.store.runs import RunDirectory
from benchmark.training.building import build_model
from benchmark.training.model import DocreModel


def official_inputs(rows: list[dict], config: Any, device: torch.device) -> dict[str, Any]:
    """What the official prepro.py and collate_fn make of documents."""
    start, end, classes = config.cls_token_id, config.sep_token_id, config.num_labels
    tokens = [[start, *row["tokens"], end] for row in rows]
    width = max(map(len, tokens))
    labels, pairs, mentions = [], [], []
    for row in rows:
        n, facts = row["entities"], {}
        for head, tail, relation in zip(
            row["fact_head"], row["fact_tail"], row["fact_class"], strict=True
        ):
            facts.setdefault((head, tail), [0] * classes)[relation] = 1
        others = [(h, t) for h in range(n) for t in range(n) if h != t and (h, t) not in facts]
        pairs.append([list(pair) for pair in [*facts, *others]])
        labels.append([*facts.values(), *([1] + [0] * (classes - 1) for _ in others)])
        of_entity: list[list[tuple[int, int]]] = [[] for _ in range(n)]
        for entity, at in zip(row["mention_entity"], row["mention_position"], strict=True):
            of_entity[entity].append((at, at + 1))
        mentions.append(of_entity)
    mask = [[1.0] * len(ids) + [0.0] * (width - len(ids)) for ids in tokens]
    ids = [ids + [0] * (width - len(ids)) for ids in tokens]
    return {
        "input_ids": torch.tensor(ids, device=device),
        "attention_mask": torch.tensor(mask, device=device),
        "labels": labels,
        "entity_pos": mentions,
        "hts": pairs,
    }


def official_model(folder: Path, ours: DocreModel, run: RunConfig) -> torch.nn.Module:
    """The official model, with the weights and the dropout of ours."""
    sys.path.insert(0, str(folder))
    from model import DocREModel

    known, plan = ours.encoder.model.config, ours.encoder.windows
    config = type(known).from_dict(known.to_dict())
    config.transformer_type = "roberta" if known.model_type == "roberta" else "bert"
    config.cls_token_id, config.sep_token_id = plan.start, plan.end
    config.num_labels = ours.classes
    # fused attention returns no weights, and the official code reads them
    encoder = AutoModel.from_config(config, attn_implementation="eager", add_pooling_layer=False)
    forward = encoder.forward

    def states_and_attention(**inputs: Any) -> tuple[Tensor, tuple[Tensor, ...]]:
        output = forward(**inputs)  # which holds other fields after the attention by now
        return output.last_hidden_state, output.attentions

    encoder.forward = states_and_attention
    emb, block = run.backbone.options["emb"], run.backbone.options["block"]
    official = DocREModel(config, encoder, emb_size=emb, block_size=block, num_labels=4)
    names = {
        "encoder.": "",
        "backbone.features.head.": "head_extractor.",
        "backbone.features.tail.": "tail_extractor.",
        "backbone.bilinear.linear.": "bilinear.",
    }
    state = {}
    for name, tensor in ours.state_dict().items():
        start = next(start for start in names if name.startswith(start))
        state[names[start] + name.removeprefix(start)] = tensor
    official.load_state_dict(state)
    return official


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("official", type=Path, help="folder of the official code")
    parser.add_argument("config", help="an experiment file")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--batches", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=Path, nargs=2, metavar="RUN")
    options = parser.parse_args()
    run = read_experiment(options.config, options.set).run("atlop", "none", 0)
    torch.set_num_threads(run.train.threads)
    accelerator = Accelerator(mixed_precision=run.train.mixed_precision)
    device = accelerator.device
    corpus = DATASETS[run.dataset.name](**run.dataset.options)
    ours = build_model(run, corpus).to(device)
    official = official_model(options.official.resolve(), ours, run).to(device)
    features = featurise(corpus.train, corpus, ours.encoder.tokenizer, training=True)
    order = DocumentBatches(features["length"], run.train.batch_size, order="random", seed=0)
    rows, collate = Rows(features), Collator(ours.encoder.windows)

    def loss_of_ours(chosen: list[dict]) -> Tensor:
        return ours(collate(chosen).to(device))

    def loss_of_official(chosen: list[dict]) -> Tensor:
        return official(**official_inputs(chosen, official.config, device))[0]

    losses = {ours: loss_of_ours, official: loss_of_official}
    batches = [[rows[i] for i in chosen] for chosen in itertools.islice(order, options.batches)]
    for model, loss in losses.items():
        with torch.no_grad(), accelerator.autocast():
            model.eval()
            print(f"{'ours' if model is ours else 'official'}: loss {loss(batches[0]):.6f}")
            model.train()
    optimizers = {model: torch.optim.AdamW(model.parameters(), lr=1e-5) for model in losses}

    def seconds(model: torch.nn.Module, chosen: list[dict]) -> float:
        """Of one step: batch made of its documents, forward, backward, clipping, optimiser."""
        began = time.perf_counter()
        with accelerator.autocast():
            loss = losses[model](chosen)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizers[model].step()
        optimizers[model].zero_grad()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - began

    for model in losses:
        seconds(model, batches[0])  # warms up
    turns = [
        (seconds(ours, chosen), seconds(official, chosen))
        for _ in range(options.rounds)
        for chosen in batches
    ]
    own, theirs = (statistics.median(times) for times in zip(*turns, strict=True))
    ratios = sorted(official / own for own, official in turns)
    print(f"a step: ours {own:.2f} s, official {theirs:.2f} s (medians of {len(turns)} turns)")
    print(
        f"official / ours: {statistics.median(ratios):.2f} "
        f"(lowest {ratios[0]:.2f}, highest {ratios[-1]:.2f}); {run.train.precision}, "
        f"batches of {run.train.batch_size}, {run.train.threads} threads, {device.type}"
    )
    if options.runs:
        began = time.perf_counter()
        with torch.no_grad(), accelerator.autocast():
            for chosen in batches:
                loss_of_official(chosen)
        encoding = (time.perf_counter() - began) / len(batches)
        stages(options.runs, theirs, encoding, len(order))


def stages(runs: list[Path], step: float, encoding: float, batches: int) -> None:
    """The three stages end to end: as stored, and of the official scheme, counted from its loops.

    The official stage 2 encodes all documents in every epoch of fitting, and its stage 3 trains all
    epochs again. What its generator costs is left out, so its times are lower bounds.

    Args:
        runs: folders of a `none` run and of an augmented one of the same seed.
        step, encoding: seconds of the official training step, and of its forward pass.
        batches: of an epoch.
    """
    stage1, augmented = (RunDirectory(folder).read() for folder in runs)
    epochs = stage1.config["train"]["epochs"]
    fitting = augmented.config["augmenter"]["options"]["epochs"]
    stored = (
        stage1.metrics["train_seconds"],
        augmented.metrics["stage2_seconds"],
        augmented.metrics["train_seconds"],
    )
    official = epochs * batches * step, fitting * batches * encoding, epochs * batches * step
    print("| stage | stored, s | official scheme, at least, s | ratio |\n|---|---|---|---|")
    for name, own, theirs in zip("123", stored, official, strict=True):
        print(f"| {name} | {own:.0f} | {theirs:.0f} | {theirs / own:.1f} |")
    print(f"| all | {sum(stored):.0f} | {sum(official):.0f} | {sum(official) / sum(stored):.1f} |")


if __name__ == "__main__":
    main()
