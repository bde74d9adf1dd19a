"""`report --with-published`: on request only, and beside our own tables, which stay as they are."""


def tables(lab):
    return [(lab.results / "toy" / name).read_bytes() for name in ("report.md", "report.csv")]


def test_published_scores_are_shown_on_request_only(lab, monkeypatch):
    monkeypatch.setattr("benchmark.results.StoredRun.dataset", "dwie")
    lab("run", "CONFIG")
    plain = tables(lab)
    assert lab("report", "CONFIG").exit_code == 0 and tables(lab) == plain
    assert b"Reported" not in plain[0] and b"reported" not in plain[1]

    result = lab("report", "CONFIG", "--with-published")
    assert result.exit_code == 0, result.output
    markdown, table = tables(lab)
    assert markdown.startswith(plain[0])
    assert b"### Reported, not run here: dwie, Table 2 of Tran et al. (2025)" in markdown[len(plain[0]) :]
    assert b'\n"Reported, not run here: dwie, Table 2 of Tran et al. (2025)"' in table
    assert "Reported, not run here: dwie, Table 2" in result.stdout and "RSMAN" in result.stdout
    assert "our encoder is encoder, which no row of this table has" in result.stdout

    lab("report", "CONFIG")
    assert tables(lab) == plain


def test_a_dataset_without_published_scores(lab):
    lab("run", "CONFIG")
    plain = tables(lab)
    result = lab("report", "CONFIG", "--with-published")
    sentence = "No published scores are kept here for toy-data and these backbones; there are tables of dwie, re-docred."
    assert result.exit_code == 0 and sentence in result.stdout
    assert tables(lab) == [plain[0] + f"\n{sentence}\n".encode(), plain[1]]
