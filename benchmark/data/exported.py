"""A corpus as a `datasets` folder in the canonical schema: written, uploaded, and read again.

Such a folder holds README.md (the data card), corpus.json (what a run must know besides the
documents), and the splits train, dev and test, either as `DatasetDict.save_to_disk` writes them or
as data/SPLIT-00000-of-00001.parquet.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from benchmark.data.cached import cached, without_bars
from benchmark.data.corpora import SPLITS
from benchmark.data.docred import faultless
from benchmark.data.stats import COUNTED, statistics
from benchmark.errors import DataError, UserError
from benchmark.hub import dataset_folder, upload
from benchmark.registry import DATASETS
from benchmark.store.files import explained, sha256

if TYPE_CHECKING:
    from datasets import Dataset

    from benchmark.data.documents import Corpus

EXPECTED = "The option hub names a folder, or a hub dataset, that `data export` wrote"


class Knowledge(BaseModel):
    """corpus.json: the fields of Corpus besides the documents."""

    name: str
    relations: tuple[str, ...]
    relation_names: dict[str, str]
    frequent: frozenset[str] | None
    undirected: bool
    notes: tuple[str, ...]
    licence: str


@DATASETS.register("exported")
def exported(*, hub: str) -> Corpus:
    """A corpus that `data export` wrote.

    Args:
        hub: the folder, or the id of the dataset on the hub.

    Raises DataError when a file is missing or damaged, or a document is faulty.
    """
    from benchmark.data.documents import Corpus

    folder = dataset_folder(hub, ["corpus.json", "data/*.parquet"], EXPECTED)
    try:
        known = Knowledge.model_validate_json((folder / "corpus.json").read_bytes())
    except (OSError, ValidationError) as error:
        raise DataError(f"{folder / 'corpus.json'}: {error}. {EXPECTED}") from error
    splits = {split: _read_split(folder, split, known.relations) for split in SPLITS}
    return Corpus(**dict(known), **splits)


def export(corpus: Corpus, folder: Path, *, parquet: bool = False) -> None:
    """Write `corpus` to a new folder, by `save_to_disk` or as parquet files.

    Raises UserError if `folder` is a file or not empty, or the disk is full; nothing partial stays.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: exists already; name a folder that is new or empty")
    with explained(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            _write(corpus, made, parquet)
            made.chmod(0o755)
            os.replace(made, folder)
        finally:
            shutil.rmtree(made, ignore_errors=True)


def push(corpus: Corpus, repository: str, *, private: bool = False) -> str:
    """Upload `corpus` as parquet files to a dataset on the hub, in one commit; returns its address.

    Raises UserError if the hub refuses or cannot be reached.
    """
    with tempfile.TemporaryDirectory() as made:
        _write(corpus, Path(made), parquet=True)
        message = f"{corpus.name} in the canonical schema"
        return upload(Path(made), repository, "dataset", message=message, private=private)


def card(corpus: Corpus) -> str:
    """The data card: source, numbers, licence as far as known, and how to load the dataset."""
    numbers = [statistics(rows, corpus.frequent or ()) for rows in corpus.splits.values()]
    rows = [[key, *(f"{number[key]:,}" for number in numbers)] for key in COUNTED[:7]]
    table = ["", *SPLITS], ["---", *["---:"] * len(SPLITS)], *rows
    table = "\n".join(f"| {' | '.join(row)} |" for row in table)
    files = "\n".join(f"  - split: {split}\n    path: data/{split}-*" for split in SPLITS)
    frequent = ", ".join(sorted(corpus.frequent)) if corpus.frequent else "not defined"
    direction = "undirected" if corpus.undirected else "directed"
    notes = "".join(f"\n- {note}" for note in corpus.notes)
    notes = f"\n## Notes\n{notes}\n" if notes else ""
    licence = corpus.licence or "Not known to the suite: ask where you had the documents from."
    # the name is quoted as JSON, which YAML reads
    return f"""---
pretty_name: {json.dumps(corpus.name)}
configs:
- config_name: default
  data_files:
{files}
---

# {corpus.name}

Documents with entities and relations, for document-level relation extraction.
`data export` of the benchmark wrote them.

{table}

{len(corpus.relations)} {direction} relations; frequent ones (Freq F1): {frequent}.
`pairs` are ordered pairs of different entities.
{notes}
## Licence

{licence}

## Use

In an experiment file: `dataset: {{name: exported, hub: FOLDER_OR_ID}}`.
In Python: `datasets.load_from_disk(FOLDER)` for a folder without `data/`, else
`datasets.load_dataset(FOLDER_OR_ID)`.

| column | content |
| --- | --- |
| `title` | unique within a split |
| `sentences` | lists of words |
| `entities` | `type`; `mentions`: `name`, `sentence`, first word `start`, `end` one past the last |
| `facts` | `head` and `tail` (numbers of entities), `relation`, `evidence` (sentences) |

corpus.json lists the relations in class order.
"""


def _write(corpus: Corpus, folder: Path, parquet: bool) -> None:
    import datasets

    with without_bars():
        if parquet:
            (folder / "data").mkdir()
            for split, documents in corpus.splits.items():
                documents.to_parquet(folder / f"data/{split}-00000-of-00001.parquet")
        else:
            datasets.DatasetDict(corpus.splits).save_to_disk(folder)
    known: dict[str, Any] = {key: getattr(corpus, key) for key in Knowledge.model_fields}
    known["frequent"] = None if corpus.frequent is None else sorted(corpus.frequent)
    text = json.dumps(known, ensure_ascii=False, indent=1)
    (folder / "corpus.json").write_text(text + "\n", encoding="utf-8")
    (folder / "README.md").write_text(card(corpus), encoding="utf-8")


def _read_split(folder: Path, split: str, relations: Sequence[str]) -> Dataset:
    """The documents of a split: checked the first time, then kept by the disk cache of `datasets`
    under the digest of their files.
    """
    parquet = sorted(folder.glob(f"data/{split}-*.parquet"))
    files = parquet or sorted((folder / split).glob("data-*.arrow"))

    def rows() -> Iterator[dict[str, Any]]:
        with _explained(folder, split):
            found = _loaded(parquet, folder / split)
        yield from faultless(found, f"{folder}, split '{split}'", relations)

    with _explained(folder, split):
        content = " ".join(map(sha256, files))
    return cached(rows, key=f"exported {content} {relations}")


def _loaded(parquet: Sequence[Path], folder: Path) -> Dataset:
    """The rows of parquet files, or of a `save_to_disk` folder; no file is written beside them."""
    import datasets

    from benchmark.data.documents import FEATURES

    with without_bars():
        if parquet:
            found = datasets.Dataset.from_parquet(list(map(str, parquet)))
        else:
            found = datasets.Dataset.load_from_disk(folder)
        found = found.select_columns(list(FEATURES))
        return found if found.features == FEATURES else found.cast(FEATURES, keep_in_memory=True)


@contextlib.contextmanager
def _explained(folder: Path, split: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # of pyarrow and `datasets`: classes without a common base
        reason = (str(error.__cause__ or error).splitlines() or [type(error).__name__])[0]
        what = f"split '{split}' cannot be read: {reason:.200}"
        raise DataError(f"{folder}: {what}. {EXPECTED}") from error
