"""How good generated pairs are, in the space of the stage 1 model.

Four kinds of pairs with the same label sets in the same numbers, those of the *dev* pairs:

* dev: real pairs that neither the stage 1 model nor the augmenter was trained on;
* train: real training pairs: the best that a generator can do that knows only the training split;
* generated: what the augmenter makes of those training pairs, as in stage 3;
* noise: a Gaussian with the training pairs' mean and spread in each dimension: the floor.

Dev pairs with a label set that no training pair has are left out: stage 3 never asks for one.
Measured (benchmark/quality/distances.py has the formulae):

* recognition: does the frozen stage 1 classifier find exactly the labels asked for (`exact_match`),
  and which share of them (`micro_f1`)?
* labels kept: exact matches of the train pairs encoded and decoded again, as a share of those of
  the pairs themselves: a VAE may explain the variance and lose what tells rare relations apart;
* distance to dev: squared MMD, with the median distance between dev pairs as the kernel's width;
  Frechet distance on the first COMPONENTS principal components of the training pairs, because a
  covariance of the full width is singular for so few pairs;
* spread against dev's: of all pairs; within a label set (one point per label set?); the share of
  the variance between label sets (are labels ignored?);
* neighbours: median distance to the nearest training pair, against that of dev pairs (0: copies).

Undefined numbers are None. Shapes: N pairs, d width, R classes incl. the threshold class 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from augmenters.base import Augmenter
from augmenters.diagnosis import Diagnosed
from backbones.base import Backbone
from benchmark.data.pairs import Pairs
from benchmark.quality import distances
from benchmark.quality.distances import ratio
from benchmark.quality.flags import explained, flags, labels_kept
from benchmark.seeds import derive

ROWS = 3000  # dev pairs that are compared at most, chosen at random
COMPONENT_ROWS = 4096  # training pairs whose principal components are taken
COMPONENTS = 32
CHUNK = 1024  # pairs classified at a time
SAMPLED = 1000  # pairs of a kind that are kept for a figure


@torch.no_grad()
def pair_quality(
    augmenter: Augmenter,
    backbone: Backbone,
    train: Pairs,
    dev: Pairs,
    *,
    tail: Tensor | None,
    max_labels: int,
    seed: int,
) -> dict[str, Any]:
    """The content of `quality.json` for an augmenter that is fitted and prepared.

    Args:
        backbone: of the stage 1 model, in evaluation mode.
        train, dev: all positive pairs, on the device to compute on.
        tail: [R-1] bool, the relations that are not frequent; None where none are declared.
        max_labels: relations predicted for one pair at most.

    Returns:
        pairs, settings: numbers of pairs; what the measurement depends on.
        diagnosis: `Diagnosed.diagnose` on the dev pairs, and what follows from it.
        groups: group ("all"; "tail": some relation of the pair is not frequent; "frequent") ->
            measure -> kind of pairs -> number, with the kind "reconstructed" (train pairs, encoded
            and decoded) if the augmenter encodes.
        flags: kind -> sentence, for what has collapsed.
        sample: see `figure_sample`.
    """
    draws, generation, diagnosing = (
        torch.Generator().manual_seed(derive(seed, "quality", purpose)) for purpose in range(3)
    )
    # the first generator draws the same pairs and noise for every augmenter
    given = len(dev.labels)
    dev = _some(dev, ROWS, draws)
    asked, source = matched(train.labels, dev.labels, draws)
    noise = diagonal_gaussian(train.representations, len(asked), draws)
    components = _some(train, COMPONENT_ROWS, draws).representations
    basis, share = distances.principal_components(components, COMPONENTS)
    kinds = {"dev": dev.at(asked), "train": train.at(source)}
    made = {
        "noise": Pairs(noise, dev.labels[asked]),
        "generated": Pairs(*augmenter.augment(*kinds["train"], rng=generation)),
    }
    diagnosis: dict[str, Any] = {}
    if isinstance(augmenter, Diagnosed):
        diagnosis = augmenter.diagnose(*dev, rng=diagnosing)
        if (rows := augmenter.reconstruct(kinds["train"].representations)) is not None:
            made["reconstructed"] = Pairs(rows, kinds["train"].labels)
    if len(dev.labels.unique(dim=0)) < 2:  # there is no wrong class to tell
        diagnosis.pop("prior_error_wrong_class", None)
    diagnosis = explained(diagnosis, train.representations, dev.representations)
    for kind, (rows, labels) in made.items():  # clamped, as the training loss sees them
        bounds = backbone.bounds
        kinds[kind] = Pairs(rows if bounds is None else rows.clamp(*bounds), labels)

    found = {k: classified(backbone, p.representations, max_labels) for k, p in kinds.items()}
    bandwidth = distances.median_distance(kinds["dev"].representations)
    groups = {}
    for name in ("all",) if tail is None else ("all", "tail", "frequent"):
        members = {kind: _members(name, pairs.labels, tail) for kind, pairs in kinds.items()}
        groups[name] = _compared(
            {kind: pairs.at(members[kind]) for kind, pairs in kinds.items()},
            {kind: found[kind][members[kind]] for kind in kinds},
            train.representations,
            basis,
            bandwidth,
        )
    diagnosis |= labels_kept(groups)
    settings = {"components": basis.shape[1], "components_share": share, "bandwidth": bandwidth}
    counts = {"train": len(train.labels), "dev": given, "compared": len(asked)}
    return {
        "pairs": counts | {"unseen": len(dev.labels) - len(asked)},
        "settings": settings | {"rows": ROWS},
        "diagnosis": diagnosis,
        "groups": groups,
        "flags": flags(diagnosis, groups, control=augmenter.control),
        "sample": figure_sample(kinds["dev"], kinds["generated"], basis, tail),
    }


def _compared(
    kinds: Mapping[str, Pairs],
    found: Mapping[str, Tensor],
    train: Tensor,
    basis: Tensor,
    bandwidth: float | None,
) -> dict[str, dict[str, Any]]:
    """All numbers of one group of pairs: measure -> kind -> number.

    Args:
        found: of each kind, [N,R-1], the relations recognised in its pairs.
        train: [M,d], all training rows.
        basis: [d,k], the components that Frechet distances are taken on.
    """
    real = kinds["dev"]
    rows, reduced = real.representations, real.representations @ basis
    kernel = distances.mean_kernel(rows, None, bandwidth)
    apart = distances.nearest(rows, train)
    spread, within = distances.spread(rows), distances.within_spread(*real)

    def against_dev(pairs: Pairs) -> dict[str, float | None]:
        made = pairs.representations
        return {
            "mmd": distances.mmd(made, rows, bandwidth, kernel),
            "frechet": distances.frechet(made @ basis, reduced),
            "spread": ratio(distances.spread(made), spread),
            "within_spread": ratio(distances.within_spread(*pairs), within),
            "neighbour": ratio(distances.nearest(made, train), apart),
        }

    measured = {kind: against_dev(pairs) for kind, pairs in kinds.items() if kind != "dev"}
    del measured["train"]["neighbour"]  # always 0
    names = measured["generated"]
    return {
        "pairs": {kind: len(pairs.labels) for kind, pairs in kinds.items()},
        "exact_match": {kind: exact_match(found[kind], p.labels) for kind, p in kinds.items()},
        "micro_f1": {kind: micro_f1(found[kind], p.labels) for kind, p in kinds.items()},
        "between_share": {kind: distances.between_share(*pairs) for kind, pairs in kinds.items()},
        **{n: {kind: of[n] for kind, of in measured.items() if n in of} for n in names},
    }


def figure_sample(
    real: Pairs, generated: Pairs, basis: Tensor, tail: Tensor | None
) -> dict[str, Any]:
    """Some real and generated pairs with a rare relation, for a figure like the paper's Figure 5.

    Args:
        basis: [d,k], the components that are kept of a representation.
        tail: [R-1] bool, the rare relations; None: pairs with any relation are taken.

    Returns:
        {"real", "generated"}: {"rows": k numbers a pair; "labels": the numbers of its relations, 0
        the first of the inventory}, at most SAMPLED pairs each.
    """
    kept = {}
    for name, pairs in (("real", real), ("generated", generated)):
        members = _members("all" if tail is None else "tail", pairs.labels, tail)
        chosen = pairs.at(members.nonzero().squeeze(1)[:SAMPLED])
        rows = (chosen.representations @ basis).cpu().tolist()
        kept[name] = {
            "rows": [[float(f"{number:.5g}") for number in row] for row in rows],
            "labels": [row.nonzero().squeeze(1).tolist() for row in chosen.labels[:, 1:].cpu()],
        }
    return kept


def matched(train: Tensor, dev: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Rows of dev [N,R] whose label set some training pair [M,R] has, and a training row for each.

    Both in random order. Training rows are drawn without replacement as long as a label set has
    enough of them.
    """
    both = torch.cat([train, dev]).cpu().bool()
    ids = torch.unique(both, dim=0, return_inverse=True)[1]
    of_train, of_dev = ids[: len(train)], ids[len(train) :]
    there = torch.bincount(of_train, minlength=int(ids.max()) + 1 if len(ids) else 0)
    asked = there[of_dev].nonzero().squeeze(1)
    asked = asked[torch.randperm(len(asked), generator=rng)]
    shuffled = torch.randperm(len(train), generator=rng)
    # the rows of one label set stand together, in random order
    filed = shuffled[of_train[shuffled].argsort(stable=True)]
    start = there.cumsum(0) - there
    wanted = of_dev[asked]
    order = wanted.argsort(stable=True)
    turn = torch.empty_like(wanted)  # how many requests for this label set came before
    count = torch.bincount(wanted, minlength=len(there))
    turn[order] = torch.arange(len(wanted)) - (count.cumsum(0) - count)[wanted[order]]
    return asked.to(dev.device), filed[start[wanted] + turn % there[wanted]].to(train.device)


def diagonal_gaussian(rows: Tensor, count: int, rng: torch.Generator) -> Tensor:
    """[count,d] noise with the mean and the spread of the rows [N,d] in each dimension."""
    noise = torch.randn(count, rows.shape[1], generator=rng).to(rows)
    return rows.mean(0) + rows.std(0, correction=0) * noise


def _members(group: str, labels: Tensor, tail: Tensor | None) -> Tensor:
    """[N] bool: the pairs of labels [N,R] that belong to the group."""
    if group == "all":
        return torch.ones(len(labels), dtype=torch.bool, device=labels.device)
    rare = (labels[:, 1:].bool() & tail.to(labels.device)).any(1)
    return rare if group == "tail" else ~rare


def _some(pairs: Pairs, most: int, rng: torch.Generator) -> Pairs:
    """At most so many pairs, in their order."""
    if len(pairs.labels) <= most:
        return pairs
    chosen = torch.randperm(len(pairs.labels), generator=rng)[:most].sort().values
    return pairs.at(chosen.to(pairs.labels.device))


def classified(backbone: Backbone, rows: Tensor, max_labels: int) -> Tensor:
    """[N,R-1] bool: the relations that the backbone finds."""
    parts = []
    for part in rows.split(CHUNK):
        logits = backbone.classify(part).float()
        facts, _ = backbone.predict(logits, max_labels=max_labels)
        found = torch.zeros_like(logits, dtype=torch.bool)
        found[facts[:, 0], facts[:, 1]] = True
        parts.append(found[:, 1:])
    return torch.cat(parts)


def exact_match(found: Tensor, labels: Tensor) -> float | None:
    """Share of pairs with exactly the labels [N,R] found [N,R-1]."""
    return float((found == labels[:, 1:].bool()).all(1).double().mean()) if len(labels) else None


def micro_f1(found: Tensor, labels: Tensor) -> float | None:
    """F1 of the relations found [N,R-1] against labels [N,R], pairs and relations pooled."""
    wanted = labels[:, 1:].bool()
    return ratio(2 * int((found & wanted).sum()), int(found.sum() + wanted.sum()))
