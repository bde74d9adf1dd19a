"""Do time and memory stay in proportion? Data preparation and loading at 500, 5,000 and 50,000
documents; tables of 1,200 runs.

    python -m docs.speed.scale data [--documents 500,5000,50000] [--folder DIR]
    python -m docs.speed.scale report [--runs 120,1200] [--folder DIR]

From the top of the repository; the figures of docs/speed.md. Linux only (memory is read from
/proc). `data`: the documents are the synthetic corpus's, written to a DocRED-format file that is
then loaded like anybody's; every size has a process and an empty cache of its own. Memory is what
the process holds for itself (anonymous pages): the Arrow files are mapped, and the system may drop
their pages at any time. Seconds are CPU seconds, which other work on the machine disturbs least.
`report`: made-up runs of three backbones x four augmenters with counts of 500 documents and
predictions of the size of real ones.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
HELD_OUT = 100  # dev and test documents


# --- data
# ------------------------------------------------------------------------------------------


def write_documents(folder: Path, count: int) -> None:
    """train.json, dev.json and test.json of synthetic documents in DocRED format, one document in
    memory at a time.
    """
    from benchmark.data.synthetic import Difficulty, documents

    difficulty = Difficulty(1.2, 0.04, 0.1, 0.1, 0.25, 0.1, 0.5)
    for split, size in (("train", count), ("dev", HELD_OUT), ("test", HELD_OUT)):
        with (folder / f"{split}.json").open("w") as file:
            for index, document in enumerate(documents(split, size, 0, difficulty)):
                file.write(("[" if index == 0 else ",\n") + json.dumps(in_docred_format(document)))
            file.write("]\n")


def in_docred_format(document: dict) -> dict:
    mention = lambda m, type: {
        "name": m["name"],
        "sent_id": m["sentence"],
        "pos": [m["start"], m["end"]],
        "type": type,
    }
    return {
        "title": document["title"],
        "sents": document["sentences"],
        "vertexSet": [
            [mention(m, entity["type"]) for m in entity["mentions"]]
            for entity in document["entities"]
        ],
        "labels": [
            {"h": fact["head"], "t": fact["tail"], "r": fact["relation"]}
            for fact in document["facts"]
        ],
    }


def prepare_and_load(folder: Path) -> list[dict]:
    """Everything between the files and the batches of an epoch, step by step; a record of each."""
    import torch
    from torch.utils.data import DataLoader

    from benchmark.config import Choice, EncoderConfig, RunConfig, TrainConfig
    from benchmark.data.batches import Collator, DocumentBatches, Rows
    from benchmark.data.features import featurise
    from benchmark.registry import BACKBONES, DATASETS, ENCODERS
    from benchmark.scoring.counts import train_facts
    from benchmark.training.model import build_model

    torch.set_num_threads(1)
    DATASETS["docred-format"], BACKBONES["atlop"]
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
    started, report = anonymous(), []

    @contextmanager
    def step(name: str):
        began, usage = time.process_time(), Peak()
        with usage:
            yield
        report.append(
            {"step": name, "seconds": time.process_time() - began, "peak": usage.highest - started}
        )

    with step("files to Arrow"):
        corpus = DATASETS["docred-format"](
            **{split: str(folder / f"{split}.json") for split in ("train", "dev", "test")}
        )
    with step("digest of the corpus"):
        corpus.digest  # noqa: B018
    with step("vocabulary and model"):
        model = build_model(run, corpus)
    with step("tokenising"):
        features = featurise(corpus.train, corpus, model.encoder.tokenizer, training=True)
    with step("training facts for Ign F1"):
        facts = train_facts(corpus.train, asked_by=itertools.chain(corpus.dev, corpus.test))  # noqa: F841 (a run keeps them)
    batches = DocumentBatches(features["length"], run.train.batch_size, order=run.train.batching)
    loader = DataLoader(
        Rows(features), batch_sampler=batches, collate_fn=Collator(model.encoder.windows)
    )
    with step("loading an epoch"):
        for _ in loader:
            pass
    optimiser = torch.optim.AdamW(model.parameters(), fused=True)
    with step("training an epoch"):
        for batch in loader:
            model(batch).backward()
            optimiser.step()
            optimiser.zero_grad()
    return [{"documents": len(features), **record} for record in report]


class Peak:
    """The highest anonymous memory of this process while it is entered."""

    def __enter__(self):
        self.highest, self._stop = anonymous(), threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _watch(self):
        while not self._stop.wait(0.02):
            self.highest = max(self.highest, anonymous())


def anonymous() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))


def data(sizes: list[int], folder: Path) -> None:
    print(
        "| documents | step | CPU s | ms/document | peak memory above the start, MB "
        "|\n|---|---|---|---|---|"
    )
    for size in sizes:
        place = folder / f"documents-{size}"
        place.mkdir(parents=True)
        write_documents(place, size)
        command = [sys.executable, "-m", "docs.speed.scale", "worker", "--folder", str(place)]
        environment = os.environ | {
            "HF_DATASETS_CACHE": str(place / "cache"),
            "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        }
        done = subprocess.run(
            command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True
        )
        for line in done.stdout.splitlines():
            found = json.loads(line)
            each = 1000 * found["seconds"] / found["documents"]
            print(
                f"| {size:,} | {found['step']} | {found['seconds']:.1f} | {each:.2f} | "
                f"{found['peak'] / 1e6:.0f} |",
                flush=True,
            )


# --- report
# ------------------------------------------------------------------------------------------


def write_runs(folder: Path, count: int) -> Path:
    """`count` finished runs of one experiment: counts of 500 documents, predictions of about a
    megabyte.
    """
    sys.path.insert(0, str(ROOT / "tests"))
    from stored_runs import counts, run, write

    rng = random.Random(0)
    facts = [
        {
            "title": f"d{i % 500}",
            "h_idx": i % 20,
            "t_idx": i % 19,
            "r": "P17",
            "score": rng.random(),
        }
        for i in range(12_000)
    ]
    cells = [
        (backbone, augmenter)
        for backbone in ("atlop", "baseline", "kd_docre")
        for augmenter in AUGMENTERS
    ]
    for number in range(count):
        backbone, augmenter = cells[number % len(cells)]
        f1 = 0.5 + 0.02 * AUGMENTERS.index(augmenter) + rng.gauss(0, 0.01)
        table = counts(f1, f1, spread=3, documents=500)
        rounded = float(table.groups["all"][:, 0].sum() / table.groups["all"][:, 1].sum())
        stored = run(
            folder, augmenter, number // len(cells), rounded, experiment="large", backbone=backbone
        )
        stored.metrics["test"]["ltail_f1"] = rounded
        write(stored, files={"counts_test.json": table.to_json(), "predictions_test.json": facts})
    return folder / "large"


AUGMENTERS = ("none", "gaussian", "vae", "vaediff")


def report(sizes: list[int], folder: Path) -> None:
    print("| runs | command | wall s | CPU s | peak memory, MB |\n|---|---|---|---|---|")
    for size in sizes:
        experiment = write_runs(folder / f"runs-{size}", size)
        for arguments in (
            ["status", str(experiment)],
            ["report", str(experiment)],
            ["leaderboard", str(experiment), "--out", "page.html"],
        ):
            began = time.perf_counter()
            process = subprocess.Popen(
                [sys.executable, str(ROOT / "run_benchmark.py"), *arguments],
                cwd=folder,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                raise SystemExit(f"{arguments[0]} ended with {process.returncode}")
            seconds, busy = time.perf_counter() - began, usage.ru_utime + usage.ru_stime
            print(
                f"| {size:,} | {arguments[0]} | {seconds:.1f} | {busy:.1f} | "
                f"{usage.ru_maxrss / 1e3:.0f} |",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("data", "report", "worker"))
    parser.add_argument("--documents", default="500,5000,50000")
    parser.add_argument("--runs", default="120,1200")
    parser.add_argument(
        "--folder", type=Path, help="for the files it makes; removed at the end where none is given"
    )
    options = parser.parse_args()
    if options.what == "worker":
        for record in prepare_and_load(options.folder):
            print(json.dumps(record))
        return
    with tempfile.TemporaryDirectory() as temporary:
        work, sizes = (
            (data, options.documents) if options.what == "data" else (report, options.runs)
        )
        work([int(size) for size in sizes.split(",")], options.folder or Path(temporary))


if __name__ == "__main__":
    main()
