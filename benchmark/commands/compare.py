"""compare: two runs, two sets of runs, or two prediction files; with intervals and tests."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich import box
from rich.console import Console
from rich.table import Table

from benchmark.commands.score import Frequent, Train, TrainFacts, Undirected, reference_of
from benchmark.errors import ConfigError, UserError
from benchmark.scoring.counts import Counts
from benchmark.scoring.submission import Reference, read_predictions
from benchmark.store.runs import RunDirectory, find_runs

SEED = 0  # of the resampling: the same command prints the same numbers


class Test(StrEnum):
    auto = "auto"
    permutation = "permutation"
    t = "t"
    wilcoxon = "wilcoxon"
    sign = "sign"


class Alternative(StrEnum):
    two_sided = "two-sided"
    greater = "greater"
    less = "less"


class Split(StrEnum):
    test = "test"
    dev = "dev"


def compare(
    a: Annotated[
        Path,
        typer.Argument(
            metavar="A", help="A run, a folder of runs of several seeds, or a prediction file."
        ),
    ],
    b: Annotated[
        Path, typer.Argument(metavar="B", help="What to compare it with: the difference is A - B.")
    ],
    gold: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Gold documents; prediction files need them."),
    ] = None,
    train: Train = None,
    train_facts: TrainFacts = None,
    frequent: Frequent = None,
    undirected: Undirected = False,
    split: Annotated[Split, typer.Option(help="Of the runs' predictions.")] = Split.test,
    test: Annotated[
        Test, typer.Option(help="Across seeds; auto follows Dror et al. 2018 and says why.")
    ] = Test.auto,
    alternative: Annotated[
        Alternative, typer.Option(help="greater: A is better than B.")
    ] = Alternative.two_sided,
    resamples: Annotated[
        int, typer.Option(min=99, help="Of the bootstrap and the randomisation test.")
    ] = 9999,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object instead of tables.")
    ] = False,
) -> None:
    """Is the difference real?

    Scores, their difference with an interval over seeds and documents, and tests: across seeds (a
    claim about the method) and across documents (a claim about the trained models alone). Seeds and
    documents are paired. Needs no model and no GPU.

    Examples:

      python run_benchmark.py compare results/demo/atlop/vaediff results/demo/atlop/none

      python run_benchmark.py compare mine.json theirs.json --gold test.json --train train.json
      --frequent re-docred
    """
    reference = (
        reference_of(gold, train, train_facts, frequent, undirected) if gold is not None else None
    )
    if reference is None and (train or train_facts or frequent or undirected):
        raise ConfigError("--train, --train-facts, --frequent and --undirected go with --gold")
    sides = _matched((a, b), [_read(path, reference, split.value) for path in (a, b)])
    from benchmark.statistics.comparison import COMPARED
    from benchmark.statistics.comparison import compare as compare_counts

    measures = tuple(
        name
        for name in COMPARED
        if name != "ign_f1" or reference is None or reference.train is not None
    )
    names = _names(a, b)
    try:
        found = compare_counts(
            *sides,
            names=names,
            measures=measures,
            test=test.value,
            alternative=alternative.value,
            resamples=resamples,
            rng=np.random.default_rng(SEED),
        )
    except ValueError as error:
        raise UserError(f"{a} and {b}: {error}") from error
    if as_json:
        typer.echo(json.dumps(asdict(found) | {"sentence": found.sentence()}))
        return
    _print(found, Console(markup=False))


def _matched(
    paths: tuple[Path, Path], sides: list[dict[int | None, Counts]]
) -> list[dict[int, Counts]]:
    """Both sides by seed. Two single systems are compared whatever their seeds.

    Raises UserError for a prediction file, which has no seed, against several runs.
    """
    if all(len(side) == 1 for side in sides):
        seeds = [next(iter(side)) for side in sides]
        if None not in seeds and seeds[0] != seeds[1]:
            typer.echo(
                f"A is of seed {seeds[0]}, B of seed {seeds[1]}: they are paired by their documents alone",
                err=True,
            )
        return [{0: counts} for side in sides for counts in side.values()]
    for (path, other), (side, others) in zip(
        (paths, paths[::-1]), (sides, sides[::-1]), strict=True
    ):
        if None in side:
            some = ", ".join(f"seed-{seed}" for seed in sorted(others))
            raise UserError(
                f"{path}: a prediction file can be compared with one run; {other} holds {len(others)} ({some})"
            )
    return sides


def _read(path: Path, reference: Reference | None, split: str) -> dict[int | None, Counts]:
    """seed -> counts; a prediction file has no seed: None."""
    if path.is_file():
        if reference is None:
            raise UserError(
                f"{path}: a prediction file needs --gold, the documents it is scored on"
            )
        return {None: reference.count(read_predictions(path), str(path))}
    found: dict[int | None, Counts] = {}
    cells = set()
    for directory in find_runs(path):
        run = directory.read()
        cells.add((run.experiment, run.backbone, run.augmenter))
        found[run.seed] = _counts(directory, reference, split)
    if not found:
        raise UserError(f"{path}: holds no finished run")
    if len(cells) > 1:
        some = ", ".join("/".join(cell) for cell in sorted(cells)[:4])
        raise UserError(
            f"{path}: holds runs of {len(cells)} cells ({some}); give the folder of one"
        )
    return found


def _counts(directory: RunDirectory, reference: Reference | None, split: str) -> Counts:
    file = f"counts_{split}.json" if reference is None else f"predictions_{split}.json"
    directory.verify(file)
    content = directory.read_json(file)
    source = str(directory.path / file)
    return (
        Counts.from_json(content, source) if reference is None else reference.count(content, source)
    )


def _names(a: Path, b: Path) -> tuple[str, str]:
    """The shortest ends of the two paths that tell them apart."""
    left, right = a.resolve().parts, b.resolve().parts
    least = (
        2 if all(parts[-1].startswith("seed-") for parts in (left, right)) else 1
    )  # a seed says little without its augmenter
    for count in range(least, max(len(left), len(right)) + 1):
        if left[-count:] != right[-count:]:
            return "/".join(left[-count:]), "/".join(right[-count:])
    return str(a), str(b)


def _print(found, console: Console) -> None:
    from benchmark.statistics.comparison import NAMES

    tested = next((line for line in found.lines if line.across_seeds is not None), None)
    columns = ["A", "B", "A - B", "95 % interval", *(["p, seeds"] if tested else []), "p, docs"]
    title = f"A: {found.names[0]}   B: {found.names[1]}"
    table = Table(
        "",
        *columns,
        box=box.SIMPLE_HEAD,
        title=title,
        title_justify="left",
        collapse_padding=True,
        pad_edge=False,
    )
    for line in found.lines:
        table.add_row(NAMES[line.measure], *_fields(line, with_seeds=tested is not None))
    console.print(table)
    for line in found.lines:
        if line.undefined:
            console.print(
                f"{NAMES[line.measure]}: {line.undefined}.", markup=False, highlight=False
            )
    console.print(found.sentence(), markup=False, highlight=False)
    several = tested is not None
    for line in found.lines:
        if line.effects is not None:
            console.print(
                f"{NAMES[line.measure]}: {_effects(line.effects)}", markup=False, highlight=False
            )
    notes = [
        f"Scores in percent{', ± standard deviation over seeds' if several else ''}. "
        f"The interval is a bootstrap over {'seeds and ' if several else ''}documents."
    ]
    if several:
        notes.append(f"p, seeds: {tested.across_seeds.name}. {tested.across_seeds.why}".strip())
        notes.append(
            "d_z: mean / standard deviation of the pairs. P(A > B): one run of A beats one of B, whatever their seeds. eps_min: "
            "almost stochastic order, A is the better one at most 0.2 (Dror et al. 2019); no p-value."
        )
    many = "; the median over seeds, and how many of them are at most 0.05" if several else ""
    notes.append(f"p, docs: approximate randomisation{many}.")
    for note in (*notes, *found.warnings):
        console.print(f"- {note}", style="dim", markup=False, highlight=False)


def _fields(line, *, with_seeds: bool) -> list[str]:
    if line.undefined:
        return ["n/a", "n/a"]
    interval = (
        "none"
        if line.interval.low is None
        else f"{line.interval.low:+.2f}, {line.interval.high:+.2f}"
    )
    seeds = [_p(line.across_seeds.p)] if with_seeds else []
    return [
        _spread(line.a),
        _spread(line.b),
        f"{line.difference:+.2f}",
        interval,
        *seeds,
        _documents(line.across_documents),
    ]


def _effects(effects) -> str:
    named = (
        ("d_z", "d_z", "+.2f"),
        ("P(A > B)", "superiority", ".2f"),
        ("eps_min", "eps_min", ".2f"),
    )
    values = ((text, getattr(effects, name), form) for text, name, form in named)
    return ", ".join(
        f"{text} {'undefined' if value is None else format(value, form)}"
        for text, value, form in values
    )


def _spread(values: tuple[float, ...]) -> str:
    mean = f"{np.mean(values):.2f}"
    return f"{mean}±{np.std(values, ddof=1):.2f}" if len(values) > 1 else mean


def _documents(results) -> str:
    p_values = [result.p for result in results if result.p is not None]
    if not p_values:
        return "none"
    text = _p(float(np.median(p_values)))
    return (
        text if len(results) == 1 else f"{text} ({sum(p <= 0.05 for p in p_values)}/{len(results)})"
    )


def _p(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}" if value >= 0.0001 else "< 0.0001"
