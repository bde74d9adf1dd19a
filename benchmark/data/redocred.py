"""Re-DocRED (Tan et al. 2022), from the Hugging Face hub or local files: 96 relations, 3,053 / 500
/ 500 Wikipedia documents.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.data.corpora import with_source
from benchmark.data.docred import docred_format
from benchmark.errors import DataError
from benchmark.hub import dataset_folder
from benchmark.registry import DATASETS

if TYPE_CHECKING:
    from benchmark.data.documents import Corpus

TRAIN_DOCUMENTS = 3053
LICENCE = "Annotations: MIT (tonytan48/Re-DocRED). The texts are Wikipedia's, CC BY-SA."
INSTEAD = "Give local files with the options {}, or a folder of them with the option hub"

# The list is the official scorer's, not the ten most frequent of any split (tonytan48/Re-DocRED,
# evaluation.py).
FREQUENT = ("P17", "P131", "P27", "P150", "P175", "P577", "P463", "P527", "P495", "P361")


@DATASETS.register("re-docred")
def redocred(
    *,
    hub: str = "tonytan48/Re-DocRED",
    train: str | None = None,
    dev: str | None = None,
    test: str | None = None,
    dev_documents: int = 0,
    split_seed: int = 0,
) -> Corpus:
    """Re-DocRED, from the hub or from local files.

    Args:
        hub: a dataset on the hub, or a folder, that holds train_revised.json, dev_revised.json and
            test_revised.json.
        train, dev, test: local files instead of the hub's.
        dev_documents: select on so many documents of train, drawn by `split_seed`, instead of on a
            dev file.
    """
    files = {"train": train, "dev": dev, "test": test}
    wanted = [split for split, path in files.items() if path is None]
    if dev_documents and "dev" in wanted:
        wanted.remove("dev")
    files |= _from_hub(hub, wanted) if wanted else {}
    corpus = docred_format(
        **files,
        dev_documents=dev_documents,
        split_seed=split_seed,
        relations=RELATIONS,
        frequent=FREQUENT,
        shown_as="re-docred",
    )
    source = Path(files["train"]).name
    return with_source(corpus, source, full=TRAIN_DOCUMENTS, less=dev_documents, licence=LICENCE)


def _from_hub(hub: str, splits: list[str]) -> dict[str, str]:
    """Local paths of the hub's files for `splits`; downloads them the first time."""
    names = {split: f"{split}_revised.json" for split in splits}
    instead = INSTEAD.format(", ".join(splits))
    folder = dataset_folder(hub, [f"*{name}" for name in names.values()], instead)
    found = {split: min(folder.rglob(name), default=None) for split, name in names.items()}
    if missing := [names[split] for split, path in found.items() if path is None]:
        raise DataError(f"{hub}: holds no {', '.join(missing)}. {instead}")
    return {split: str(path) for split, path in found.items()}


# The inventory in the order of the official rel2id.json (class 1, 2, ...), with Wikidata's names.
_RELATIONS = """
    P17 country; P131 located in the administrative territorial entity; P27 country of citizenship;
    P150 contains administrative territorial entity; P577 publication date; P175 performer;
    P569 date of birth; P570 date of death; P161 cast member; P264 record label; P527 has part;
    P361 part of; P495 country of origin; P19 place of birth; P571 inception;
    P54 member of sports team; P102 member of political party; P463 member of; P3373 sibling;
    P40 child; P30 continent; P50 author; P1441 present in work; P1001 applies to jurisdiction;
    P69 educated at; P26 spouse; P607 conflict; P57 director; P159 headquarters location;
    P22 father; P400 platform; P1344 participant of; P206 located in or next to body of water;
    P127 owned by; P170 creator; P178 developer; P20 place of death;
    P1412 languages spoken, written or signed; P155 follows; P118 league; P710 participant;
    P6 head of government; P108 employer; P276 location; P156 followed by; P674 characters;
    P166 award received; P194 legislative body; P123 publisher; P140 religion; P800 notable work;
    P449 original network; P58 screenwriter; P35 head of state; P179 series;
    P706 located on terrain feature; P162 producer; P37 official language; P241 military branch;
    P31 instance of; P403 mouth of the watercourse; P580 start time; P137 operator;
    P585 point in time; P112 founded by; P86 composer; P176 manufacturer; P749 parent organization;
    P937 work location; P36 capital; P576 dissolved, abolished or demolished; P355 subsidiary;
    P136 genre; P364 original language of work; P272 production company; P172 ethnic group;
    P205 basin country; P279 subclass of; P1376 capital of; P171 parent taxon; P25 mother;
    P488 chairperson; P582 end time; P740 location of formation; P840 narrative location;
    P1366 replaced by; P676 lyrics by; P1336 territory claimed by;
    P1056 product or material produced; P551 residence; P39 position held; P1365 replaces;
    P737 influenced by; P190 sister city; P807 separated from; P1198 unemployment rate
"""
RELATIONS = dict(entry.strip().split(" ", 1) for entry in _RELATIONS.split(";"))
