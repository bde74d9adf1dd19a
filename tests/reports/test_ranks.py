"""Ranks of a board: the first is shared within noise, over the seeds that both have; what cannot be
compared has none.
"""

from stored_runs import boards_of, counted, run, scored

from benchmark.reports.study import folder_of


def ranks(runs, expected=None):
    """(experiment, augmenter) -> rank, and the notes of the one board."""
    (board,) = boards_of(runs, expected)
    found = {(entry.member.study.label, entry.row.label): entry.row.rank for entry in board.entries}
    return found, board.notes


def test_the_first_rank_is_shared_within_noise(tmp_path):
    values = {
        "none": (0.40, 0.40, 0.40),  # 10 points behind without any spread
        "copies": (0.40, 0.40, 0.40),  # equal to it
        "gaussian": (0.45, 0.45, 0.45),
        "vae": (0.51, 0.49, 0.49),  # behind by -2, 2, 1 points
        "vaediff": (0.49, 0.51, 0.50),
    }
    runs = [run for name, f1 in values.items() for run in scored(tmp_path, name, f1)]
    found, (note,) = ranks(runs)
    expected = {"none": "4", "copies": "4", "gaussian": "3", "vae": "1", "vaediff": "1"}
    assert {label: rank for (_, label), rank in found.items()} == expected
    assert note.startswith("Rank 1: `atlop + vaediff`, the highest mean test F1")
    assert "over seeds and documents" in note and "Not ranked" not in note


def test_noise_of_documents_counts_too(tmp_path):
    pair = lambda folder, spread: [
        *scored(folder, "none", (0.50,), spread=spread),
        *scored(folder, "vae", (0.51,), spread=-spread),
    ]
    found, (note,) = ranks(pair(tmp_path / "a", 300))
    assert set(found.values()) == {"1"} and "this speaks of trained models alone" in note
    assert ranks(pair(tmp_path / "b", 0))[0] == {("demo", "none"): "2", ("demo", "vae"): "1"}


def test_an_entry_short_of_seeds_is_compared_over_those_it_has_and_never_the_best(tmp_path):
    values = {"none": (0.50, 0.40), "vae": (0.55,), "copies": (0.45,)}
    runs = [run for name, f1 in values.items() for run in scored(tmp_path, name, f1)]
    expected = {folder_of(runs[0]): {("atlop", name): (0, 1) for name in values}}
    found, (note,) = ranks(runs, expected)
    assert "`atlop + none`" in note
    of_name = {name: rank for (_, name), rank in found.items()}
    assert of_name == {"none": "1", "vae": "1", "copies": "3"}


def test_the_note_says_where_one_seed_is_compared_and_where_an_entry_is_better(tmp_path):
    values = {"none": (0.50, 0.40), "vae": (0.55,), "copies": (0.49, 0.41)}
    runs = [run for name, f1 in values.items() for run in scored(tmp_path, name, f1)]
    expected = {folder_of(runs[0]): {("atlop", name): (0, 1) for name in values}}
    _, (note,) = ranks(runs, expected)
    assert "over documents alone with one seed in common" in note
    assert "includes 0 or favours the entry (no" in note
    _, (note,) = ranks([run for run in runs if run.augmenter != "vae"])
    assert "over seeds and documents, on the" in note and "includes 0 (no" in note


def test_without_a_common_seed_or_counts_there_is_no_rank(tmp_path):
    runs = scored(tmp_path, "none", (0.5,)) + scored(tmp_path, "copies", (0.4,))
    runs.append(run(tmp_path, "vae", 0, 0.3))
    runs.append(counted(tmp_path, "none", 7, 0.2, experiment="other"))
    found, (note,) = ranks(runs)
    assert found == {
        ("demo", "none"): "1",
        ("demo", "copies"): "2",
        ("demo", "vae"): "",
        ("other", "none"): "",
    }
    unranked = "without a common seed or without counts: atlop (demo) + vae, atlop (other) + none."
    assert f"Not ranked, {unranked}" in note and note.startswith("Rank 1: `atlop (demo) + none`")


def test_without_counts_ranks_go_by_the_mean(tmp_path):
    found, notes = ranks([run(tmp_path, "none", 0, 0.5), run(tmp_path, "vae", 0, 0.6)])
    assert found == {("demo", "none"): "2", ("demo", "vae"): "1"} and notes == ()
