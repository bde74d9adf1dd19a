"""Figures for papers and slides, drawn by matplotlib from stored numbers.

They show how often relations occur (the paper's Figure 1) and where generated entity pairs lie
beside real ones (its Figure 5). Only this module imports matplotlib and scikit-learn, which are
optional. The same numbers give the same files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import UserError
from benchmark.store.files import written_atomically
from benchmark.texts import plain

FORMATS = ("png", "svg")
KINDS = {  # of pairs, with their marker
    "real": {"marker": "o", "s": 18, "linewidths": 0},
    "generated": {"marker": "x", "s": 22, "linewidths": 1},
}
SHOWN = 8  # rare relations, unless some are asked for
MOST = 10  # relations with a colour of their own
PERPLEXITY = 30.0
FREQUENT, RARE = "#1f5fa8", "#d98032"


@dataclass(frozen=True)
class Sample:
    """Real and generated pairs of one run (`sample.json`).

    rows: {"real", "generated": [N,k]}.
    labels: for each kind the relations of each pair, as positions in `relations`.
    relations: (id, name) of the dataset's inventory.
    frequent: the ids that count for Freq F1; a pair with a rare relation may have some too.
    asked: the ids to show; None for the most common rare ones.
    """

    rows: Mapping[str, np.ndarray]
    labels: Mapping[str, Sequence[Sequence[int]]]
    relations: Sequence[tuple[str, str]]
    frequent: Collection[str] = ()
    asked: Sequence[str] | None = None

    @staticmethod
    def of_json(
        content: Any,
        relations: Sequence[tuple[str, str]],
        frequent: Collection[str],
        asked: Sequence[str] | None = None,
    ) -> Sample:
        """Raises KeyError, TypeError or ValueError for content of another form."""
        labels = {kind: content[kind]["labels"] for kind in KINDS}
        rows = {}
        for kind, of_kind in labels.items():
            shape = len(of_kind), -1 if of_kind else 0  # there may be no pair of a rare relation
            rows[kind] = np.array(content[kind]["rows"], dtype=float).reshape(shape)
        return Sample(rows, labels, relations, frequent, asked)

    @property
    def shown(self) -> list[int]:
        """Positions of the relations asked for, else of SHOWN rare ones; most real pairs first.

        Raises UserError for a relation without a pair, and for more than MOST.
        """
        real, generated = (Counter(chain.from_iterable(self.labels[kind])) for kind in KINDS)
        ranked = sorted(real + generated, key=lambda relation: (-real[relation], relation))
        having = {self.relations[at][0]: at for at in ranked}
        if self.asked is None:
            return [at for name, at in having.items() if name not in self.frequent][:SHOWN]
        if len(self.asked) > MOST:
            raise UserError(f"--relations: at most {MOST}, since more colours cannot be told apart")
        for name in self.asked:
            if name not in having:
                raise UserError(
                    f"--relations: '{name}' has no pair in the sample. Relations with pairs: "
                    f"{', '.join(having)}"
                )
        return [at for name, at in having.items() if name in self.asked]

    def members(self, kind: str) -> tuple[np.ndarray, np.ndarray]:
        """The rows of the pairs with a shown relation, and for each the last of these."""
        rank = {relation: position for position, relation in enumerate(self.shown)}
        last = [max((rank.get(r, -1) for r in pair), default=-1) for pair in self.labels[kind]]
        last = np.array(last, dtype=int)
        return self.rows[kind][last >= 0], last[last >= 0]


def generated_pairs(sample: Sample, title: str, out: Path) -> list[Path]:
    """t-SNE of real (dots) and generated pairs (crosses), like the paper's Figure 5.

    Each relation has a colour. A pair with several of them has that of the one with fewest pairs.

    out: the file to write, without its ending; every format of FORMATS is written.

    Raises UserError for too few pairs, a missing package, or a folder that cannot be written.
    """
    plt, tsne = _libraries()
    tables, of_pair = zip(*map(sample.members, KINDS), strict=True)
    rows = np.concatenate([table for table in tables if len(table)] or [np.zeros((0, 1))])
    if len(rows) < 5:
        raise UserError(
            f"{out.name}: only {len(rows)} pairs of these relations, too few for a figure"
        )
    # the rows are principal components: they need no further reduction
    start = "pca" if rows.shape[1] > 1 else "random"
    options = {"init": start, "perplexity": min(PERPLEXITY, (len(rows) - 1) / 3)}
    points = tsne(**options, random_state=0, n_jobs=1).fit_transform(rows)
    placed = np.split(points, [len(tables[0])])
    colours = plt.get_cmap("tab10").colors
    figure, axes = plt.subplots(figsize=(8, 5.2), layout="constrained")
    for points, positions, style in zip(placed, of_pair, KINDS.values(), strict=True):
        for position in range(len(sample.shown)):
            at = points[positions == position]
            axes.scatter(at[:, 0], at[:, 1], color=colours[position], alpha=0.75, **style)
    for position, relation in enumerate(sample.shown):
        counts = [int((positions == position).sum()) for positions in of_pair]
        if any(counts):  # else all of its pairs have a rarer relation as well
            label = "{} ({} / {})".format(_named(*sample.relations[relation]), *counts)
            axes.scatter([], [], color=colours[position], marker="s", label=label)
    for style, label in zip(KINDS.values(), ("real pairs (dev)", "generated pairs"), strict=True):
        axes.scatter([], [], color="0.35", label=label, **style)
    beside = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5), "fontsize": 8, "frameon": False}
    axes.legend(title="relation (real / generated)", **beside)
    axes.set(xticks=[], yticks=[])
    axes.set_title(_literal(title), fontsize=10)
    return _saved(plt, figure, out)


def relation_frequency(
    frequencies: Mapping[str, tuple[Mapping[str, int], Collection[str] | None]],
    names: Mapping[str, str],
    out: Path,
) -> list[Path]:
    """Training facts of each relation, a panel for each dataset, like the paper's Figure 1.

    frequencies: dataset -> ({relation: training facts}, the relations that count for Freq F1 or
        None where that is not known).
    names: relation -> its name.
    out: as in `generated_pairs`.
    """
    plt, _ = _libraries()
    shape = {"figsize": (6.4 * len(frequencies), 3.6), "layout": "constrained", "squeeze": False}
    figure, panels = plt.subplots(1, len(frequencies), **shape)
    for axes, (dataset, (counts, frequent)) in zip(panels[0], frequencies.items(), strict=True):
        ranked = sorted(counts, key=lambda relation: (-counts[relation], relation))
        heights, total = [counts[relation] for relation in ranked], sum(counts.values())
        usual = [frequent is None or relation in frequent for relation in ranked]
        colours = [FREQUENT if is_usual else RARE for is_usual in usual]
        axes.bar(range(len(ranked)), heights, width=0.9, color=colours)
        if frequent is not None:
            share = float(np.dot(heights, usual)) / max(total, 1)
            label = f"{sum(usual)} frequent relations: {share:.0%} of the facts"
            axes.bar([0], [0], color=FREQUENT, label=label)
            label = f"{len(ranked) - sum(usual)} others: {1 - share:.0%}"
            axes.bar([0], [0], color=RARE, label=label)
            axes.legend(fontsize=8, frameon=False)
        axes.set_xlim(-0.8, len(ranked) - 0.2)
        labelled = range(0, len(ranked), 1 if len(ranked) <= 30 else 5)
        labels = [_named(ranked[i], names.get(ranked[i], ranked[i]), 22) for i in labelled]
        axes.set_xticks(list(labelled), labels)
        axes.tick_params(axis="x", labelrotation=90, labelsize=6)
        axes.set_ylabel("training facts")
        title = f"{dataset}: {total:,} facts, {len(ranked)} relations"
        axes.set_title(_literal(title), fontsize=10)
    return _saved(plt, figure, out)


def _named(relation: str, name: str, most: int = 40) -> str:
    text = name if name in (relation, relation.replace("_", " ")) else f"{relation} {name}"
    text = plain(text)
    return _literal(text if len(text) <= most else text[: most - 1] + "…")


def _literal(text: str) -> str:
    return plain(text).replace("$", r"\$")  # "$" would begin a formula


def _libraries() -> tuple[Any, Any]:
    """matplotlib's pyplot and scikit-learn's TSNE."""
    try:
        import matplotlib
        from sklearn.manifold import TSNE
    except ImportError:
        raise UserError(
            "figures need the packages matplotlib and scikit-learn: pip install matplotlib "
            "scikit-learn"
        ) from None
    matplotlib.use("Agg")  # no screen is needed
    import matplotlib.pyplot as plt

    plt.rcParams["svg.hashsalt"] = "docre"  # else its names of elements are random
    return plt, TSNE


def _saved(plt: Any, figure: Any, out: Path) -> list[Path]:
    """Write and close a figure; returns the files."""
    files = [out.with_name(f"{out.name}.{ending}") for ending in FORMATS]
    for file in files:
        with written_atomically(file) as part:
            plain_metadata = {"Date": None} if file.suffix == ".svg" else {"Software": None}
            figure.savefig(part, format=file.suffix[1:], dpi=160, metadata=plain_metadata)
    plt.close(figure)
    return files
