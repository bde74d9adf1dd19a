"""speed: what training steps cost, as multiples of the bare encoder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from benchmark.commands.options import Overrides, Plugins, load_plugins, names, quiet_libraries
from benchmark.config import read_experiment
from benchmark.grid.plan import extend
from benchmark.progress import Progress
from benchmark.registry import DATASETS


def speed(
    config: Annotated[
        Path,
        typer.Argument(
            metavar="CONFIG", help="An experiment file: its data, encoder and sizes are used."
        ),
    ],
    overrides: Overrides = None,
    backbones: Annotated[
        str | None, typer.Option(metavar="LIST", help="Only these backbones: atlop,baseline.")
    ] = None,
    augmenters: Annotated[
        str | None, typer.Option(metavar="LIST", help="Only these augmenters: none,vaediff.")
    ] = None,
    batches: Annotated[
        int, typer.Option(min=1, help="Batches that every subject is timed on.")
    ] = 6,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; the medians are reported.")] = 5,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object instead of tables.")
    ] = False,
    plugin: Plugins = None,
) -> None:
    """Time training steps against the bare encoder.

    Forward and backward pass of each backbone, alone and with each augmenter, on the experiment's
    own documents, as a multiple of the encoder's own forward and backward pass over the same
    tokens. The subjects take turns in one process and ratios are taken within a round, so that a
    busy machine cannot fake them; "arithmetic" is the same ratio of counted operations. Augmenters
    that
    are fitted: an epoch of stage 2 from stored representations, against one that encodes every
        document again. Nothing is stored.

    Examples:

      python run_benchmark.py speed configs/demo.yaml

      python run_benchmark.py speed configs/redocred_bert.yaml --backbones atlop --augmenters none
      --rounds 7 --json
    """
    load_plugins(plugin)
    experiment = read_experiment(config, overrides or [])
    only = {"backbones": names(backbones), "augmenters": names(augmenters)}
    experiment = extend(experiment, **only)
    kept = {
        key: [c for c in getattr(experiment, key) if chosen is None or c.name in chosen]
        for key, chosen in only.items()
    }
    experiment = experiment.model_copy(update=kept)
    quiet_libraries()
    from benchmark.training.speed import measure

    corpus = DATASETS[experiment.dataset.name](**experiment.dataset.options)
    found = measure(
        experiment, corpus, batches=batches, rounds=rounds, progress=Progress.for_console()
    )
    if as_json:
        typer.echo(json.dumps(found.to_json(), indent=1))
        return
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, 120)  # in a file or a pipe nothing needs to be cut
    table = Table(
        "",
        "s/step",
        "documents/s",
        "x encoder",
        "range",
        "arithmetic",
        "peak memory",
        box=box.SIMPLE_HEAD,
    )
    bare = found.lines[0].memory
    for line in found.lines:
        memory = "unknown" if line.memory is None else f"{line.memory / 1e9:.2f} GB"
        if line is not found.lines[0] and None not in (line.memory, bare):
            memory += f" ({(line.memory - bare) / 1e9:+.2f})"
        times = (f"{line.seconds_per_step:.3f}", f"{line.documents_per_second:.2f}")
        ratios = (
            f"{line.ratio:.2f}",
            f"{line.lowest:.2f}-{line.highest:.2f}",
            f"{line.arithmetic:.2f}",
        )
        table.add_row(line.subject, *times, *ratios, memory)
    for column in table.columns:
        column.overflow = "fold"  # no number is cut
    console.print(table)
    shares = Table(
        "ms/step", *next(iter(line.parts for line in reversed(found.lines))), box=box.SIMPLE_HEAD
    )
    for line in found.lines[1:]:
        whole = sum(line.parts.values())
        shares.add_row(
            line.subject,
            *(f"{1000 * seconds:.1f} ({seconds / whole:.0%})" for seconds in line.parts.values()),
        )
    console.print(shares)
    console.print(
        "Each part is timed alone, in every round (%: of their sum): they need not add up to s/step, which has no optimiser."
    )
    if found.stage2:
        second = Table(
            "stage 2",
            "pairs",
            "encoding, s/epoch",
            "fitting, s/epoch",
            "x faster",
            "lowest - highest",
            box=box.SIMPLE_HEAD,
        )
        for line in found.stage2:
            times = (
                f"{line.encoding:.3f}",
                f"{line.fitting:.3f}",
                f"{line.ratio:.1f}",
                f"{line.lowest:.1f} - {line.highest:.1f}",
            )
            second.add_row(line.subject, str(line.pairs), *times)
        console.print(second)
    console.print(", ".join(f"{what}: {number:.2f}" for what, number in found.preparation.items()))
    console.print(
        ", ".join(f"{key} {value}" for key, value in found.setting.items()), highlight=False
    )
