"""What a generator's numbers say in words: shares explained, and flags for what has collapsed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from benchmark.quality.distances import ratio

# When a generator is called collapsed. Each is far from what a sound one shows.
LEAST_EXPLAINED = (
    0.05  # share of dev's variance about the training mean that a reconstruction must explain
)
# share of the recognised training pairs that must still be recognised after their reconstruction
LEAST_KEPT = 0.5
LEAST_ACTIVE = 0.05  # share of the latent units that must be active
# by how much the prior must beat a denoiser that knows each dimension's mean and spread alone
LEAST_PRIOR_EXPLAINED = 0.02
LEAST_CLASS_EFFECT = 0.005  # by how much its error must grow when it is told another class
LEAST_RECOGNISED = 0.5  # exact matches, as a share of the real dev pairs'
LEAST_SPREAD, MOST_SPREAD = 0.5, 2.0  # as a multiple of dev's
LEAST_WITHIN = 0.25  # spread within label sets, as a multiple of dev's
LEAST_BETWEEN = 0.25  # share of the variance between label sets, as a multiple of dev's
LEAST_NEIGHBOUR = 0.05  # distance to the nearest training pair, as a multiple of dev's


GROUPS = {
    "all": "",
    "tail": " with a tail relation",
    "frequent": " with frequent relations",
}  # groups of pairs, in words


def explained(diagnosis: dict[str, Any], train: Tensor, dev: Tensor) -> dict[str, Any]:
    """A diagnosis with what follows from its well-known names (see `Augmenter.diagnose`).

    reconstruction_mse_mean: error on dev [N,d] of the mean of train [M,d], as if nothing had been
        encoded. Shares explained: 1 less
    the error over the yardstick's; 1 is perfect, 0 no better than the yardstick. class_effect: by
    which share the prior's error grows when it is told other pairs' classes.
    """
    found = dict(diagnosis)
    if "reconstruction_mse" in found:
        found["reconstruction_mse_mean"] = float((dev - train.mean(0)).square().mean())
        found["reconstruction_explained"] = _gain(
            found["reconstruction_mse"], found["reconstruction_mse_mean"]
        )
    if {"active_units", "latent_units"} <= found.keys():
        found["active_share"] = ratio(found["active_units"], found["latent_units"])
    if {"prior_error", "prior_error_gaussian"} <= found.keys():
        found["prior_explained"] = _gain(found["prior_error"], found["prior_error_gaussian"])
    if {"prior_error", "prior_error_wrong_class"} <= found.keys():
        found["class_effect"] = (
            found["prior_error_wrong_class"] / found["prior_error"] - 1
            if found["prior_error"]
            else None
        )
    return found


def kept(groups: Mapping[str, Mapping[str, Any]]) -> dict[str, float | None]:
    """labels_kept, labels_kept_tail, labels_kept_frequent: exact matches of reconstructed training
    pairs, as a share of those of the pairs themselves; {} where nothing is reconstructed.
    """
    found = {}
    for name, group in groups.items():
        match = group["exact_match"]
        if "reconstructed" in match:
            found[f"labels_kept{_suffix(name)}"] = (
                match["reconstructed"] / match["train"] if match["train"] else None
            )
    return found


def _gain(error: float, yardstick: float) -> float | None:
    return 1 - error / yardstick if yardstick else None


def flags(diagnosis: Mapping[str, Any], groups: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """What has collapsed, in words; the thresholds are the constants of this module."""
    found: dict[str, str] = {}
    below = lambda name, limit: diagnosis.get(name) is not None and diagnosis[name] < limit
    if below("reconstruction_explained", LEAST_EXPLAINED):
        error = 1 - diagnosis["reconstruction_explained"]
        found["reconstruction"] = (
            f"reconstruction no better than the mean: its error is {error:.3g} times the training mean's"
        )
    for name, where in GROUPS.items():
        if below(f"labels_kept{_suffix(name)}", LEAST_KEPT):
            match = groups[name]["exact_match"]
            text = f"{match['reconstructed']:.0%} of training pairs{where} are recognised after it, {match['train']:.0%} before"
            found[f"kept{_suffix(name)}"] = f"reconstruction loses the labels: {text}"
    if below("active_share", LEAST_ACTIVE):
        units = f"{diagnosis['active_units']} of {diagnosis['latent_units']}"
        found["posterior"] = f"posterior collapsed: {units} latent units are active"
    if below("prior_explained", LEAST_PRIOR_EXPLAINED):
        found["prior"] = (
            f"prior no better than a Gaussian: its error is {1 - diagnosis['prior_explained']:.3g} times that one's"
        )
    if below("class_effect", LEAST_CLASS_EFFECT):
        found["class"] = (
            f"prior ignores the class: told a wrong one, its error changes by {diagnosis['class_effect']:+.1%}"
        )
    everything = groups["all"]
    if everything["pairs"]["dev"] == 0:
        return found | {
            "nothing_asked": "not comparable: no dev pair has a label set that occurs in training"
        }
    if everything["pairs"]["generated"] == 0:
        return found | {"nothing_generated": "nothing is generated for the label sets of dev"}
    for name, where in GROUPS.items():
        found |= (
            _recognition_flag(name, f" of pairs{where}" if where else "", groups[name])
            if name in groups
            else {}
        )
    made = {
        measure: everything[measure]["generated"]
        for measure in ("spread", "within_spread", "neighbour")
    }
    if made["spread"] is not None and made["spread"] < LEAST_SPREAD:
        found["narrow"] = (
            f"generated pairs are all alike: their spread is {made['spread']:.2f} times the real pairs'"
        )
    if made["spread"] is not None and made["spread"] > MOST_SPREAD:
        found["wide"] = (
            f"generated pairs are scattered: their spread is {made['spread']:.2f} times the real pairs'"
        )
    if made["within_spread"] is not None and made["within_spread"] < LEAST_WITHIN:
        text = f"{made['within_spread']:.2f} times the real pairs'"
        found["within"] = f"generated pairs of one label set are alike: their spread is {text}"
    if made["neighbour"] is not None and made["neighbour"] < LEAST_NEIGHBOUR:
        text = f"{made['neighbour']:.2f} times that of unseen real pairs"
        found["copies"] = (
            f"generated pairs repeat training pairs: the distance to the nearest one is {text}"
        )
    share = everything["between_share"]
    if (
        None not in (share["dev"], share["generated"])
        and share["generated"] < LEAST_BETWEEN * share["dev"]
    ):
        text = f"{max(share['generated'], 0):.1%} of their variance lies between label sets (real pairs: {share['dev']:.1%})"
        found["labels"] = f"generated pairs of different label sets are alike: {text}"
    for measure, name in (("mmd", "MMD"), ("frechet", "Frechet distance")):
        values = everything[measure]
        if (
            None not in (values["generated"], values["noise"])
            and values["generated"] >= values["noise"]
        ):
            found[measure] = (
                f"no nearer to real pairs than noise is: {name} {values['generated']:.3g}, noise {values['noise']:.3g}"
            )
    return found


def _recognition_flag(name: str, where: str, group: Mapping[str, Any]) -> dict[str, str]:
    made, real = group["exact_match"]["generated"], group["exact_match"]["dev"]
    if made is None or real is None or made >= LEAST_RECOGNISED * real:
        return {}
    text = f"the classifier recognises {made:.0%} of the label sets asked for{where} (real pairs: {real:.0%})"
    return {f"recognition{_suffix(name)}": text}


def _suffix(group: str) -> str:
    return "" if group == "all" else f"_{group}"
