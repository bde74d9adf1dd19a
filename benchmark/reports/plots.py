"""Figures for papers and slides, drawn by matplotlib from stored numbers: how often relations occur
(the paper's Figure 1), and where generated entity pairs lie beside real ones (its Figure 5).

The optional packages matplotlib and scikit-learn are imported here alone. The same numbers give the
same files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import UserError
from benchmark.store.files import written_atomically
from benchmark.texts import plain

FORMATS = ("png", "svg")
MOST_RELATIONS = 10  # that have colours of their own
SHOWN = 8  # relations, unless some are asked for
PERPLEXITY = 30.0
FREQUENT, RARE = "#1f5fa8", "#d98032"
NEEDED = (
    "figures need the packages matplotlib and scikit-learn: pip install matplotlib scikit-learn"
)


@dataclass(frozen=True)
class Sample:
    """Real and generated pairs of one run (`sample.json`).

    rows: {"real", "generated": [N,k]}; labels: for each kind the relations of each pair, as
        positions in `relations`; relations:
    (id, name) of the dataset's inventory; frequent: the ids that count for Freq F1, also found on
    pairs with a rare relation.
    """

    rows: Mapping[str, np.ndarray]
    labels: Mapping[str, Sequence[Sequence[int]]]
    relations: Sequence[tuple[str, str]]
    frequent: Collection[str] = ()

    @staticmethod
    def of_json(
        content: Any, relations: Sequence[tuple[str, str]], frequent: Collection[str], where: Path
    ) -> Sample:
        """Raises UserError when the content of `where` is no sample of pairs with these
        relations.
        """
        try:
            labels = {
                kind: [[int(r) for r in pair] for pair in content[kind]["labels"]]
                for kind in ("real", "generated")
            }
            rows = {
                kind: np.array(content[kind]["rows"], dtype=float).reshape(len(labels[kind]), -1)
                for kind in labels
            }
            known = all(
                0 <= relation < len(relations)
                for pairs in labels.values()
                for pair in pairs
                for relation in pair
            )
            sound = known and all(np.isfinite(table).all() for table in rows.values())
        except (KeyError, TypeError, ValueError):
            sound = False
        widths = {table.shape[1] for table in rows.values() if len(table)} if sound else set()
        if not sound or len(widths) > 1:
            raise UserError(
                f"{where}: not a sample of real and generated pairs; delete it and quality.json, "
                "and measure again"
            )
        return Sample(rows, labels, relations, frequent)

    def shown(self, asked: Sequence[str] | None) -> list[int]:
        """Positions of the relations asked for, those with most real pairs first; None: of the
        first SHOWN rare ones.

        Raises:
            UserError: an asked relation is unknown, or has no pair in the sample; more than
            MOST_RELATIONS.
        """
        counts = Counter(relation for pair in self.labels["real"] for relation in pair)
        everywhere = counts + Counter(
            relation for pair in self.labels["generated"] for relation in pair
        )
        ranked = sorted(everywhere, key=lambda relation: (-counts[relation], relation))
        if asked is None:
            return [index for index in ranked if self.relations[index][0] not in self.frequent][
                :SHOWN
            ]
        if len(asked) > MOST_RELATIONS:
            raise UserError(
                f"--relations: at most {MOST_RELATIONS} can be told apart by their colours, not "
                f"{len(asked)}"
            )
        positions = {relation: index for index, (relation, _) in enumerate(self.relations)}
        having = ", ".join(self.relations[index][0] for index in ranked)
        for relation in asked:
            if positions.get(relation) not in everywhere:
                what = (
                    "is no relation of the dataset"
                    if relation not in positions
                    else "has no pair in the sample"
                )
                raise UserError(f"--relations: '{relation}' {what}. Relations with pairs: {having}")
        return [index for index in ranked if self.relations[index][0] in asked]

    def members(self, kind: str, shown: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the pairs that hold a relation of `shown`, and of each the relation that has
        fewest pairs of these.
        """
        rank = {relation: position for position, relation in enumerate(shown)}
        last = [
            max((rank[relation] for relation in pair if relation in rank), default=-1)
            for pair in self.labels[kind]
        ]
        of_pair = np.array(last, dtype=int)
        chosen = np.flatnonzero(of_pair >= 0)
        return chosen, of_pair[chosen]


def generated_pairs(sample: Sample, shown: Sequence[int], title: str, out: Path) -> list[Path]:
    """t-SNE of real (dots) and generated pairs (crosses), a colour for each relation, like the
    paper's Figure 5.

    A pair with several of the relations has the colour of the one with fewest pairs.

    Args:
        shown: positions of relations, those with most pairs first.
        out: the file to write, without its ending; every format of FORMATS is written.

    Raises:
        UserError: too few pairs, a package is missing, or the folder cannot be written.
    """
    plt = _pyplot()
    members = {kind: sample.members(kind, shown) for kind in ("real", "generated")}
    rows = np.concatenate(
        [sample.rows[kind][chosen] for kind, (chosen, _) in members.items() if len(chosen)]
        or [np.zeros((0, 1))]
    )
    if len(rows) < 5:
        raise UserError(
            f"{out.name}: {len(rows)} pairs of these relations are too few for a t-SNE figure"
        )
    points = _tsne(rows)
    colours = plt.get_cmap("tab10").colors
    figure, axes = plt.subplots(figsize=(8, 5.2), layout="constrained")
    first = 0
    for kind, (chosen, of_pair) in members.items():
        placed = points[first : first + len(chosen)]
        first += len(chosen)
        for position in range(len(shown)):
            at = placed[of_pair == position]
            style = (
                {"marker": "o", "s": 18, "linewidths": 0}
                if kind == "real"
                else {"marker": "x", "s": 22, "linewidths": 1}
            )
            axes.scatter(at[:, 0], at[:, 1], color=colours[position], alpha=0.75, **style)
    counts = [
        [int((of_pair == position).sum()) for _, of_pair in members.values()]
        for position in range(len(shown))
    ]
    for position, relation in enumerate(shown):
        if any(counts[position]):  # else all of its pairs have a rarer relation as well
            label = "{} ({} / {})".format(_named(*sample.relations[relation]), *counts[position])
            axes.scatter([], [], color=colours[position], marker="s", label=label)
    axes.scatter([], [], color="0.35", marker="o", s=18, label="real pairs (dev)")
    axes.scatter([], [], color="0.35", marker="x", s=22, label="generated pairs")
    axes.legend(
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        fontsize=8,
        frameon=False,
        title="relation (real / generated)",
    )
    axes.set(xticks=[], yticks=[])
    axes.set_title(plain(title), fontsize=10)
    return _saved(plt, figure, out)


def relation_frequency(
    frequencies: Mapping[str, tuple[Mapping[str, int], Collection[str] | None]],
    names: Mapping[str, str],
    out: Path,
) -> list[Path]:
    """Training facts of each relation, most frequent first, one panel for each dataset, like the
    paper's Figure 1.

    Args:
        frequencies: dataset -> ({relation: training facts}, the relations that count for Freq F1 or
            None where that is not known).
        names: relation -> its name.
        out: as in `generated_pairs`.
    """
    plt = _pyplot()
    figure, panels = plt.subplots(
        1,
        len(frequencies),
        figsize=(6.4 * len(frequencies), 3.6),
        layout="constrained",
        squeeze=False,
    )
    for axes, (dataset, (counts, frequent)) in zip(panels[0], frequencies.items(), strict=True):
        ranked = sorted(counts, key=lambda relation: (-counts[relation], relation))
        heights, total = [counts[relation] for relation in ranked], sum(counts.values())
        usual = [frequent is None or relation in frequent for relation in ranked]
        axes.bar(
            range(len(ranked)),
            heights,
            width=0.9,
            color=[FREQUENT if is_usual else RARE for is_usual in usual],
        )
        if frequent is not None:
            share = sum(
                height for height, is_usual in zip(heights, usual, strict=True) if is_usual
            ) / max(total, 1)
            axes.bar(
                [0],
                [0],
                color=FREQUENT,
                label=f"{sum(usual)} frequent relations: {share:.0%} of the facts",
            )
            axes.bar(
                [0], [0], color=RARE, label=f"{len(ranked) - sum(usual)} others: {1 - share:.0%}"
            )
            axes.legend(fontsize=8, frameon=False)
        axes.set_xlim(-0.8, len(ranked) - 0.2)
        labelled = range(len(ranked)) if len(ranked) <= 30 else range(0, len(ranked), 5)
        axes.set_xticks(
            list(labelled),
            [_named(ranked[i], names.get(ranked[i], ranked[i]), 22) for i in labelled],
        )
        axes.tick_params(axis="x", labelrotation=90, labelsize=6)
        axes.set_ylabel("training facts")
        axes.set_title(plain(f"{dataset}: {total:,} facts, {len(ranked)} relations"), fontsize=10)
    return _saved(plt, figure, out)


def _named(relation: str, name: str, most: int = 40) -> str:
    text = plain(
        name
        if relation.replace("_", " ") == name
        else f"{relation} {name}"
        if name != relation
        else name
    ).replace("$", r"\$")  # "$" would begin a formula
    return text if len(text) <= most else text[: most - 1] + "…"


def _tsne(rows: np.ndarray) -> np.ndarray:
    """[N,2]. The sample's components are those of all training pairs: no further reduction is
    needed.
    """
    try:
        from sklearn.manifold import TSNE
    except ImportError:
        raise UserError(NEEDED) from None
    perplexity = min(PERPLEXITY, (len(rows) - 1) / 3)
    start = "pca" if rows.shape[1] > 1 else "random"
    return TSNE(perplexity=perplexity, init=start, random_state=0, n_jobs=1).fit_transform(rows)


def _pyplot() -> Any:
    try:
        import matplotlib
    except ImportError:
        raise UserError(NEEDED) from None
    matplotlib.use("Agg")  # no screen is needed
    import matplotlib.pyplot as plt

    plt.rcParams["svg.hashsalt"] = "docre"  # else its names of elements are random
    return plt


def _saved(plt: Any, figure: Any, out: Path) -> list[Path]:
    """Write and close the figure; the files."""
    files = [out.with_name(f"{out.name}.{ending}") for ending in FORMATS]
    try:
        for file in files:
            with written_atomically(file) as part:
                plain_metadata = {"Date": None} if file.suffix == ".svg" else {"Software": None}
                figure.savefig(part, format=file.suffix[1:], dpi=160, metadata=plain_metadata)
    finally:
        plt.close(figure)
    return files
