"""Runs of many experiments, sorted into studies: nothing mixed, nothing lost without a word."""

import pytest
from stored_runs import run, write

from benchmark.reports.ablation import ablation_table
from benchmark.reports.study import folder_of, studies


def test_a_study_per_experiment_dataset_and_version_of_the_data(tmp_path):
    runs = [
        run(tmp_path, "none", 0, 0.5),
        run(tmp_path, "vae", 0, 0.5),
        run(tmp_path, "none", 0, 0.5, experiment="other"),
        run(tmp_path, "none", 0, 0.5, experiment="third", digest="bb"),
        run(tmp_path, "none", 0, 0.5, experiment="fourth", dataset="another"),
    ]
    found, left_out = studies(runs)
    assert [(study.data, study.label) for study in found] == [
        (("another", "aa"), "fourth"),
        (("toy", "aa"), "demo"),
        (("toy", "aa"), "other"),
        (("toy", "bb"), "third"),
    ]
    assert left_out == [] and list(found[1].cells) == [("atlop", "none"), ("atlop", "vae")]


def test_experiments_of_one_name_are_told_apart_by_their_folders(tmp_path):
    runs = [run(tmp_path / folder / "results", "none", 0, 0.5) for folder in ("a", "b")]
    found, _ = studies([*runs, runs[0]])  # one that comes twice counts once
    assert [study.label for study in found] == ["a/results/demo", "b/results/demo"]
    assert [len(study.runs) for study in found] == [1, 1]


def test_an_experiment_that_fits_no_table_leaves_the_others_alone(tmp_path):
    odd = run(tmp_path, "none", 1, 0.5, experiment="odd")
    odd.config["train"] = {"epochs": 4}
    found, left_out = studies(
        [run(tmp_path, "none", 0, 0.5, experiment="odd"), odd, run(tmp_path, "none", 0, 0.5)]
    )
    assert [study.label for study in found] == ["demo"]
    (said,) = left_out
    assert said.startswith("odd: ") and "train.epochs is 3" in said


def test_versions_of_their_numbers_are_told_apart_by_the_parts_they_speak_of(tmp_path):
    def of_version(augmenter, seed, version):
        made = run(tmp_path, augmenter, seed, 0.5)
        made.facts["numerics_version"] = version
        return made

    runs = [of_version("none", 0, 4), of_version("vae", 0, "4, vae 2"), of_version("none", 1, "4")]
    assert studies(runs)[1] == []
    moved = of_version("gaussian", 0, "4, atlop 2, gaussian 3")  # another backbone than `none` had
    for another in (of_version("vae", 1, 4), of_version("gaussian", 0, 5), moved):
        ((_, (said,)),) = [studies([*runs, another])]
        assert "numerics_version is " in said


def test_augmenters_may_read_files_of_their_own(tmp_path):
    """Beside those that all runs read, such as word vectors."""

    def of_files(augmenter, seed, digest):
        made = run(tmp_path, augmenter, seed, 0.5)
        made.facts["files_digest"] = digest
        return made

    runs = [of_files("none", 0, "vv"), of_files("documents", 0, "vd")]
    assert studies(runs)[1] == []
    assert "files_digest is " in studies([*runs, of_files("documents", 1, "other")])[1][0]


def test_what_was_asked_for_and_is_not_there_is_missing(tmp_path):
    stored = run(tmp_path, "none", 0, 0.5)
    asked = {("atlop", "none"): [0, 1], ("atlop", "vae"): [0, 1]}
    found, _ = studies([stored], {folder_of(stored): asked}, {folder_of(stored): "A try."})
    table = ablation_table(found[0])
    assert [row.coverage for row in table.rows] == ["1/2", "missing"]
    assert table.notes[0] == "A try."


@pytest.mark.parametrize("names", [{"P17": "country"}, None])
def test_names_of_relations_come_from_the_runs_folder(tmp_path, names):
    directory = write(run(tmp_path, "none", 0, 0.5), relation_names=names)
    found, _ = studies([directory.read()])
    assert found[0].relation_names == (names or {})
