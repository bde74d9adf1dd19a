"""compare: two runs, two sets of runs, or two prediction files; with intervals and tests."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from statistics import mean, median, stdev
from typing import TYPE_CHECKING, Literal

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from benchmark.commands.options import (
    AsJson,
    Frequent,
    Gold,
    Train,
    TrainFacts,
    Undirected,
    argument,
    option,
    reference_of,
)
from benchmark.errors import ConfigError, UserError
from benchmark.store.runs import find_runs

if TYPE_CHECKING:
    from benchmark.scoring.counts import Counts
    from benchmark.scoring.submission import Reference
    from benchmark.statistics.comparison import Comparison, Line
    from benchmark.statistics.results import Result

OTHER_DRAWS = "; a report on the same runs draws other resamples, so its interval differs a little."
SEED = 0  # of the resampling: the same command prints the same numbers

A = argument(Path, "A run, a folder of runs of several seeds, or a prediction file.", "A")
B = argument(Path, "What to compare it with: the difference is A - B.", "B")
Split = option(Literal["test", "dev"], "Split of the runs' predictions.")
Test = option(
    Literal["auto", "permutation", "t", "wilcoxon", "sign"],
    "Test across seeds; auto follows Dror et al. 2018 and says why.",
)
Alternative = option(Literal["two-sided", "greater", "less"], "greater: A is better than B.")
Resamples = option(int, "Resamples of the bootstrap and the randomisation test.", min=99)


def compare(
    a: A,
    b: B,
    gold: Gold = None,
    train: Train = None,
    train_facts: TrainFacts = None,
    frequent: Frequent = None,
    undirected: Undirected = False,
    split: Split = "test",
    test: Test = "auto",
    alternative: Alternative = "two-sided",
    resamples: Resamples = 9999,
    as_json: AsJson = False,
) -> None:
    """Tell whether a difference is real.

    Scores, their difference with an interval over seeds and documents, and tests: across seeds (a
    claim about the method) and across documents (a claim about the trained models alone). Seeds and
    documents are paired. Prediction files need --gold. Needs no model and no GPU.

    Examples:

      \b
      python run_benchmark.py compare results/demo/atlop/vaediff results/demo/atlop/none
      python run_benchmark.py compare mine.json theirs.json --gold test.json \\
          --train train.json --frequent re-docred
    """
    reference = None
    if gold is not None:
        reference = reference_of(gold, train, train_facts, frequent, undirected)
    elif train or train_facts or frequent or undirected:
        raise ConfigError("--train, --train-facts, --frequent and --undirected go with --gold")
    sides = _matched((a, b), [_read(path, reference, split) for path in (a, b)])
    as_lists = [{seed: counts.to_json() for seed, counts in side.items()} for side in sides]
    if as_lists[0] == as_lists[1]:
        typer.echo("A and B have the same counts in every document: nothing differs", err=True)
    import numpy as np

    from benchmark.statistics.comparison import COMPARED
    from benchmark.statistics.comparison import compare as compare_counts

    without_train = reference is not None and reference.train is None
    try:
        found = compare_counts(
            *sides,
            names=_names(a, b),
            measures=tuple(name for name in COMPARED if name != "ign_f1" or not without_train),
            test=test,
            alternative=alternative,
            resamples=resamples,
            rng=np.random.default_rng(SEED),
        )
    except ValueError as error:
        raise UserError(f"{a} and {b}: {error}") from error
    if as_json:
        typer.echo(json.dumps(asdict(found) | {"sentence": found.sentence()}))
    else:
        _print(found, Console(markup=False, highlight=False))


def _matched(
    paths: tuple[Path, Path], sides: list[dict[int | None, Counts]]
) -> list[dict[int, Counts]]:
    """Both sides by seed. Two single systems are compared whatever their seeds.

    Raises UserError for a prediction file, which has no seed, against several runs.
    """
    if all(len(side) == 1 for side in sides):
        left, right = (next(iter(side)) for side in sides)
        if None not in (left, right) and left != right:
            told = f"A has seed {left}, B has seed {right}: only their documents are paired"
            typer.echo(told, err=True)
        seed = left if left is not None and left == right else 0  # no common seed: any number
        return [{seed: counts} for side in sides for counts in side.values()]
    for one, other in ((0, 1), (1, 0)):
        if None in sides[one]:
            raise UserError(
                f"{paths[one]}: a prediction file can be compared with one run; "
                f"{paths[other]} holds {len(sides[other])}"
            )
    return sides


def _read(path: Path, reference: Reference | None, split: str) -> dict[int | None, Counts]:
    """seed -> counts; a prediction file has no seed: None."""
    from benchmark.scoring.counts import Counts
    from benchmark.scoring.submission import read_predictions

    if path.is_file():
        if reference is None:
            raise UserError(
                f"{path}: a prediction file needs --gold, the documents it is scored on"
            )
        return {None: reference.count(read_predictions(path), str(path))}
    runs = {directory: directory.read() for directory in find_runs(path)}
    cells = {(run.experiment, run.backbone, run.augmenter) for run in runs.values()}
    if not cells:
        raise UserError(f"{path}: holds no finished run")
    if len(cells) > 1:
        some = ", ".join("/".join(cell) for cell in sorted(cells)[:4])
        raise UserError(
            f"{path}: holds runs of {len(cells)} cells ({some}); give the folder of one"
        )
    seeds = Counter(run.seed for run in runs.values())
    if twice := [seed for seed, number in seeds.items() if number > 1]:
        raise UserError(f"{path}: holds seed {twice[0]} in several folders; give one of them")
    file, count = f"counts_{split}.json", Counts.from_json
    if reference is not None:
        file, count = f"predictions_{split}.json", reference.count
    for directory in runs:
        directory.verify(file)
    return {
        run.seed: count(directory.read_json(file), str(directory.path / file))
        for directory, run in runs.items()
    }


def _names(a: Path, b: Path) -> tuple[str, str]:
    """The shortest ends of the two paths that tell them apart."""
    left, right = a.resolve().parts, b.resolve().parts
    seeds = all(parts[-1].startswith("seed-") for parts in (left, right))
    for count in range(2 if seeds else 1, max(len(left), len(right)) + 1):
        if left[-count:] != right[-count:]:
            return "/".join(left[-count:]), "/".join(right[-count:])
    return str(a), str(b)


def _print(found: Comparison, console: Console) -> None:
    from benchmark.statistics.comparison import NAMES, SIDES

    defined = [line for line in found.lines if not line.undefined]
    tested = next((line.across_seeds for line in defined if line.across_seeds), None)
    columns = ["A", "B", "A - B", "95 % interval", *(["p, seeds"] if tested else []), "p, docs"]
    title = f"A: {found.names[0]}   B: {found.names[1]}"
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", show_edge=False)
    undefined = ["n/a", "n/a", *[""] * (len(columns) - 2)]
    lines = [
        (NAMES[line.measure], *(undefined if line.undefined else _fields(line)))
        for line in found.lines
    ]
    for cells in zip(("", *columns), *lines, strict=True):  # wrap at blanks only
        longest = max(len(word) for cell in cells for word in cell.split())
        table.add_column(cells[0], min_width=longest)
    for line in lines:
        table.add_row(*line)
    console.print(table, crop=False)
    for line in found.lines:
        if line.undefined:
            console.print(f"{NAMES[line.measure]}: {line.undefined}.")
    console.print(found.sentence())
    for line in defined:
        if (effects := line.effects) is not None:
            d_z = "undefined" if effects.d_z is None else f"{effects.d_z:+.2f}"
            told = f"P(A > B) {effects.superiority:.2f}, eps_min {effects.eps_min:.2f}"
            console.print(f"{NAMES[line.measure]}: d_z {d_z}, {told}")
    sides = [f"p: {SIDES[found.alternative]}."] if SIDES[found.alternative] else []
    for note in (*_notes(defined, tested), *sides, *found.warnings):
        console.print(f"- {note}", style="dim")


def _notes(lines: list[Line], tested: Result | None) -> Iterator[str]:
    """How to read the table; `tested`: a test across seeds, None without one."""
    from benchmark.statistics.advice import POPULATIONS
    from benchmark.statistics.comparison import NAMES
    from benchmark.statistics.effects import BETTER

    if tested is None:
        yield f"Scores in percent. The interval is a bootstrap over documents{OTHER_DRAWS}"
        yield "p, docs: approximate randomisation."
    else:
        yield (
            "Scores in percent, ± standard deviation over seeds. The interval is a bootstrap over "
            f"seeds and documents{OTHER_DRAWS}"
        )
        yield f"p, seeds: {tested.name}. {tested.why} {POPULATIONS}".replace("  ", " ")
        for line in lines:  # `auto` may take another test for another score
            if (other := line.across_seeds).name != tested.name:
                yield f"p, seeds, of {NAMES[line.measure]}: {other.name}. {other.why}"
        yield (
            "d_z: mean / standard deviation of the pairs. P(A > B): how likely a run of A beats "
            "one of B, whatever their seeds. eps_min: almost stochastic order, A is better at "
            f"{BETTER} or less (Dror et al. 2019); not a p-value."
        )
        yield (
            "p, docs: approximate randomisation; the median p over seeds, and how many of these p "
            "are at most 0.05."
        )
    results = [r for line in lines for r in (*line.across_documents, line.across_seeds) if r]
    errors = [result.p_error for result in results if result.p_error is not None]
    if errors:
        yield f"Resampling alone moves a p by up to ±{max(errors):.4f} (1 SE)."


def _fields(line: Line) -> list[str]:
    low, high = line.interval.low, line.interval.high
    fields = [
        f"{mean(values):.2f}" + (f"±{stdev(values):.2f}" if len(values) > 1 else "")
        for values in (line.a, line.b)
    ]
    fields += [f"{line.difference:+.2f}", "none" if low is None else f"{low:+.2f}, {high:+.2f}"]
    fields += [_p(line.across_seeds.p)] if line.across_seeds else []
    p_values = [result.p for result in line.across_documents]
    small = f" ({sum(p <= 0.05 for p in p_values)}/{len(p_values)})" if len(p_values) > 1 else ""
    return [*fields, _p(median(p_values)) + small]


def _p(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}" if value >= 0.0001 else "< 0.0001"
