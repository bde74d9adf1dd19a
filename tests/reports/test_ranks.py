"""Ranks of a board: the first is shared within noise, over the seeds that both have; what cannot be
compared has none.
"""

from stored_runs import counted, run

from benchmark.reports.evidence import Evidence
from benchmark.reports.ranks import with_ranks
from benchmark.reports.studies import folder_of, studies


def ranks(runs, expected=None):
    found, _ = studies(runs, expected)
    ranked = with_ranks(found, Evidence(runs, resamples=199))
    return {
        (study.label, row.group, row.label): row.rank
        for study in ranked
        for row in study.table.rows
    }, ranked


def scored(folder, augmenter, values, **options):
    return [counted(folder, augmenter, seed, f1, **options) for seed, f1 in enumerate(values)]


def test_the_first_rank_is_shared_within_noise(tmp_path):
    runs = scored(tmp_path, "none", (0.40, 0.40, 0.40))  # 10 points behind without any spread
    runs += scored(tmp_path, "copies", (0.40, 0.40, 0.40))  # equal to it
    runs += scored(tmp_path, "gaussian", (0.45, 0.45, 0.45))
    runs += scored(tmp_path, "vae", (0.51, 0.49, 0.49)) + scored(
        tmp_path, "vaediff", (0.49, 0.51, 0.50)
    )
    found, (study,) = ranks(runs)
    assert {label: rank for (_, _, label), rank in found.items()} == {
        "vaediff": "1",
        "vae": "1",  # behind by -2, 2, 1 points
        "gaussian": "3",
        "none": "4",
        "copies": "4",
    }
    (note,) = study.board_notes
    assert (
        note.startswith("Rank 1: `atlop + vaediff`, the highest mean test F1")
        and "over seeds and documents" in note
    )
    assert "Not ranked" not in note


def test_noise_of_documents_counts_too(tmp_path):
    runs = scored(tmp_path, "none", (0.50,), spread=300) + scored(
        tmp_path, "vae", (0.51,), spread=-300
    )
    found, (study,) = ranks(runs)
    assert (
        set(found.values()) == {"1"}
        and "this speaks of trained models alone" in study.board_notes[0]
    )
    quiet = scored(tmp_path / "b", "none", (0.50,)) + scored(tmp_path / "b", "vae", (0.51,))
    assert list(ranks(quiet)[0].values()) == ["2", "1"]


def test_an_entry_short_of_seeds_is_compared_over_those_it_has_and_never_the_best(tmp_path):
    runs = (
        scored(tmp_path, "none", (0.50, 0.40))
        + scored(tmp_path, "vae", (0.55,))
        + scored(tmp_path, "copies", (0.45,))
    )
    found, (study,) = ranks(
        runs, {folder_of(runs[0]): {("atlop", name): (0, 1) for name in ("none", "vae", "copies")}}
    )
    assert {label: rank for (*_, label), rank in found.items()} == {
        "none": "1",
        "vae": "1",
        "copies": "3",
    }
    assert "`atlop + none`" in study.board_notes[0]


def test_without_a_common_seed_or_counts_there_is_no_rank(tmp_path):
    runs = (
        scored(tmp_path, "none", (0.5,))
        + scored(tmp_path, "copies", (0.4,))
        + [run(tmp_path, "vae", 0, 0.3)]
    )
    runs.append(counted(tmp_path, "none", 7, 0.2, experiment="other"))
    found, ranked = ranks(runs)
    assert {(label, augmenter): rank for (label, _, augmenter), rank in found.items()} == {
        ("demo", "none"): "1",
        ("demo", "copies"): "2",
        ("demo", "vae"): "",
        ("other", "none"): "",
    }
    assert (
        "Not ranked, without a common seed or without counts: atlop + vae, atlop + none."
        in ranked[0].board_notes[0]
    )


def test_without_counts_ranks_go_by_the_mean(tmp_path):
    found, (study,) = ranks([run(tmp_path, "none", 0, 0.5), run(tmp_path, "vae", 0, 0.6)])
    assert list(found.values()) == ["2", "1"] and study.board_notes == ()
