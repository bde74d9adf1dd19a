"""Tables of other people's papers, kept as data under `results/published/`, to stand beside our own
in a report.

They are reported, not run here: they come as tables of their own, nothing in them is marked as
best, nothing is averaged or subtracted, and the caption says where our setting differs. One JSON
file per published table; `PublishedTable` is its format.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from benchmark.errors import UserError
from benchmark.reports.render.text import markdown, terminal
from benchmark.reports.tables import Cell, Column, Row, StatedCell, Table
from benchmark.shipped import shipped
from benchmark.store.runs import StoredRun

PUBLISHED = shipped("results/published")

NOT_REPORTED = "-"  # as papers print it


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Percent = Annotated[float, Field(ge=0, le=100)]


class Score(_Strict):
    """A number as printed, in percent. `spread`: what stands behind the ±; `mark`: how the paper
    set it off.
    """

    mean: Percent
    spread: Percent | None = None
    mark: Literal["bold", "underline"] | None = None


class PublishedColumn(_Strict):
    """`key` is the one of our own tables ("dev.f1")."""

    key: str
    split: Literal["dev", "test"]
    label: str


class PublishedRow(_Strict):
    """One method.

    method, citation, group: as printed ("KD-DocRE", "Tan et al., 2022a"; the heading above the
        row).
    own: whether it is the paper's own method.
    encoder: None where the paper names none.
    backbone, augmenter: our counterpart, None where this suite has none.
    runs: over how many runs the mean is, where the paper says so.
    copied_from: per split, from where the paper took the numbers, where it says so.
    scores: by column key; None where the paper gives none.
    """

    method: str
    citation: str | None
    own: bool
    group: str | None
    encoder: str | None
    backbone: str | None
    augmenter: str | None
    runs: Annotated[int, Field(ge=1)] | None
    copied_from: dict[Literal["dev", "test"], str | None]
    scores: dict[str, Score | None]


class Source(_Strict):
    short: str
    citation: str
    url: str


class PublishedTable(_Strict):
    """One table of a paper.

    dataset: its name in our tables. caption: the paper's. notes: what a reader of the numbers must
        know besides.
    references: what `copied_from` names. encoders: the encoders that we have too, with their hub
        ids.
    """

    table: int
    dataset: str
    source: Source
    caption: str
    notes: list[str]
    references: dict[str, str]
    encoders: dict[str, str]
    columns: list[PublishedColumn]
    rows: list[PublishedRow]

    @model_validator(mode="after")
    def _complete(self) -> PublishedTable:
        keys = {column.key for column in self.columns}
        for row in self.rows:
            if row.scores.keys() != keys:
                raise ValueError(
                    f"the scores of {row.method} are {', '.join(row.scores)}; the columns are "
                    f"{', '.join(keys)}"
                )
            if row.copied_from.keys() != {column.split for column in self.columns}:
                raise ValueError(f"copied_from of {row.method} must name the splits of the columns")
        return self


@dataclass(frozen=True)
class ReportedRow(Row):
    """One published method (`label`) with its encoder (`group`); `published` has the rest."""

    published: PublishedRow | None = field(default=None, repr=False)

    @property
    def coverage(self) -> str:
        return "" if self.published.runs is None else str(self.published.runs)


@dataclass(frozen=True)
class Reported:
    """The published tables that stand beside ours; `instead` is the plain sentence for when there
    are none.
    """

    tables: list[Table]
    instead: str

    def below_markdown(self, text: str) -> str:
        """Our own Markdown with the published tables below it."""
        return f"{text}\n{markdown(self.tables) if self.tables else self.instead + chr(10)}"

    def below_csv(self, text: str) -> str:
        """Our own CSV with the published rows below, in columns of their own: whoever averages over
        ours meets none of theirs.
        """
        return csv_with_published(text, self.tables) if self.tables else text

    def print(self, console) -> None:
        terminal(self.tables, console)
        if not self.tables:
            console.print(self.instead, markup=False, highlight=False)


def reported_beside(
    runs: Sequence[StoredRun], backbones: Iterable[str], folder: Path = PUBLISHED
) -> Reported:
    """The published tables of the dataset of `runs`.

    A row whose method is one of our backbones is shown if the experiment has that backbone; rows of
    other methods always are.

    Args:
        runs: finished runs on one dataset; the captions say where the setting of each experiment
            differs from the published ones.
        backbones: those of the experiments.

    Raises:
        UserError: a file in `folder` is not a published table.
    """
    published, dataset, backbones = read_published(folder), runs[0].dataset, set(backbones)
    tables = [_reported(table, runs, backbones) for table in published if table.dataset == dataset]
    known = ", ".join(sorted({table.dataset for table in published})) or "nothing"
    instead = (
        f"No published scores are kept here for {dataset} and these backbones; there are tables of "
        f"{known}."
    )
    return Reported([table for table in tables if table.rows], instead)


def read_published(folder: Path = PUBLISHED) -> list[PublishedTable]:
    """All published tables in `folder`, by file name. Raises UserError naming the file and the key
    that is wrong.
    """
    tables = []
    for path in sorted(folder.glob("*.json")):
        try:
            tables.append(PublishedTable.model_validate_json(path.read_bytes()))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise UserError(
                f"{path}: not a published table: {where + ': ' if where else ''}{first['msg']}"
            ) from error
    return tables


def csv_with_published(text: str, tables: Iterable[Table]) -> str:
    """Our own CSV with the rows of published tables below it; their numbers stand in columns that
    ours do not have.
    """
    header, *lines = csv.reader(io.StringIO(text))
    own = (
        "reported",
        "reported spread",
        "reported runs",
        "method",
        "encoder",
        "counterpart",
        "copied from",
    )
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*header, *own])
    writer.writerows([*line, *("" for _ in own)] for line in lines)
    for table in tables:
        for row in table.rows:
            for column, cell in zip(table.columns, row.cells, strict=True):
                if cell.mean is not None:
                    ours = {"table": table.title, "score": column.key}
                    writer.writerow(
                        [*(ours.get(name, "") for name in header), *_csv_fields(row, column, cell)]
                    )
    return out.getvalue()


def _csv_fields(row: ReportedRow, column: Column, cell: Cell) -> list[str]:
    numbers = (cell.mean, cell.sd, row.published.runs)
    texts = (
        row.label,
        row.published.encoder,
        _counterpart(row.published),
        row.published.copied_from[column.heading],
    )
    return [
        *("" if number is None else repr(number) for number in numbers),
        *(text or "" for text in texts),
    ]


def _reported(published: PublishedTable, runs: Sequence[StoredRun], backbones: set[str]) -> Table:
    columns = tuple(
        Column(column.key, column.label, column.split, ()) for column in published.columns
    )
    shown = [row for row in published.rows if row.backbone is None or row.backbone in backbones]
    rows = tuple(
        ReportedRow(
            row.encoder or NOT_REPORTED,
            _label(row),
            tuple(_cell(row, c) for c in columns),
            (),
            (),
            row,
        )
        for row in shown
    )
    title = (
        f"Reported, not run here: {published.dataset}, Table {published.table} of "
        f"{published.source.short}"
    )
    return Table(title, tuple(_notes(published, shown, runs)), "Encoder", "Method", columns, rows)


def _cell(row: PublishedRow, column: Column) -> StatedCell:
    score = row.scores[column.key]
    return (
        StatedCell(absent=NOT_REPORTED)
        if score is None
        else StatedCell(number=score.mean, spread=score.spread)
    )


def _label(row: PublishedRow) -> str:
    return f"{row.method} ({row.citation})" if row.citation else row.method


def _counterpart(row: PublishedRow) -> str:
    return f"{row.backbone}/{row.augmenter}" if row.backbone else ""


def _notes(
    published: PublishedTable, shown: list[PublishedRow], runs: Sequence[StoredRun]
) -> Iterable[str]:
    """The caption: whose numbers these are, why ours may differ, what the paper says and leaves
    unsaid.
    """
    yield (
        "These numbers are reported in a paper; nothing of them was run here. They were made with "
        "that paper's data, settings and "
        "selection: context for our rows, and no part of our means, marks and differences."
    )
    yield from _all_differences(published, shown, runs)
    yield f"Source: {published.source.citation} {published.source.url}"
    yield f'Its caption: "{published.caption}" Neither bold nor underlining is kept.'
    if counterparts := dict.fromkeys(
        f"{row.method} = {_counterpart(row)}" for row in shown if row.backbone
    ):
        yield f"Counterparts here: {'; '.join(counterparts)}."
    if left_out := dict.fromkeys(row.method for row in published.rows if row not in shown):
        yield (
            "Rows left out, of backbones that this experiment does not have: "
            f"{', '.join(left_out)}."
        )
    for reference, rows in _copied(shown).items():
        yield (
            f"Copied by that paper from {reference}: {', '.join(rows)}. "
            f"{published.references[reference]}"
        )
    yield "The column `seeds` has the number of runs, where the paper states it."
    yield from published.notes


def _copied(shown: list[PublishedRow]) -> Mapping[str, list[str]]:
    """Where rows were copied from -> the rows, with the split where only one of two was."""
    origins: dict[str, list[str]] = {}
    for row in shown:
        for reference in dict.fromkeys(filter(None, row.copied_from.values())):
            splits = [split for split, origin in row.copied_from.items() if origin == reference]
            of_split = "" if len(splits) == len(row.copied_from) else f", {splits[0]}"
            with_encoder = (
                f"{row.method} ({row.encoder}{of_split})"
                if row.encoder
                else f"{row.method}{of_split}"
            )
            origins.setdefault(reference, []).append(with_encoder)
    return origins


def _all_differences(
    published: PublishedTable, shown: list[PublishedRow], runs: Sequence[StoredRun]
) -> Iterable[str]:
    """Of each experiment, by one run of it: all of its runs share what this is about."""
    experiments = {run.path.resolve().parents[2]: run for run in reversed(runs)}
    for run in reversed(experiments.values()):
        of = f"Of {run.experiment}: " if len(experiments) > 1 else ""
        yield from (of + sentence for sentence in _differences(published, shown, run))


def _differences(
    published: PublishedTable, shown: list[PublishedRow], run: StoredRun
) -> Iterable[str]:
    """Where the setting of `run` is known to be unlike the published one."""
    encoder = run.config["encoder"]
    name = Path(encoder["name"]).name
    same = [
        label for label, hub in published.encoders.items() if Path(hub).name.lower() == name.lower()
    ]
    others = {row.encoder for row in shown} - set(same)
    if not same:
        yield f"Not comparable with ours: our encoder is {name}, which no row of this table has."
    elif others:
        yield (
            f"Our encoder is {name}: rows of another encoder than {same[0]} are not comparable "
            "with ours."
        )
    if (freeze := encoder.get("freeze", "none")) != "none":
        part = (
            "our encoder"
            if freeze == "all"
            else f"a part of our encoder ({freeze.replace(':', ' ')} layers)"
        )
        yield f"Not comparable with ours: {part} was not trained."
    if held_out := run.config["dataset"].get("options", {}).get("dev_documents"):
        yield (
            f"Dev is not comparable with ours: {held_out} documents out of our training file, not "
            "the published dev split."
        )
    for note in run.facts.get("corpus_notes", ()):
        yield f"Of our data: {note.rstrip('.')}."
