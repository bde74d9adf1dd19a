"""Do time and memory stay in proportion to documents and to runs?

    python -m docs.speed.scale data 500 5000 50000
    python -m docs.speed.scale report 120 1200

From the top of the repository; the figures of docs/speed.md. `data` prepares and loads synthetic
documents from a file in DocRED's format; each size has a process and an empty cache of its own.
`report` makes tables of made-up runs: three backbones x four augmenters, with counts of 500
documents. Seconds are CPU seconds. Memory is the most that the process has held so far.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
HELD_OUT = 100  # dev and test documents
AUGMENTERS = ("none", "gaussian", "vae", "vaediff")


def write_documents(folder: Path, count: int) -> None:
    """train.json, dev.json and test.json of synthetic documents in DocRED's format."""
    from benchmark.data.docred import as_docred
    from benchmark.data.synthetic import documents

    for split, size in (("train", count), ("dev", HELD_OUT), ("test", HELD_OUT)):
        lines = (json.dumps(as_docred(row)) for row in documents(split, size, 0))
        with (folder / f"{split}.json").open("w") as file:
            file.write("[" + next(lines))
            file.writelines(",\n" + line for line in lines)
            file.write("]\n")


def prepare_and_load(folder: Path) -> None:
    """Everything between the files and the batches of an epoch; a row of the table each step."""
    import torch
    from torch.utils.data import DataLoader

    from benchmark.config import Choice, EncoderConfig, RunConfig, TrainConfig
    from benchmark.data.collation import Collator
    from benchmark.data.features import featurise
    from benchmark.data.sampling import DocumentBatches, Rows
    from benchmark.registry import BACKBONES, DATASETS, ENCODERS
    from benchmark.scoring.counts import train_facts
    from benchmark.training.building import build_model

    torch.set_num_threads(1)
    load, _ = DATASETS["docred-format"], BACKBONES["atlop"]
    ENCODERS["tiny"]([["word"]])  # what is imported on the way is no part of any step
    run = RunConfig(
        dataset=Choice(name="docred-format"),
        encoder=EncoderConfig(name="tiny"),
        backbone=Choice(name="atlop", options={"emb": 64, "block": 16}),
        augmenter=Choice(name="none"),
        augment=None,
        train=TrainConfig(threads=1, batching="bucketed"),
        seed=0,
    )
    start, size = peak(resource.RUSAGE_SELF), int(folder.name)

    @contextmanager
    def step(name: str) -> Iterator[None]:
        began = time.process_time()
        yield
        seconds, used = time.process_time() - began, peak(resource.RUSAGE_SELF) - start
        each = 1000 * seconds / size
        print(f"| {size:,} | {name} | {seconds:.1f} | {each:.2f} | {used:.0f} |", flush=True)

    with step("files to Arrow"):
        corpus = load(
            **{split: str(folder / f"{split}.json") for split in ("train", "dev", "test")}
        )
    with step("digest of the corpus"):
        _ = corpus.digest
    with step("vocabulary and model"):
        model = build_model(run, corpus)
    with step("tokenising"):
        features = featurise(corpus.train, corpus, model.encoder.tokenizer, training=True)
    with step("training facts for Ign F1"):
        _ = train_facts(corpus.train, asked_by=itertools.chain(corpus.dev, corpus.test))
    batches = DocumentBatches(features["length"], run.train.batch_size, order=run.train.batching)
    collate = Collator(model.encoder.windows)
    loader = DataLoader(Rows(features), batch_sampler=batches, collate_fn=collate)
    with step("loading an epoch"):
        for _ in loader:
            pass
    optimiser = torch.optim.AdamW(model.parameters(), fused=True)
    with step("training an epoch"):
        for batch in loader:
            model(batch).backward()
            optimiser.step()
            optimiser.zero_grad()


def peak(whose: int) -> float:
    """MB; of a process's children: of the largest so far."""
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return resource.getrusage(whose).ru_maxrss / unit


def data(size: int, folder: Path) -> None:
    place = folder / str(size)
    place.mkdir()
    write_documents(place, size)
    environment = os.environ | {"HF_DATASETS_CACHE": str(place / "cache")}
    environment["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"
    code = "import pathlib, sys; from docs.speed.scale import prepare_and_load as measure; "
    command = [sys.executable, "-c", code + "measure(pathlib.Path(sys.argv[1]))", str(place)]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)


def write_runs(folder: Path, count: int) -> Path:
    """`count` finished runs of one experiment, with predictions of about a megabyte each."""
    sys.path.insert(0, str(ROOT / "tests"))
    from stored_runs import counts, run, write

    rng = random.Random(0)
    facts = [
        dict(title=f"d{i % 500}", h_idx=i % 20, t_idx=i % 19, r="P17", score=rng.random())
        for i in range(12_000)
    ]
    cells = list(itertools.product(("atlop", "baseline", "kd_docre"), AUGMENTERS))
    for number in range(count):
        backbone, augmenter = cells[number % len(cells)]
        f1 = 0.5 + 0.02 * AUGMENTERS.index(augmenter) + rng.gauss(0, 0.01)
        table = counts(f1, f1, spread=3, documents=500)
        f1 = float(table.groups["all"][:, 0].sum() / table.groups["all"][:, 1].sum())
        seed, names = number // len(cells), {"experiment": "large", "backbone": backbone}
        stored = run(folder, augmenter, seed, f1, **names)
        stored.metrics["test"]["ltail_f1"] = f1
        write(stored, files={"counts_test.json": table.to_json(), "predictions_test.json": facts})
    return folder / "large"


def report(size: int, folder: Path) -> None:
    busy = lambda: sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    experiment = str(write_runs(folder / str(size), size))
    for name, *options in (["status"], ["report"], ["leaderboard", "--out", "page.html"]):
        began, before = time.perf_counter(), busy()
        command = [sys.executable, str(ROOT / "run_benchmark.py"), name, experiment, *options]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        wall, cpu = time.perf_counter() - began, busy() - before
        used = peak(resource.RUSAGE_CHILDREN)
        print(f"| {size:,} | {name} | {wall:.1f} | {cpu:.1f} | {used:.0f} |", flush=True)


HEADINGS = {
    "data": "| documents | step | CPU s | ms/document | peak memory above the start, MB |",
    "report": "| runs | command | wall s | CPU s | peak memory so far, MB |",
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=HEADINGS)
    parser.add_argument("sizes", type=int, nargs="+", help="documents, or runs")
    asked = parser.parse_args()
    print(f"{HEADINGS[asked.what]}\n|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for size in asked.sizes:
            {"data": data, "report": report}[asked.what](size, Path(folder))
