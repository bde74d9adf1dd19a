"""Plans: order, dependencies, selection, and how a stored run is told from another."""

import pytest

from benchmark.config import read_experiment
from benchmark.errors import ConfigError, UnknownNameError
from benchmark.grid.execute import run_jobs
from benchmark.grid.plan import extend, plan, select
from benchmark.grid.status import estimate, status_of
from benchmark.progress import Progress
from benchmark.registry import AUGMENTERS, BACKBONES


@pytest.fixture
def experiment(lab):
    return read_experiment(lab.config)


def planned(lab, *overrides):
    return plan(read_experiment(lab.config, list(overrides)), lab.results)


def done(job, *, seconds=10.0, extra=b""):
    """Store `job` as finished."""
    job.directory.start(job.config.model_dump(mode="json"), facts={"corpus_digest": "d1"})
    job.directory.write_json("metrics.json", {"seconds": seconds})
    (job.directory.path / "best.safetensors").write_bytes(extra)
    job.directory.finish()


def test_the_order_of_augmenters_in_the_file_does_not_matter_for_none(lab):
    jobs = planned(lab, "augmenters=[learned, none]", "seeds=[0]", "backbones=[left]")
    assert [job.augmenter for job in jobs] == ["none", "learned"]


def test_none_is_planned_only_if_something_needs_it(lab):
    unfitted = planned(lab, "augmenters=[noisy]")
    assert {job.augmenter for job in unfitted} == {"noisy"}
    assert all(job.stage1 is None and not job.needs_stage1 for job in unfitted)
    fitted = planned(lab, "augmenters=[noisy, learned]")
    assert {job.augmenter for job in fitted} == {"none", "noisy", "learned"}


def test_a_warm_start_needs_the_none_run_whatever_the_augmenter(lab):
    jobs = planned(lab, "augmenters=[noisy]", "augment.start=stage1", "seeds=[0]")
    assert [job.augmenter for job in jobs] == ["none", "noisy"] * 2
    assert [job.needs_stage1 for job in jobs] == [False, True] * 2
    alone = planned(lab, "augmenters=[none]", "augment.start=stage1")
    assert not any(job.needs_stage1 for job in alone)


@pytest.mark.parametrize(
    "change", ["augment.start=stage1", "augment.warmup_contrastive=false", "augmenters=[none]"]
)
def test_none_keeps_no_branch_where_no_stage_3_repeats_it(lab, change):
    assert {job.branch_epoch for job in planned(lab) if job.augmenter == "none"} == {2}
    assert {job.branch_epoch for job in planned(lab, change)} == {None}


def test_a_stored_run_has_the_defaults_of_options_that_came_later(lab, experiment, monkeypatch):
    jobs = plan(experiment, lab.results)
    for job in jobs[:2]:
        done(job)
    monkeypatch.setitem(BACKBONES.entries()["left"].parameters, "axial", "masked")
    monkeypatch.setitem(AUGMENTERS.entries()["noisy"].parameters, "scale", 0.1)
    none, noisy = planned(lab)[:2]
    assert noisy.config.backbone.options["axial"] == "masked"
    assert noisy.config.augmenter.options == {"scale": 0.1}
    assert none.differences() == noisy.differences() == []
    left, scaled = "backbones=[{left: {axial: sequential}}]", "{noisy: {scale: 0.2}}"
    changed = planned(lab, left, f"augmenters=[none, {scaled}]")[1].differences()
    keys = [line.split(":")[0] for line in changed]
    assert keys == ["augmenter.options.scale", "backbone.options.axial"]


def test_extension_adds_registered_names_and_keeps_the_options_of_the_file(lab):
    experiment = read_experiment(lab.config, ["backbones=[{left: {width: 32}}]"])
    wider = extend(experiment, backbones=["right", "left"], augmenters=["spare"], seeds=[9, 0])
    widths = [(choice.name, choice.options["width"]) for choice in wider.backbones]
    assert widths == [("left", 32), ("right", 8)]
    assert [choice.name for choice in wider.augmenters] == ["none", "noisy", "learned", "spare"]
    assert wider.seeds == [0, 1, 9]
    assert extend(experiment) == experiment
    with pytest.raises(UnknownNameError, match="Did you mean 'noisy'"):
        extend(experiment, augmenters=["nosy"])
    with pytest.raises(ConfigError, match="got -4"):
        extend(experiment, seeds=[1, -4])
    alone = read_experiment(lab.config, ["augmenters=[none]", "augment.warmup_epochs=3"])
    with pytest.raises(ConfigError, match="noisy would never augment"):
        extend(alone, augmenters=["noisy"])


def test_estimates_come_from_the_nearest_finished_runs(lab, experiment):
    jobs = {job.name: job for job in plan(experiment, lab.results)}
    wanted = [jobs["left learned seed 1"], jobs["left noisy seed 1"], jobs["right none seed 1"]]
    assert set(estimate(wanted, []).values()) == {None}
    for name, seconds in (("left none seed 0", 10.0), ("left learned seed 0", 40.0)):
        done(jobs[name], seconds=seconds, extra=bytes(100_000))
    finished = [jobs["left none seed 0"], jobs["left learned seed 0"]]
    costs = estimate(wanted, finished)
    assert costs["left learned seed 1"].seconds == 40  # same cell
    assert costs["left noisy seed 1"].seconds == 25  # same backbone: (10 + 40) / 2
    assert costs["right none seed 1"].seconds == 25  # any
    done(jobs["right noisy seed 0"], seconds=100.0)
    later = estimate(wanted, [*finished, jobs["right noisy seed 0"]])
    assert later["left noisy seed 1"].seconds == 25 and later["right none seed 1"].seconds == 100
    assert 100_000 < costs["left noisy seed 1"].bytes < 110_000


def test_a_stored_run_is_the_same_wherever_its_data_now_is(lab, experiment):
    job = plan(experiment, lab.results)[0]
    done(job)
    moved = planned(lab, "dataset={name: toy-data, path: /elsewhere/train.json}")[0]
    other = planned(lab, "dataset={name: toy-data, path: data/other.json}")[0]
    assert status_of(job).state == status_of(moved).state == "done"
    assert status_of(other).state == "changed"
    assert "data/other.json" in status_of(other).detail
    assert job.differences(corpus_digest="d1") == []
    assert job.differences(corpus_digest="d2") == ['corpus_digest: "d1" stored, "d2" asked for']


def test_outcomes_are_told_as_they_come(lab, experiment):
    jobs = select(plan(experiment, lab.results), seeds=[0], backbones=["left"])
    done(jobs[0])
    outcomes = run_jobs(jobs, grid=jobs, load_corpus=lab.load_corpus, progress=Progress.silent())
    assert (next(outcomes).state, lab.ran) == ("kept", [])
    assert (next(outcomes).state, lab.names()) == ("done", ["left noisy 0"])
    assert [outcome.state for outcome in outcomes] == ["done"]


HEAD = "augment.stage3=head"


def test_the_cheap_protocol_has_a_folder_of_its_own_and_shares_stage_1(lab):
    jobs = planned(lab, HEAD)
    assert len(jobs) == 2 * 2 * (1 + 3)
    stage1, none, noisy, learned = jobs[:4]
    names = ("stage1", "none", "noisy", "learned")
    assert [job.name for job in jobs[:4]] == [f"left {name} seed 0" for name in names]
    assert len({job.cell for job in jobs}) == len(jobs)
    assert stage1.shared and stage1.directory.path == lab.folder("left none 0")
    assert stage1.config == planned(lab)[0].config and not stage1.earlier
    assert none.directory.path == lab.results / "toy_head" / "left" / "none" / "seed-0"
    assert none.earlier == {stage1.directory} and none.branch_epoch == 2
    for job in (noisy, learned):
        assert job.earlier == {stage1.directory, none.directory} and job.needs_stage1
    # another way of augmenting makes no other `none` run
    for change, same in (("augment.copies=5", True), ("augment.passes=5", False)):
        (other,) = (j for j in planned(lab, HEAD, change) if j.name == none.name)
        assert (other.config == none.config) == same


def test_estimates_tell_a_head_from_a_whole_model(lab):
    jobs = {job.name: job for job in planned(lab, HEAD, "backbones=[left]")}
    finished = [jobs["left stage1 seed 0"]]
    done(finished[0], seconds=1000.0)
    wanted = [jobs[f"left {name} seed 1"] for name in ("stage1", "none", "noisy")]
    assert [cost.seconds for cost in estimate(wanted, finished).values()] == [1000] * 3
    finished.append(jobs["left none seed 0"])
    done(finished[1], seconds=100.0)
    assert [cost.seconds for cost in estimate(wanted, finished).values()] == [1000, 100, 100]


def test_stage_1_comes_with_whatever_is_selected_of_the_cheap_protocol(lab):
    chosen = select(planned(lab, HEAD), augmenters=["noisy"], seeds=[1], backbones=["left"])
    assert [job.name for job in chosen] == ["left stage1 seed 1", "left noisy seed 1"]
