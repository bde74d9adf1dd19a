"""The measurement of generated pairs on made-up generators: sound ones pass, each kind of collapse
is named.
"""

import itertools

import pytest
import torch

from augmenters.base import Augmenter
from augmenters.copies import Copies, RareCopies
from augmenters.diagnosis import Diagnosed
from augmenters.gaussian import GaussianNoise
from backbones.base import Backbone
from benchmark.data.pairs import Pairs
from benchmark.quality import pairs as quality
from benchmark.quality.flags import NOT_OF_CONTROLS, explained, flags
from benchmark.quality.pairs import exact_match, matched, micro_f1, pair_quality
from benchmark.reports import quality as tables

WIDTH, RELATIONS = 12, 5
CENTRES = 3 * torch.randn(RELATIONS + 1, WIDTH, generator=torch.Generator().manual_seed(9))
SETS = [(1,), (2,), (3,), (4,), (5,), (1, 4)]
TAIL = torch.tensor([False, False, False, True, True])


def rng(seed):
    return torch.Generator().manual_seed(seed)


def pairs(count, seed):
    """Real pairs of SETS: the sum of their relations' centres and noise."""
    labels = torch.zeros(count, RELATIONS + 1)
    for row, classes in zip(labels, itertools.cycle(SETS)):
        row[list(classes)] = 1
    labels = labels[torch.randperm(count, generator=rng(seed))]
    return Pairs(labels @ CENTRES + torch.randn(count, WIDTH, generator=rng(seed + 1)), labels)


class Nearest(Backbone):
    """Finds the label set whose centre is nearest."""

    bounds = None

    def classify(self, representations):
        sets = torch.zeros(len(SETS), RELATIONS + 1)
        for row, classes in zip(sets, SETS, strict=True):
            row[list(classes)] = 1
        found = sets[torch.cdist(representations, sets @ CENTRES).argmin(1)]
        return torch.cat([torch.full_like(found[:, :1], 0.5), found[:, 1:]], 1)


TRAIN, DEV = pairs(900, 1), pairs(300, 3)


def measured(augmenter, train=TRAIN, dev=DEV, tail=TAIL, seed=0):
    return pair_quality(augmenter, Nearest(), train, dev, tail=tail, max_labels=4, seed=seed)


def noise(rows, scale, rng):
    return scale * torch.randn(rows.shape, generator=rng)


class Resamples(Diagnosed):
    """A perfect generator: fresh pairs of the very distribution."""

    def _augment(self, representations, labels, *, rng):
        return labels @ CENTRES + noise(representations, 1, rng), labels.clone()


class Makes(Augmenter):
    """What a function makes of the rows, the labels and the generator."""

    def __init__(self, make):
        self.make = make

    def _augment(self, representations, labels, *, rng):
        return self.make(representations, labels, rng), labels.clone()


def real_looking_of_any_label_set(rows, labels, rng):
    drawn = torch.randint(len(TRAIN.labels), (len(labels),), generator=rng)
    return TRAIN.representations[drawn] + noise(rows, 0.5, rng)


ONE_POINT = Makes(lambda rows, *_: TRAIN.representations.mean(0).expand_as(rows).clone())
ONE_POINT_PER_SET = Makes(lambda rows, labels, rng: labels @ CENTRES + noise(rows, 1e-3, rng))
IGNORES_LABELS = Makes(real_looking_of_any_label_set)
REPEATS = Makes(lambda rows, *_: rows.clone())
SCATTERED = Makes(lambda rows, labels, rng: rows + noise(rows, 20, rng))


@pytest.fixture(scope="module")
def sound():
    """What is measured of a perfect generator."""
    return measured(Resamples())


def test_a_perfect_generator_is_as_good_as_real_pairs(sound):
    found = sound
    assert found["flags"] == {}
    for name, group in found["groups"].items():
        exact = group["exact_match"]
        assert exact["generated"] == pytest.approx(exact["dev"], abs=0.03), name
        assert exact["dev"] > 0.95 > exact["noise"] + 0.5, name
        assert abs(group["mmd"]["generated"]) < 0.5 * group["mmd"]["noise"], name
        assert group["frechet"]["generated"] < 0.2 * group["frechet"]["noise"], name
        for measure in ("spread", "within_spread", "neighbour"):
            assert group[measure]["generated"] == pytest.approx(1, abs=0.1), (name, measure)
    between = found["groups"]["all"]["between_share"]
    assert between["generated"] == pytest.approx(between["dev"], abs=0.03)
    assert abs(between["noise"]) < 0.05


@pytest.mark.parametrize(
    ("augmenter", "kinds"),
    [
        (ONE_POINT, {"recognition", "narrow", "within", "labels", "mmd"}),
        (ONE_POINT_PER_SET, {"within"}),
        (IGNORES_LABELS, {"recognition", "recognition_tail", "recognition_frequent", "labels"}),
        (SCATTERED, {"wide", "labels", "mmd", "frechet", "recognition"}),
        (REPEATS, {"copies"}),
    ],
    ids=["one point", "one point per set", "ignores labels", "scattered", "copies"],
)
def test_each_collapse_is_flagged(augmenter, kinds):
    found = measured(augmenter)["flags"]
    assert kinds <= found.keys(), found
    if kinds in ({"within"}, {"copies"}):
        assert found.keys() == kinds


def test_tables_leave_out_the_flags_that_a_control_does_not_get():
    assert tables.NOT_OF_CONTROLS == NOT_OF_CONTROLS


@pytest.mark.parametrize("control", [Copies(), RareCopies(rarity=50)])
def test_a_control_may_repeat_training_pairs_and_some_more_often(control):
    control.prepare(TRAIN.labels, rng=torch.Generator(), progress=lambda *_: None)
    assert measured(control)["flags"] == {}


def test_a_classifier_that_hardly_recognises_real_pairs_cannot_judge(sound):
    def recognised(real, made, name="all"):
        groups = {
            k: {**group, "exact_match": {**match}}
            for k, group in sound["groups"].items()
            for match in [group["exact_match"]]
        }
        groups[name]["exact_match"] |= {"dev": real, "generated": made}
        return flags({}, groups)

    (text,) = recognised(0.005, 0.0).values()
    assert text.startswith("the stage 1 classifier recognises only 0% of dev's real pairs, so it")
    assert recognised(0.0, 0.0).keys() == {"judge"} and recognised(0.06, 0.06) == {}
    assert recognised(0.06, 0.0).keys() == {"recognition"}
    assert recognised(0.04, 0.0, "tail").keys() == {"judge_tail"}
    assert recognised(0.04, 0.04, "tail") == {}


def test_pairs_whose_label_sets_mean_nothing_tell_nothing_of_generated_ones(sound):
    everything = sound["groups"]["all"]
    for real, flagged in ((0.5, True), (-0.01, False)):
        share = everything["between_share"] | {"dev": real, "generated": -0.05}
        found = flags({}, {"all": {**everything, "between_share": share}})
        assert ("labels" in found) == flagged


def test_noise_that_is_small_keeps_the_labels_and_is_no_copy():
    found = measured(GaussianNoise(scale=0.1))
    assert found["flags"] == {}
    assert 0.05 < found["groups"]["all"]["neighbour"]["generated"] < 0.9


def test_an_augmenter_that_generates_nothing():
    class Nothing(Augmenter):
        def _augment(self, representations, labels, *, rng):
            return representations[:0], labels[:0]

    found = measured(Nothing())
    match = found["groups"]["all"]["exact_match"]
    assert list(found["flags"]) == ["nothing_generated"]
    assert match["generated"] is None and match["dev"] > 0.9


def test_groups_are_those_of_the_pairs_relations(sound):
    tail = int((DEV.labels[:, 4:] > 0).any(1).sum())
    counts = {name: group["pairs"]["dev"] for name, group in sound["groups"].items()}
    assert counts == {"all": 300, "tail": tail, "frequent": 300 - tail}
    assert list(measured(Resamples(), tail=None)["groups"]) == ["all"]


def test_label_sets_that_training_lacks_are_left_out():
    train = TRAIN.at(TRAIN.labels[:, 5] == 0)
    unseen = int((DEV.labels[:, 5] > 0).sum())
    counts = {"train": len(train.labels), "dev": 300, "compared": 300 - unseen, "unseen": unseen}
    assert measured(Resamples(), train=train)["pairs"] == counts
    only_1, without_1 = TRAIN.labels[:, 1] > 0, DEV.labels[:, 1] == 0
    nothing = measured(Resamples(), train=TRAIN.at(only_1), dev=DEV.at(without_1))
    assert nothing["pairs"]["compared"] == 0 and list(nothing["flags"]) == ["nothing_asked"]


def test_the_same_seed_gives_the_same_numbers_and_moves_no_generator(sound):
    before = torch.random.get_rng_state()
    assert sound == measured(Resamples())
    assert sound["groups"] != measured(Resamples(), seed=1)["groups"]
    assert torch.equal(before, torch.random.get_rng_state())
    # yardsticks do not depend on the augmenter
    other = measured(IGNORES_LABELS)["groups"]["all"]
    for name in ("exact_match", "mmd", "frechet", "spread", "within_spread", "between_share"):
        for kind in ("train", "noise"):
            assert sound["groups"]["all"][name][kind] == other[name][kind]


def test_generated_pairs_are_clamped_as_in_training(monkeypatch):
    monkeypatch.setattr(Nearest, "bounds", (-0.5, 0.5))
    assert measured(SCATTERED)["groups"]["all"]["spread"]["generated"] < 0.5


def test_a_large_dev_split_is_sampled(monkeypatch):
    monkeypatch.setattr(quality, "ROWS", 100)
    monkeypatch.setattr(quality, "COMPONENT_ROWS", 50)
    found = measured(Resamples())
    assert (found["pairs"]["dev"], found["pairs"]["compared"], found["flags"]) == (300, 100, {})


def test_matched_rows_have_the_same_label_sets():
    train, dev = (pairs(n, seed).labels for n, seed in ((40, 5), (25, 6)))
    asked, source = matched(train[train[:, 3] == 0], dev, rng(0))
    assert torch.equal(train[train[:, 3] == 0][source], dev[asked])
    assert sorted(asked.tolist()) == (dev[:, 3] == 0).nonzero().squeeze(1).tolist()
    assert len(source.unique()) == len(source)  # enough of each: none is drawn twice


def test_matched_rows_repeat_only_when_they_must():
    train, dev = torch.eye(4)[[1, 1, 2]], torch.eye(4)[[1, 1, 1, 1, 2, 3]]
    asked, source = matched(train, dev, rng(0))
    assert sorted(asked.tolist()) == [0, 1, 2, 3, 4]
    assert sorted(source.tolist()) == [0, 0, 1, 1, 2]
    assert [len(part) for part in matched(train, dev[5:], rng(0))] == [0, 0]


def test_recognition_by_hand():
    labels = torch.tensor([[0.0, 1, 0, 1], [0, 0, 1, 0]])
    found = torch.tensor([[True, False, False], [False, True, False]])
    assert exact_match(found, labels) == 0.5
    assert micro_f1(found, labels) == pytest.approx(2 * 2 / (2 + 3))
    assert exact_match(found[:0], labels[:0]) is None and micro_f1(found[:0], labels[:0]) is None


def test_explained_share_of_a_perfect_and_of_a_mean_reconstruction():
    # about the training mean 1: errors 1 and 9
    train, dev = torch.tensor([[0.0], [2.0]]), torch.tensor([[0.0], [4.0]])
    for error, share in ((0.0, 1.0), (5.0, 0.0), (10.0, -1.0)):
        found = explained({"reconstruction_mse": error}, train, dev)
        assert found["reconstruction_explained"] == share


def test_what_follows_from_a_diagnosis():
    given = {"active_units": 2, "latent_units": 8, "mine": 7}
    given |= {"prior_error": 0.2, "prior_error_gaussian": 0.5, "prior_error_wrong_class": 0.3}
    found = explained(given, torch.zeros(2, 1), torch.zeros(2, 1))
    assert found["active_share"] == 0.25 and found["prior_explained"] == pytest.approx(0.6)
    assert found["class_effect"] == pytest.approx(0.5) and found["mine"] == 7
    assert explained({}, torch.zeros(2, 1), torch.zeros(2, 1)) == {}


SHARES = ("reconstruction_explained", "active_share", "prior_explained", "class_effect")


def test_a_collapsed_fit_is_flagged(sound):
    groups = sound["groups"]
    assert flags(dict(zip(SHARES, (0.6, 0.5, 0.4, 0.1), strict=True)), groups) == {}
    collapsed = dict(zip(SHARES, (0.01, 2 / 384, 0.0, 0.0), strict=True))
    found = flags(collapsed | {"active_units": 2, "latent_units": 384}, groups)
    assert found["posterior"] == "posterior collapsed: 2 of 384 latent units are active"
    assert "no better than the mean: its error is 0.99 times" in found["reconstruction"]
    assert found.keys() == {"reconstruction", "posterior", "prior", "class"}


def test_nothing_is_said_twice_where_all_relations_are_frequent():
    groups = measured(IGNORES_LABELS)["groups"]
    found = flags({}, {**groups, "frequent": groups["all"]})
    assert "recognition" in found and "recognition_frequent" not in found


def test_with_one_label_set_no_wrong_class_can_be_told():
    class Prior(Resamples):
        def _diagnose(self, representations, labels, *, rng):
            return {"prior_error": 1.0, "prior_error_wrong_class": 1.0}

    one = Pairs(DEV.representations, DEV.labels[:1].expand_as(DEV.labels).contiguous())
    found = measured(Prior(), train=one, dev=one)
    assert "class_effect" not in found["diagnosis"] and "class" not in found["flags"]
    assert "class" in measured(Prior())["flags"]


def test_an_augmenter_joins_in_with_a_diagnosis_of_its_own():
    class Talkative(Resamples):
        def _diagnose(self, representations, labels, *, rng):
            return {"reconstruction_mse": float(representations.var()) * 2, "temperature": 3}

    found = measured(Talkative())
    assert found["diagnosis"]["temperature"] == 3
    assert found["diagnosis"]["reconstruction_explained"] < 0
    assert "reconstruction" in found["flags"]


class Encodes(Resamples):
    """Gives rows back with the directions from `lost` on put to zero."""

    def __init__(self, *, lost: int = WIDTH):
        self.lost = lost

    def reconstruct(self, representations):
        return torch.where(torch.arange(WIDTH) < self.lost, representations, 0)


def test_a_faithful_reconstruction_keeps_all_labels(sound):
    found = measured(Encodes())
    kept, match = found["diagnosis"], found["groups"]["all"]["exact_match"]
    assert kept["labels_kept"] == kept["labels_kept_tail"] == 1 and not found["flags"]
    assert match["reconstructed"] == match["train"]
    assert "labels_kept" not in sound["diagnosis"]  # nothing is encoded
    assert "reconstructed" not in sound["groups"]["all"]["exact_match"]


def test_a_reconstruction_that_loses_the_labels_is_named_though_what_is_generated_is_sound():
    found = measured(Encodes(lost=1))
    match, told = found["groups"]["tail"]["exact_match"], found["flags"]
    assert found["diagnosis"]["labels_kept_tail"] == match["reconstructed"] / match["train"] < 0.5
    assert {"kept", "kept_tail"} <= told.keys() and "recognition" not in told
    assert f"{match['reconstructed']:.0%} of training pairs with a tail" in told["kept_tail"]


def test_a_sample_of_rare_pairs_is_kept_for_a_figure(sound):
    kept = sound["sample"]
    for kind in ("real", "generated"):
        assert kept[kind]["rows"] and len(kept[kind]["rows"]) == len(kept[kind]["labels"])
        assert all({3, 4} & set(labels) for labels in kept[kind]["labels"])  # the relations of TAIL
        assert all(len(row) == WIDTH for row in kept[kind]["rows"])
    basis = torch.linalg.qr(torch.randn(WIDTH, 2, generator=rng(5)))[0]
    few = quality.figure_sample(DEV, TRAIN, basis, None)["real"]
    expected = DEV.representations @ basis
    torch.testing.assert_close(torch.tensor(few["rows"]), expected, rtol=1e-4, atol=1e-4)
    assert all(DEV.labels[i, 1 + r] == 1 for i, labels in enumerate(few["labels"]) for r in labels)
