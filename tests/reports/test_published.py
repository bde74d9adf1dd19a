"""Published tables: the files agree with a transcription and never mix with our rows."""

import itertools
import json

import pytest
from stored_runs import run

from benchmark.errors import UserError
from benchmark.registry import AUGMENTERS, BACKBONES
from benchmark.reports.published import PUBLISHED, read_published, reported_beside
from benchmark.reports.render.text import markdown
from benchmark.reports.study import Study

FOUR = ("ign_f1", "f1", "freq_f1", "ltail_f1")
OURS = "VaeDiff-DocRE"

# An independent transcription, made when the paper was first read: table, encoder, method, scores.
HEADLINES = [
    (1, "BERT-base", OURS, "dev.f1 75.89 test.f1 75.07 dev.ign_f1 74.96 test.ign_f1 74.13"),
    (1, "BERT-base", OURS, "dev.freq_f1 79.18 test.freq_f1 78.32"),
    (1, "BERT-base", OURS, "dev.ltail_f1 71.12 test.ltail_f1 70.06"),
    (1, "BERT-base", "KD-DocRE", "dev.f1 75.31 test.f1 74.88"),
    (1, "RoBERTa-large", OURS, "dev.f1 79.19 test.f1 79.03"),
    (1, "RoBERTa-large", "KD-DocRE", "dev.f1 78.51 test.f1 78.28"),
    (2, "BERT-base", OURS, "dev.f1 67.77 dev.ign_f1 61.51 test.f1 73.07 test.ign_f1 66.44"),
    (2, "BERT-base", "ATLOP", "test.f1 69.94 test.ign_f1 62.09"),
    (2, "BERT-base", "Correl", "test.f1 71.56 test.ign_f1 65.64"),
    (4, "BERT-base", "- No Aug", "dev.f1 75.20 dev.ign_f1 74.23 dev.freq_f1 78.74"),
    (4, "BERT-base", "- Gaus Noise", "dev.f1 75.44 dev.freq_f1 78.80 dev.ltail_f1 70.61"),
]


@pytest.fixture(scope="module")
def tables():
    return {table.table: table for table in read_published()}


def row(table, encoder, method):
    (found,) = [row for row in table.rows if (row.encoder, row.method) == (encoder, method)]
    return found


# ---- the data


@pytest.mark.parametrize(("number", "encoder", "method", "expected"), HEADLINES)
def test_headline_numbers(tables, number, encoder, method, expected):
    scores, words = row(tables[number], encoder, method).scores, expected.split()
    assert [scores[key].mean for key in words[::2]] == list(map(float, words[1::2]))


def test_spreads_and_runs_are_the_papers_own_only(tables):
    own = row(tables[1], "BERT-base", OURS)
    spreads = [score.spread for score in own.scores.values()]
    assert (own.runs, spreads) == (10, [0.21, 0.2, 0.22, 0.38, 0.21, 0.2, 0.15, 0.29])
    for found in (*tables[1].rows, *tables[2].rows):
        assert all((s.spread is not None) == found.own for s in found.scores.values() if s)
        assert (found.runs == 10) == found.own
    assert {found.runs for found in tables[4].rows} == {None}  # its caption says nothing of runs


def test_scores_agree_with_each_other_and_bold_is_the_best_of_its_encoder(tables):
    for table in tables.values():
        for found in table.rows:
            scores = {key: score.mean for key, score in found.scores.items() if score}
            for split in {column.split for column in table.columns}:
                ign, f1, freq, ltail = (scores.get(f"{split}.{key}") for key in FOUR)
                assert ign is None or ign < f1, found.method  # Ign F1 takes true positives away
                assert None in (freq, ltail) or ltail < f1 < freq, found.method
        for column, encoder in itertools.product(table.columns, ("BERT-base", "RoBERTa-large")):
            rows = [found for found in table.rows if found.encoder == encoder]
            cells = list(filter(None, (found.scores[column.key] for found in rows)))
            bold = [cell.mean for cell in cells if cell.mark == "bold"]
            assert bold == ([max(cell.mean for cell in cells)] if cells else [])
        origins = {origin for found in table.rows for origin in found.copied_from.values()}
        assert origins - {None} == table.references.keys()


def test_counterparts_are_registered(tables):
    rows = [row for table in tables.values() for row in table.rows if row.backbone]
    ours = {"baseline": {"vaediff", "gaussian", "none"}, "atlop": {"none"}, "kd_docre": {"none"}}
    found = {(row.backbone, row.augmenter) for row in rows}
    assert found == {(name, of) for name, augmenters in ours.items() for of in augmenters}
    assert all(name in BACKBONES and augmenter in AUGMENTERS for name, augmenter in found)


def test_a_file_that_is_no_table_is_named(tmp_path):
    values = json.loads((PUBLISHED / "tran2025_table4.json").read_text())
    scores = values["rows"][1]["scores"]
    scores["dev.f1"]["mean"] = 754.4
    (tmp_path / "mine.json").write_text(json.dumps(values))
    with pytest.raises(UserError, match="mine.json: .*: rows.1.scores.dev.f1.mean: Input should"):
        read_published(tmp_path)
    del scores["dev.f1"]
    (tmp_path / "mine.json").write_text(json.dumps(values))
    with pytest.raises(UserError, match="mine.json: .*- Gaus Noise: expected scores of"):
        read_published(tmp_path)


# ---- beside our rows


def ours(
    folder,
    *,
    encoder="google-bert/bert-base-cased",
    freeze="none",
    notes=(),
    others=(),
    dataset="re-docred",
    backbone="baseline",
    **of_data,
):
    stored = run(folder, "none", 0, 0.5, dataset=dataset, backbone=backbone)
    stored.config["encoder"] |= {"name": encoder, "freeze": freeze}
    stored.config["dataset"]["options"] = of_data
    stored.facts["corpus_notes"] = list(notes)
    return Study.of([stored], {(name, "none"): (0,) for name in (backbone, *others)})


def caption(table):
    return "\n".join(table.notes)


def test_the_tables_of_the_dataset_are_marked_as_reported(tmp_path):
    tables = reported_beside([ours(tmp_path, others=("kd_docre", "atlop"))]).tables
    title = "Reported, not run here: re-docred, Table {} of Tran et al. (2025)"
    assert [table.title for table in tables] == [title.format(number) for number in (1, 4)]
    text = markdown(tables)
    assert "|  | VaeDiff-DocRE | 10 | 74.96 ± 0.21 | 75.89 ± 0.20 |" in text
    assert "| BERT-base | GAIN (Zeng et al., 2020) |  | 71.99 | 73.49 | - | - |" in text
    assert "**" not in text and "Δ" not in text
    for table in tables:
        assert "nothing of them was run here" in table.notes[0] and "COLING 2025" in caption(table)
        assert not any(
            cell.best or cell.values for row in table.rows for cell in row.cells.values()
        )


def test_rows_of_backbones_that_the_experiment_lacks_are_left_out_and_named(tmp_path):
    # the ablation has no row of atlop
    (table,) = reported_beside([ours(tmp_path, backbone="atlop")]).tables
    methods = {row.label for row in table.rows}
    assert {"ATLOP (Zhang et al., 2021)", "JEREX (Eberts and Ulges, 2021)"} <= methods
    assert not any(method.startswith(("VaeDiff", "KD-DocRE")) for method in methods)
    assert "that this experiment does not have: KD-DocRE, VaeDiff-DocRE." in caption(table)
    assert "Counterparts here: ATLOP = atlop/none." in table.notes


def test_the_same_setting_needs_no_warning(tmp_path):
    table = reported_beside([ours(tmp_path)]).tables[1]  # Table 4: BERT-base only
    assert "Not comparable" not in caption(table) and "Our encoder" not in caption(table)


NOT_OURS = "Not comparable with ours: "


@pytest.mark.parametrize(
    ("setting", "sentences"),
    [
        (
            {"encoder": "/models/roberta-large"},
            ["Our encoder is roberta-large: rows of another encoder than RoBERTa-large are not"],
        ),
        (
            {"encoder": "encoders/all-MiniLM-L6-v2", "freeze": "all"},
            [
                f"{NOT_OURS}our encoder is all-MiniLM-L6-v2, which no row of this table has.",
                f"{NOT_OURS}our encoder was not trained.",
            ],
        ),
        ({"freeze": "lower:4"}, [f"{NOT_OURS}a part of our encoder (lower 4 layers) was not"]),
        (
            {"dev_documents": 100},
            ["Dev is not comparable with ours: 100 documents out of our training file, not the"],
        ),
        ({"notes": ["400 documents."]}, ["Of our data: 400 documents."]),
    ],
)
def test_settings_that_differ_are_named(tmp_path, setting, sentences):
    table = reported_beside([ours(tmp_path, **setting)]).tables[0]
    assert all(sentence in caption(table) for sentence in sentences)


def test_a_dataset_without_published_scores_gets_a_plain_sentence(tmp_path):
    reported = reported_beside([ours(tmp_path, dataset="biored")])
    sentence = (
        "No published scores are kept here for biored and these backbones; there are tables of "
        "dwie, re-docred."
    )
    assert (reported.tables, reported.instead) == ([], sentence)
