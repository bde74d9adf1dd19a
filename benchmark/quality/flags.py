"""A generator's numbers in words: shares explained, and flags for what has collapsed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from benchmark.quality.distances import ratio

# When a generator is called collapsed. Each limit is far from what a sound generator shows.
LEAST_EXPLAINED = 0.05  # share of dev's variance that a reconstruction must explain
LEAST_KEPT = 0.5  # share of the recognised training pairs that its reconstruction must keep
LEAST_ACTIVE = 0.05  # share of the latent units that must be active
LEAST_PRIOR_EXPLAINED = 0.02  # how far the prior must beat independent Gaussians
LEAST_CLASS_EFFECT = 0.005  # how much the prior's error must grow when told another class
LEAST_RECOGNISED = 0.5  # exact matches, as a share of the real dev pairs'
# Share of the real dev pairs that the classifier must recognise to judge generated ones: 5 % of a
# few hundred are about ten, and half as many of the generated ones would still be within chance.
LEAST_JUDGE = 0.05
LEAST_SPREAD, MOST_SPREAD = 0.5, 2.0  # as a multiple of dev's
LEAST_WITHIN = 0.25  # spread within label sets, as a multiple of dev's
LEAST_BETWEEN = 0.25  # share of the variance between label sets, as a multiple of dev's
LEAST_NEIGHBOUR = 0.05  # distance to the nearest training pair, as a multiple of dev's

# Kinds of flag that a control does not get: it repeats training pairs, and some label sets more
# often than dev has them.
NOT_OF_CONTROLS = ("copies", "mmd", "frechet")
GROUPS = {"all": "", "tail": " with a tail relation", "frequent": " with frequent relations"}
"""Groups of pairs, in words."""


def explained(diagnosis: Mapping[str, Any], train: Tensor, dev: Tensor) -> dict[str, Any]:
    """A diagnosis with what follows from its well-known names (see `Augmenter.diagnose`).

    reconstruction_mse_mean: error on dev [N,d] of the mean of train [M,d], which encodes nothing.
    reconstruction_explained, prior_explained: 1 less the error over the yardstick's; 1 is perfect,
        0 no better than the yardstick.
    class_effect: share by which the prior's error grows when it is told other pairs' classes.
    """
    found = dict(diagnosis)
    if "reconstruction_mse" in found:
        found["reconstruction_mse_mean"] = float((dev - train.mean(0)).square().mean())
    for name, value, unit in (
        ("reconstruction_explained", "reconstruction_mse", "reconstruction_mse_mean"),
        ("prior_explained", "prior_error", "prior_error_gaussian"),
    ):
        if {value, unit} <= found.keys():
            share = ratio(found[value], found[unit])
            found[name] = None if share is None else 1 - share
    if {"active_units", "latent_units"} <= found.keys():
        found["active_share"] = ratio(found["active_units"], found["latent_units"])
    if {"prior_error", "prior_error_wrong_class"} <= found.keys():
        grown = ratio(found["prior_error_wrong_class"], found["prior_error"])
        found["class_effect"] = None if grown is None else grown - 1
    return found


def labels_kept(groups: Mapping[str, Mapping[str, Any]]) -> dict[str, float | None]:
    """labels_kept, labels_kept_tail, labels_kept_frequent: exact matches of reconstructed training
    pairs, as a share of those of the pairs themselves; {} where nothing is reconstructed.
    """
    matches = {name: group["exact_match"] for name, group in groups.items()}
    return {
        f"labels_kept{_suffix(name)}": ratio(match["reconstructed"], match["train"])
        for name, match in matches.items()
        if "reconstructed" in match
    }


def flags(
    diagnosis: Mapping[str, Any], groups: Mapping[str, Mapping[str, Any]], *, control: bool = False
) -> dict[str, str]:
    """What has collapsed: kind -> a sentence. The limits are this module's constants.

    control: the augmenter is one, which gets no flag of NOT_OF_CONTROLS.
    """
    found, pairs = dict(_of_diagnosis(diagnosis, groups)), groups["all"]["pairs"]
    if pairs["dev"] == 0:
        text = "not comparable: no dev pair has a label set that occurs in training"
        return found | {"nothing_asked": text}
    if pairs["generated"] == 0:
        return found | {"nothing_generated": "nothing is generated for the label sets of dev"}
    found |= dict(_of_generated(groups))
    return {kind: told for kind, told in found.items() if not (control and kind in NOT_OF_CONTROLS)}


def _of_diagnosis(
    diagnosis: Mapping[str, Any], groups: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, str]]:
    def below(name: str, limit: float) -> bool:
        return diagnosis.get(name) is not None and diagnosis[name] < limit

    if below("reconstruction_explained", LEAST_EXPLAINED):
        error = f"{1 - diagnosis['reconstruction_explained']:.3g} times the training mean's"
        yield "reconstruction", f"reconstruction no better than the mean: its error is {error}"
    for name in _distinct(groups):
        if below(f"labels_kept{_suffix(name)}", LEAST_KEPT):
            match = groups[name]["exact_match"]
            share = f"{match['reconstructed']:.0%} of training pairs{GROUPS[name]} are recognised"
            text = f"reconstruction loses the labels: {share} after it, {match['train']:.0%} before"
            yield f"kept{_suffix(name)}", text
    if below("active_share", LEAST_ACTIVE):
        units = f"{diagnosis['active_units']} of {diagnosis['latent_units']}"
        yield "posterior", f"posterior collapsed: {units} latent units are active"
    if below("prior_explained", LEAST_PRIOR_EXPLAINED):
        error = f"{1 - diagnosis['prior_explained']:.3g} times the Gaussian's"
        yield "prior", f"prior no better than a Gaussian: its error is {error}"
    if below("class_effect", LEAST_CLASS_EFFECT):
        change = f"{diagnosis['class_effect']:+.1%}"
        yield "class", f"prior ignores the class: with a wrong one, its error changes by {change}"


def _of_generated(groups: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for name in _distinct(groups):
        match, where = groups[name]["exact_match"], GROUPS[name]
        made, real = match["generated"], match["dev"]
        if None in (made, real):
            continue
        weak = made < LEAST_RECOGNISED * real
        if real < LEAST_JUDGE and (weak or name == "all"):
            text = f"the stage 1 classifier recognises only {real:.0%} of dev's real pairs{where}"
            yield f"judge{_suffix(name)}", f"{text}, so it cannot judge generated ones"
            if name == "all":
                break
        elif weak:
            asked = f"of the label sets{where} that were asked for"
            text = f"the classifier recognises {made:.0%} {asked} (of dev's real pairs: {real:.0%})"
            yield f"recognition{_suffix(name)}", text
    group = groups["all"]
    spread, within, neighbour = (
        group[measure]["generated"] for measure in ("spread", "within_spread", "neighbour")
    )
    times = "times the real pairs'"
    if spread is not None and not LEAST_SPREAD <= spread <= MOST_SPREAD:
        flag, what = ("narrow", "all alike") if spread < 1 else ("wide", "scattered")
        yield flag, f"generated pairs are {what}: their spread is {spread:.2f} {times}"
    if within is not None and within < LEAST_WITHIN:
        text = f"generated pairs of one label set are alike: their spread is {within:.2f} {times}"
        yield "within", text
    if neighbour is not None and neighbour < LEAST_NEIGHBOUR:
        text = f"the distance to the nearest one is {neighbour:.2f} times that of unseen real pairs"
        yield "copies", f"generated pairs repeat training pairs: {text}"
    made, real = group["between_share"]["generated"], group["between_share"]["dev"]
    if None not in (made, real) and made < LEAST_BETWEEN * real and real > 0:
        share = f"{max(made, 0):.1%} of their variance lies between label sets"
        text = f"generated pairs of different label sets are alike: {share}"
        yield "labels", f"{text} (real pairs: {real:.1%})"
    for measure, name in (("mmd", "MMD"), ("frechet", "Frechet distance")):
        made, noise = group[measure]["generated"], group[measure]["noise"]
        if None not in (made, noise) and made >= noise:
            text = f"generated pairs are no nearer to real ones than noise: {name} {made:.3g}, "
            text += f"noise {noise:.3g}"
            yield measure, text


def _distinct(groups: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The groups, but not those that repeat "all": everything would be said twice."""
    everything = groups["all"]["pairs"]
    return [name for name in groups if name == "all" or groups[name]["pairs"] != everything]


def _suffix(group: str) -> str:
    return "" if group == "all" else f"_{group}"
