"""Tables of published papers, from the files in `results/published/`, to show beside our own.

Their numbers are reported, not run here. They come as tables of their own: nothing in them is
marked as best, averaged or subtracted, and the caption says where our setting differs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from benchmark.errors import UserError
from benchmark.reports.study import Study
from benchmark.reports.tables import Cell, Column, Row, Table
from benchmark.shipped import shipped
from benchmark.store.runs import StoredRun

PUBLISHED = shipped("results/published")
NOT_REPORTED = "-"  # as papers print it


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Percent = Annotated[float, Field(ge=0, le=100)]
Split = Literal["dev", "test"]


class Score(_Strict):
    """A number as printed, in percent, with the number after the ± and how it was set off."""

    mean: Percent
    spread: Percent | None = None
    mark: Literal["bold", "underline"] | None = None


class PublishedColumn(_Strict):
    key: str  # that of our own tables ("dev.f1")
    split: Split
    label: str


class PublishedRow(_Strict):
    """One method; None stands for what the paper does not give."""

    method: str  # as printed ("KD-DocRE"), like the citation and the heading above it
    citation: str | None
    own: bool  # the paper's own method
    group: str | None
    encoder: str | None
    backbone: str | None  # our counterpart, if there is one
    augmenter: str | None
    runs: Annotated[int, Field(ge=1)] | None  # over how many the mean is
    copied_from: dict[Split, str | None]  # from where the paper took the numbers
    scores: dict[str, Score | None]  # by column key


class Source(_Strict):
    short: str
    citation: str
    url: str


class PublishedTable(_Strict):
    """One table of a paper: the format of the files."""

    table: int
    dataset: str  # its name in our tables
    source: Source
    caption: str  # the paper's
    notes: list[str]  # what else a reader of the numbers must know
    references: dict[str, str]  # what `copied_from` names
    encoders: dict[str, str]  # those that we have too, with their hub ids
    columns: list[PublishedColumn]
    rows: list[PublishedRow]

    @model_validator(mode="after")
    def _complete(self) -> PublishedTable:
        keys = {column.key for column in self.columns}
        for row in self.rows:
            if row.scores.keys() != keys:
                raise ValueError(f"{row.method}: expected scores of {', '.join(keys)}")
        return self


@dataclass(frozen=True)
class Reported:
    """The published tables to show beside ours; if there are none, `instead` says so."""

    tables: list[Table]
    instead: str = ""


def reported_beside(studies: Sequence[Study]) -> Reported:
    """The published tables of the dataset of some experiments.

    The row of one of our backbones is shown if an experiment has that backbone; rows of other
    methods are always shown.

    Raises UserError for a file in PUBLISHED that is no published table.
    """
    published, dataset = read_published(), studies[0].dataset
    tables = [_reported(table, studies) for table in published if table.dataset == dataset]
    if tables := [table for table in tables if table.rows]:
        return Reported(tables)
    known = ", ".join(sorted({table.dataset for table in published})) or "nothing"
    instead = f"No published scores are kept here for {dataset} and these backbones; there are "
    return Reported([], f"{instead}tables of {known}.")


def read_published(folder: Path = PUBLISHED) -> list[PublishedTable]:
    """All published tables in `folder`, by file name.

    Raises UserError naming the file and the key that is wrong.
    """
    tables = []
    for path in sorted(folder.glob("*.json")):
        try:
            tables.append(PublishedTable.model_validate_json(path.read_bytes()))
        except ValidationError as error:
            first = error.errors()[0]
            where = ": ".join(filter(None, [".".join(map(str, first["loc"])), first["msg"]]))
            raise UserError(f"{path}: not a published table: {where}") from error
    return tables


def _reported(published: PublishedTable, studies: Sequence[Study]) -> Table:
    columns = tuple(Column(column.key, column.label, column.split) for column in published.columns)
    ours = {None, *(backbone for study in studies for backbone in study.backbones)}
    shown = [row for row in published.rows if row.backbone in ours]
    title = f"Reported, not run here: {published.dataset}, Table {published.table} of "
    title += published.source.short
    rows, notes = map(_row, shown), _notes(published, shown, studies)
    return Table(title, tuple(notes), "Encoder", "Method", columns, tuple(rows))


def _row(row: PublishedRow) -> Row:
    cells = {
        key: Cell(number=score.mean, spread=score.spread) if score else Cell(absent=NOT_REPORTED)
        for key, score in row.scores.items()
    }
    label = f"{row.method} ({row.citation})" if row.citation else row.method
    return Row(row.encoder or NOT_REPORTED, label, cells, elsewhere=str(row.runs or ""))


def _notes(
    published: PublishedTable, shown: list[PublishedRow], studies: Sequence[Study]
) -> Iterator[str]:
    """The caption: whose numbers these are, why ours may differ, and what the paper says."""
    yield (
        "These numbers are reported in a paper; nothing of them was run here. They were made with "
        "that paper's data, settings and selection. They are context for our rows, and no part of "
        "our means, marks and differences."
    )
    for study in studies:
        run = study.runs[0]  # all runs of an experiment share their settings
        of = f"Of {run.experiment}: " if len(studies) > 1 else ""
        yield from (of + sentence for sentence in _differences(published, shown, run))
    yield f"Source: {published.source.citation} {published.source.url}"
    yield f'Its caption: "{published.caption}" Neither bold nor underlining is kept.'
    ours = [f"{row.method} = {row.backbone}/{row.augmenter}" for row in shown if row.backbone]
    if ours:
        yield f"Counterparts here: {'; '.join(dict.fromkeys(ours))}."
    if left_out := dict.fromkeys(row.method for row in published.rows if row not in shown):
        names = ", ".join(left_out)
        yield f"Rows left out, of backbones that this experiment does not have: {names}."
    for reference, citation in published.references.items():
        rows = {}
        for row in shown:
            splits = [split for split, origin in row.copied_from.items() if origin == reference]
            told = ", ".join(filter(None, (row.encoder, *splits)))
            rows |= {f"{row.method} ({told})": None} if splits else {}
        if rows:
            yield f"Copied by that paper from {reference}: {', '.join(rows)}. {citation}"
    yield "The column `seeds` has the number of runs, where the paper states it."
    yield from published.notes


def _differences(
    published: PublishedTable, shown: list[PublishedRow], run: StoredRun
) -> Iterator[str]:
    """Where the setting of `run` is known to differ from the published one."""
    encoder, dataset = run.config["encoder"], run.config["dataset"]
    name, freeze = Path(encoder["name"]).name, encoder.get("freeze", "none")
    same = [of for of, hub in published.encoders.items() if Path(hub).name.lower() == name.lower()]
    if not same:
        yield f"Not comparable with ours: our encoder is {name}, which no row of this table has."
    elif {row.encoder for row in shown} - set(same):
        yield (
            f"Our encoder is {name}: rows of another encoder than {same[0]} are not comparable "
            "with ours."
        )
    if freeze != "none":
        part = f"a part of our encoder ({freeze.replace(':', ' ')} layers)"
        part = "our encoder" if freeze == "all" else part
        yield f"Not comparable with ours: {part} was not trained."
    if held_out := dataset.get("options", {}).get("dev_documents"):
        yield (
            f"Dev is not comparable with ours: {held_out} documents out of our training file, not "
            "the published dev split."
        )
    yield from (f"Of our data: {note.rstrip('.')}." for note in run.facts.get("corpus_notes", ()))
