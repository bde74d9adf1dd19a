"""The words of the synthetic corpus: relations and their phrases, sentences, names."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Relation:
    """A relation between entities of two types, and how it is said."""

    name: str
    head: str
    tail: str
    active: tuple[str, ...]  # phrases between head and tail
    passive: tuple[str, ...]  # phrases between tail and head; none: the relation is symmetric

    @property
    def symmetric(self) -> bool:
        return not self.passive

    @classmethod
    def of(cls, line: str) -> Relation:
        """Read from "name HEAD TAIL: active, active / passive, passive"."""
        kind, _, phrases = line.partition(": ")
        said = [tuple(part.split(", ")) if part else () for part in phrases.partition(" / ")[::2]]
        return cls(*kind.split(), *said)


# In order of frequency: the k-th is drawn with weight (k + 3)^-zipf. Frequent and rare relations
# share their pairs of types.
_RELATIONS = """
born_in PER LOC: was born in, comes from / is the birthplace of
works_for PER ORG: works for, has a job at / employs
based_in ORG LOC: is based in, has its main office in / hosts the main office of
located_in LOC LOC: lies in, is a part of / contains
lives_in PER LOC: lives in, has a home in / is home to
author_of PER MISC: wrote, is the author of / was written by
studied_at PER ORG: studied at, holds a degree from / taught the young
part_of ORG ORG: belongs to, is a branch of / runs its own branch
member_of PER ORG: is a member of, joined / counts among its members
performed_in PER MISC: played in, had a part in / had as its star
child_of PER PER: is a child of, was raised by / is a parent of
founder_of PER ORG: founded, set up / was founded by
died_in PER LOC: died in, is buried in / holds the grave of
operates_in ORG LOC: is active in, sells goods in / is a market for
directed PER MISC: directed, was the director of / was directed by
set_in MISC LOC: is set in, tells a story from / is the scene of
owns ORG ORG: owns, bought / was bought by
chair_of PER ORG: chairs, is the head of / is chaired by
capital_of LOC LOC: is the capital of, is the seat of power in / has as its capital
married_to PER PER: is married to, is the spouse of
governs PER LOC: governs, is the mayor of / is governed by
made_in MISC LOC: was made in, was filmed in / saw the making of
teacher_of PER PER: taught, was the teacher of / learned everything from
borders LOC LOC: borders, shares a border with
translated PER MISC: translated, prepared the translation of / was translated by
rival_of ORG ORG: is a rival of, competes with
published_by MISC ORG: was published by, came out with / published
about MISC PER: is about, tells the life of / is the subject of
"""
RELATIONS = tuple(map(Relation.of, _RELATIONS.strip().splitlines()))

TYPES = {"PER": 0.3, "ORG": 0.28, "LOC": 0.28, "MISC": 0.14}  # share of entities

# Said of any relation between such types: the best guess is then the most frequent one, which costs
# the tail its recall.
VAGUE = {
    ("PER", "LOC"): "is linked with",
    ("PER", "ORG"): "had to do with",
    ("PER", "MISC"): "left a mark on",
    ("PER", "PER"): "was close to",
    ("ORG", "LOC"): "has a place in",
    ("ORG", "ORG"): "has ties with",
    ("LOC", "LOC"): "is near the middle of",
    ("MISC", "LOC"): "is known all over",
    ("MISC", "ORG"): "owes much to",
    ("MISC", "PER"): "recalls the work of",
}
NEUTRAL = (  # sentences that name two entities and relate them by nothing
    "{a} and {b} appear in the same report",
    "a reader asked about {a} and about {b}",
    "the survey compared {a} with {b}",
    "some say {a} matters more than {b}",
)
PLAIN = (  # sentences about one entity
    "{a} was in the news {when}",
    "little is known about {a}",
    "{a} received a prize {when}",
    "people often speak of {a}",
)
UNNAMED = {  # stand-ins for the tail where a phrase states no fact
    "PER": ("a good friend", "some stranger", "a young doctor"),
    "ORG": ("a large company", "a small school", "some club"),
    "LOC": ("a quiet village", "a far country", "some valley"),
    "MISC": ("a long film", "an old book", "some play"),
}
ANAPHORA = {
    "PER": ("she", "he", "this person"),
    "ORG": ("it", "the company", "this body"),
    "LOC": ("it", "the place", "this area"),
    "MISC": ("it", "the work", "this piece"),
}
WHEN = ("in 1962", "in 1978", "in 1985", "in 1994", "in 2003", "in 2011", "last year", "long ago")
WHEN += ("in spring", "after the war")
OPENERS = ("in fact ,", "as we know ,", "today ,", "of course ,", "according to a friend ,")

_SYLLABLES = """
bar bel bor cal cor dan del dor fal fen gar gol hal hel jor kal kel kor lan lor mar mel nor pel
ral sel tal tor val vel
"""
_ENDINGS = "ak am an ard as ek en eth ik in is ok on or um us"
STEMS = [f"{a}{b}".capitalize() for a in _SYLLABLES.split() for b in _ENDINGS.split()]  # of names
_GIVEN = "Ada Ben Cleo Dirk Edna Finn Gita Hugo Ines Jan Kira Leon Mona Nils Olga Paul"
GIVEN = tuple(_GIVEN.split())
BODIES = ("Group", "Bank", "Union", "Press", "Works", "College", "Party", "Institute")
PLACES = ("Port", "Mount", "New", "Upper", "Fort", "Lake")
QUALITIES = ("Silent", "Golden", "Broken", "Hidden", "Distant", "Lonely", "Burning", "Frozen")
