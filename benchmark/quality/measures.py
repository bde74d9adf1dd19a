"""How good generated pairs are: pure functions on representations in the space of the stage 1
model.

Four kinds of pairs are compared. They have the same label sets in the same numbers, those of the
*dev* pairs, so that no difference comes from the relations asked for:

* dev: real pairs that neither the stage 1 model nor the augmenter was trained on;
* train: real training pairs, drawn with dev's label sets: what a perfect generator that knows the
  training split alone would give;
* generated: what the augmenter makes of those training pairs, as in stage 3. It is never shown a
  dev pair;
* noise: a Gaussian with the training pairs' mean and spread in each dimension that ignores the
  labels: the floor.

Dev pairs with a label set that no training pair has are left out: stage 3 never asks for one. At
most ROWS pairs are compared.

Measured (benchmark/quality/distances.py has the formulae):

* recognition: does the frozen stage 1 classifier find exactly the labels asked for (`exact_match`),
  and which share (`micro_f1`)?
* labels kept: exact matches of the train pairs encoded and decoded again, as a share of those of
  the pairs themselves. A VAE may explain nearly all of the variance and lose the few directions
  that tell rare relations apart;
* distance to dev: unbiased squared MMD with an RBF kernel exp(-|x - y|^2 / (2 s^2)), s the median
  distance between dev pairs; Frechet distance on the first COMPONENTS principal components of the
  training pairs, since a covariance of the full width is singular for so few pairs (it is biased
  upwards by few pairs, but for all kinds alike).
* spread against dev's: of all pairs; within a label set (a generator that knows one point per label
  set shows here); the share of the variance that lies between label sets (one that ignores the
  labels shows here).
* neighbours: median distance to the nearest training pair, against that of dev pairs (0: training
  pairs are given back).

Everything is deterministic under the run's seed and draws from generators of its own. Numbers that
are not defined are None. Suffixes: N pairs, d width, R classes incl. the threshold class 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from augmenters.base import Augmenter
from backbones.base import Backbone, Pairs
from benchmark.quality.distances import (
    between_share,
    frechet,
    mean_kernel,
    median_distance,
    mmd,
    nearest,
    principal_components,
    ratio,
    spread,
    within_spread,
)
from benchmark.quality.flags import explained, flags, kept
from benchmark.seeds import derive

ROWS = 3000  # dev pairs that are compared at most, chosen at random
COMPONENT_ROWS = 4096  # training pairs whose principal components are taken
COMPONENTS = 32
CHUNK = 1024  # pairs classified at a time
SAMPLED = 1000  # pairs of a kind that are kept for a figure


@torch.no_grad()
def measure(
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
        backbone: of the stage 1 model, in evaluation mode; it classifies, and its bounds are kept
            as in training.
        train, dev: all positive pairs, on the device to compute on.
        tail: [R-1] bool, the relations that are not frequent; None where the dataset knows no such
            thing.
        max_labels: relations predicted for one pair at most.
        seed: of the run.

    Returns:
        pairs: numbers of pairs; settings: what the measurement depends on; diagnosis:
            `Augmenter.diagnose` on the dev pairs, and
        what follows from it; groups: {"all", "tail" (some relation of the pair is no frequent one),
        "frequent": {measure: {kind of
        pairs: number}}}, with the kind "reconstructed" (the train pairs, encoded and decoded) if
            the augmenter encodes; flags:
        {kind: sentence} for what has collapsed; sample: see `sample`.
    """
    draws = torch.Generator().manual_seed(
        derive(seed, "quality", 0)
    )  # the same pairs and noise for every augmenter
    given = len(dev.labels)
    dev = _some(dev, ROWS, draws)
    asked, source = matched(train.labels, dev.labels, draws)
    noise = diagonal_gaussian(train.representations, len(asked), draws)
    kinds = {
        "dev": _rows(dev, asked),
        "train": _rows(train, source),
        "noise": Pairs(noise, dev.labels[asked]),
    }
    basis, share = principal_components(
        _some(train, COMPONENT_ROWS, draws).representations, COMPONENTS
    )

    rng = torch.Generator().manual_seed(derive(seed, "quality", 1))
    kinds["generated"] = Pairs(*augmenter.augment(*kinds["train"], rng=rng))
    if (rows := augmenter.reconstruct(kinds["train"].representations)) is not None:
        kinds["reconstructed"] = Pairs(rows, kinds["train"].labels)
    made = kinds.keys() - {"dev", "train"}
    for kind in made if backbone.bounds is not None else ():  # as the training loss sees them
        kinds[kind] = Pairs(kinds[kind].representations.clamp(*backbone.bounds), kinds[kind].labels)
    rng = torch.Generator().manual_seed(derive(seed, "quality", 2))
    diagnosis = explained(
        dict(augmenter.diagnose(*dev, rng=rng)), train.representations, dev.representations
    )

    found = {
        kind: classified(backbone, pairs.representations, max_labels)
        for kind, pairs in kinds.items()
    }
    bandwidth = median_distance(kinds["dev"].representations)
    groups = {}
    for name, belongs in _groups(tail).items():
        members = {kind: belongs(pairs.labels) for kind, pairs in kinds.items()}
        of_group = {
            kind: (_rows(pairs, members[kind]), found[kind][members[kind]])
            for kind, pairs in kinds.items()
        }
        groups[name] = compare(of_group, train.representations, basis, bandwidth)
    diagnosis |= kept(groups)
    return {
        "pairs": {
            "train": len(train.labels),
            "dev": given,
            "compared": len(asked),
            "unseen": len(dev.labels) - len(asked),
        },
        "settings": {
            "components": basis.shape[1],
            "components_share": share,
            "bandwidth": bandwidth,
            "rows": ROWS,
        },
        "diagnosis": diagnosis,
        "groups": groups,
        "flags": flags(diagnosis, groups),
        "sample": sample(kinds["dev"], kinds["generated"], basis, tail),
    }


def compare(
    group: Mapping[str, tuple[Pairs, Tensor]], train: Tensor, basis: Tensor, bandwidth: float | None
) -> dict[str, dict[str, Any]]:
    """All numbers of one group of pairs.

    Args:
        group: dev, train, noise and generated pairs, each with the relations [N,R-1] found for
            them.
        train: [M,d], all training rows.
        basis: [d,k], the components that Frechet distances are taken on.
        bandwidth: of the kernel.
    """
    kinds, found = ({kind: both[i] for kind, both in group.items()} for i in (0, 1))
    real, others = kinds["dev"], {kind: pairs for kind, pairs in kinds.items() if kind != "dev"}
    real_kernel = mean_kernel(real.representations, None, bandwidth)
    real_neighbour = nearest(real.representations, train)
    return {
        "pairs": {kind: len(pairs.labels) for kind, pairs in kinds.items()},
        "exact_match": {
            kind: exact_match(found[kind], pairs.labels) for kind, pairs in kinds.items()
        },
        "micro_f1": {kind: micro_f1(found[kind], pairs.labels) for kind, pairs in kinds.items()},
        "mmd": {
            k: mmd(p.representations, real.representations, bandwidth, real_kernel)
            for k, p in others.items()
        },
        "frechet": {
            k: frechet(p.representations @ basis, real.representations @ basis)
            for k, p in others.items()
        },
        "spread": {
            k: ratio(spread(p.representations), spread(real.representations))
            for k, p in others.items()
        },
        "within_spread": {
            k: ratio(within_spread(*p), within_spread(*real)) for k, p in others.items()
        },
        "between_share": {kind: between_share(*pairs) for kind, pairs in kinds.items()},
        "neighbour": {
            k: ratio(nearest(p.representations, train), real_neighbour)
            for k, p in others.items()
            if k != "train"
        },
    }


def sample(real: Pairs, generated: Pairs, basis: Tensor, tail: Tensor | None) -> dict[str, Any]:
    """Some real and generated pairs with a rare relation, for a figure like the paper's Figure 5
    (benchmark/reports/plots.py).

    Args:
        real, generated: in random order, [N,d] and [N,R].
        basis: [d,k], the components that are kept of a representation.
        tail: [R-1] bool, the rare relations; None: pairs with any relation are taken.

    Returns:
        {"real", "generated": {"rows": k numbers a pair, to five digits; "labels": its relations'
        numbers, 0 the first of the inventory}}, at most SAMPLED pairs each.
    """
    belongs = _groups(tail)["all" if tail is None else "tail"]
    found = {}
    for name, pairs in (("real", real), ("generated", generated)):
        chosen = _rows(pairs, belongs(pairs.labels).nonzero().squeeze(1)[:SAMPLED])
        rows = (chosen.representations @ basis).cpu().tolist()
        labels = [line.nonzero().squeeze(1).tolist() for line in chosen.labels[:, 1:].cpu()]
        found[name] = {
            "rows": [[float(f"{number:.5g}") for number in row] for row in rows],
            "labels": labels,
        }
    return found


# Which pairs.


def matched(train: Tensor, dev: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Rows of dev [N,R] whose label set some training pair [M,R] has, and for each a training row
    of that label set.

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
    filed = shuffled[
        of_train[shuffled].argsort(stable=True)
    ]  # the rows of one label set stand together, in random order
    start = there.cumsum(0) - there
    wanted = of_dev[asked]
    order = wanted.argsort(stable=True)
    turn = torch.empty_like(wanted)  # the how-manieth request for its label set this is
    count = torch.bincount(wanted, minlength=len(there))
    turn[order] = torch.arange(len(wanted)) - (count.cumsum(0) - count)[wanted[order]]
    return asked.to(dev.device), filed[start[wanted] + turn % there[wanted]].to(train.device)


def diagonal_gaussian(rows: Tensor, count: int, rng: torch.Generator) -> Tensor:
    """[count,d] noise with the mean and the spread of the rows [N,d] in each dimension."""
    noise = torch.randn(count, rows.shape[1], generator=rng).to(rows)
    return rows.mean(0) + rows.std(0, correction=0) * noise


def _groups(tail: Tensor | None) -> dict[str, Callable[[Tensor], Tensor]]:
    """Which pairs [N] belong to each group, given their labels [N,R]."""
    everything = {
        "all": lambda labels: torch.ones(len(labels), dtype=torch.bool, device=labels.device)
    }
    if tail is None:
        return everything
    rare = lambda labels: (labels[:, 1:].bool() & tail.to(labels.device)).any(1)
    return everything | {"tail": rare, "frequent": lambda labels: ~rare(labels)}


def _some(pairs: Pairs, most: int, rng: torch.Generator) -> Pairs:
    """At most so many pairs, in their order."""
    if len(pairs.labels) <= most:
        return pairs
    return _rows(
        pairs,
        torch.randperm(len(pairs.labels), generator=rng)[:most]
        .sort()
        .values.to(pairs.labels.device),
    )


def _rows(pairs: Pairs, chosen: Tensor) -> Pairs:
    return Pairs(*(part[chosen] for part in pairs))


# Recognition.


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
    """F1 of the relations found [N,R-1] against the labels [N,R], over all pairs and relations
    together.
    """
    if not len(labels):
        return None
    wanted = labels[:, 1:].bool()
    return (
        2 * int((found & wanted).sum()) / int(found.sum() + wanted.sum())
    )  # every pair has a label
