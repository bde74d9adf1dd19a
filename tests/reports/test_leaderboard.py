"""The leaderboard: its entries, and as a Table."""

from stored_runs import boards_of, counted, scored

from benchmark.reports.leaderboard import SHARED, board_table
from benchmark.reports.render.page import page
from benchmark.reports.render.text import csv_text, markdown


def board(runs):
    (found,) = boards_of(runs)
    return board_table(found)


def test_entries_with_ranks_scores_and_cost(tmp_path):
    runs = scored(tmp_path, "none", (0.40, 0.42)) + scored(tmp_path, "vae", (0.51, 0.53))
    table = board(runs)
    assert [(row.rank, row.group, row.label) for row in table.rows] == [
        ("1", "atlop", "vae"),
        ("2", "atlop", "none"),
    ]
    text = markdown([table])
    assert "| 1 | atlop | vae | 2 | 52.00 ± 1.41 | +11.00 ± 0.00 |" in text
    assert "| 10.0 ± 0.0 |" in text  # 600 s
    assert "Devices: cpu, 2 threads" in text and "Bold" not in text and "**" not in text
    assert ",vae,rank,1," in csv_text([table])


def test_the_dataset_with_the_most_entries_comes_first_and_one_entry_needs_no_rule(tmp_path):
    alone = scored(tmp_path / "a", "none", (0.30,), dataset="a")
    several = [r for name in ("none", "vae") for r in scored(tmp_path / "b", name, (0.4,))]
    first, second = boards_of([*alone, *several])
    assert (first.heading, second.heading) == ("toy", "a")
    assert first.notes and not second.notes
    assert [entry.row.rank for entry in second.entries] == ["1"]


def test_old_runs_that_were_resumed_took_no_less_than_their_training(tmp_path):
    """They counted the last attempt. Others have epochs of the `none` run in their training."""
    runs = scored(tmp_path, "none", (0.40,)) + scored(tmp_path, "vae", (0.51,))
    for run in runs:
        run.metrics["train_seconds"] = 1200.0
    runs[1].metrics["stage2_seconds"] = 60.0
    minutes = {row.label: row.cell("minutes").mean for row in board(runs).rows}
    assert minutes == {"none": 20, "vae": 10}


def test_calibrated_scores_are_shown_where_the_runs_have_them(tmp_path):
    runs = scored(tmp_path, "none", (0.40,)) + scored(tmp_path, "vae", (0.51,))
    calibrated = [column.key for column in board(runs).columns]
    assert "calibrated.f1" not in calibrated and "ap.all" not in calibrated
    for run in runs:
        of = run.metrics["test"]["f1"]
        run.metrics["test"] |= {"calibrated": {"f1": of + 0.05}, "average_precision": {"all": of}}
    table = board(runs)
    text = markdown([table])
    assert "| test cal. F1 | test AP |" in text and "| 56.00 | 51.00 |" in text
    assert any(note.startswith("cal.: with one threshold tuned on dev.") for note in table.notes)
    table = board([*runs, counted(tmp_path, "vae", 1, 0.53)])  # an older run
    text = markdown([table])
    assert "| 52.00 ± 1.41 |" in text and "| 56.00 (n=1) | 51.00 (n=1) |" in text
    told = "Older runs, which have no calibrated scores and average precision: atlop/vae (seed 1)."
    assert told in table.notes


def test_experiments_of_a_board_are_told_apart(tmp_path):
    runs = scored(tmp_path, "none", (0.40,)) + scored(tmp_path, "none", (0.45,), experiment="other")
    assert [row.group for row in board(runs).rows] == ["atlop (other)", "atlop (demo)"]


def test_runs_that_two_experiments_hold_stand_in_one_row(tmp_path):
    """`a` compares `vae` alone, `b` much else that has not run: with Holm it has no mark there."""
    f1 = (0.505, 0.485, 0.50, 0.52, 0.48, 0.50)
    runs = []
    for name in ("a", "b", "c"):
        runs += scored(tmp_path, "none", (0.40, 0.48, 0.45, 0.44, 0.44, 0.45), experiment=name)
        runs += scored(tmp_path, "vae", f1[: 5 if name == "c" else 6], experiment=name)
    more = {("atlop", name): range(6) for name in ("none", "vae", "copies", "flow", "era", "smote")}
    (folder,) = {run.path.parents[2] for run in runs if run.experiment == "b"}
    for expected, mark in ({}, "*"), ({folder.resolve(): more}, ""):
        (found,) = boards_of(runs, expected)
        rows = board_table(found).rows
        assert [(row.group, row.label) for row in rows] == [
            ("atlop (a, b)", "vae"),
            ("atlop (c)", "vae"),
            ("atlop (a, b, c)", "none"),
        ]
        assert rows[0].cells["test.f1.difference"].mark == mark
        assert SHARED in found.notes and "`atlop (a, b) + vae`" in found.notes[0]
    text = page([found])
    assert "12 finished runs, 3 entries" in text  # those of `c` are copies, too
    assert ">a,<br>b</td>" in text and text.count("<svg") >= 6  # each experiment keeps its figures
    few = [run for run in runs if run.experiment != "c"]  # `a` has but two seeds of `none`
    few = [r for r in few if (r.experiment, r.augmenter) != ("a", "none") or r.seed < 2]
    (found,) = boards_of(few)
    (row,) = (entry.row for entry in found.entries if entry.row.label == "vae")
    assert row.cells["test.f1.difference"].n == 6 and found.entries[0].label == "b, a"
    (apart,) = boards_of(runs[:12] + scored(tmp_path, "vae", f1, experiment="d", seconds=1.0))
    assert len(apart.entries) == 3 and SHARED not in apart.notes
    anew = scored(tmp_path, "none", (0.41,) * 6, experiment="e")
    (anew,) = boards_of(runs[:12] + anew + scored(tmp_path, "vae", f1, experiment="e"))
    assert len(anew.entries) == 4  # each `vae` has the differences to its own `none`


def test_a_note_of_some_experiments_names_them(tmp_path):
    runs = scored(tmp_path, "none", (0.40, 0.42)) + scored(tmp_path, "vae", (0.51, 0.53))
    runs += scored(tmp_path, "none", (0.40,), experiment="other")
    notes = board(runs).notes
    assert "Of other: Scores in percent, one seed (0): nothing is known of their spread." in notes
    assert any(note.startswith("Of demo: Scores in percent: mean") for note in notes)
    assert any(note.startswith("Encoder: tiny, trained.") for note in notes)  # of both
    alone = board([run for run in runs if run.experiment == "demo"]).notes
    assert not any(note.startswith("Of ") for note in alone)


def test_rows_have_their_encoder_where_a_board_has_several(tmp_path):
    runs = scored(tmp_path, "none", (0.40,)) + scored(tmp_path, "none", (0.45,), experiment="other")
    runs[1].config["encoder"]["name"] = "lab/mycnn"
    table = board(runs)
    assert [row.group for row in table.rows] == ["atlop (other, mycnn)", "atlop (demo, tiny)"]
    assert table.notes[0].startswith("Rank 1: `atlop (other, mycnn) + none`")


def test_a_column_that_the_board_lacks_is_not_explained(tmp_path):
    runs = scored(tmp_path, "none", (0.40,)) + scored(tmp_path, "copies", (0.45,))
    (found,) = boards_of(runs + scored(tmp_path, "vae", (0.47,)))
    assert any(note.startswith("Δ control") for note in found.members[0].table.notes)
    assert not any("Δ control" in note for note in board_table(found).notes)
