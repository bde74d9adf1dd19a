"""The leaderboard page as text: order, ranks, what is missing, and that nothing
foreign can run.
"""

import base64
import hashlib
import re

import pytest
from reports.render.test_html import Parsed
from stored_runs import boards_of, relations, run, scored

from benchmark.reports.render.html import ASSETS
from benchmark.reports.render.page import page
from benchmark.reports.study import folder_of

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'&<!--"


def page_of(runs, expected=None, **options):
    return page(boards_of(runs, expected), **options)


def rows_of(text):
    """The leaderboard's rows: (attributes, texts of the cells)."""
    found, current = [], None
    for tag, attributes, content in Parsed(text).elements:
        if tag == "tr":
            current = (attributes, []) if "data-backbone" in attributes else None
            found += [current] if current else []
        elif tag in ("td", "th") and current:
            current[1].append(content)
    return found


@pytest.fixture
def runs(tmp_path):
    """atlop none 50 52, vae 53 55 (seeds 0, 1); kd_docre none 60 (seed 0 alone)."""
    cells = {
        ("atlop", "none"): (0.50, 0.52),
        ("atlop", "vae"): (0.53, 0.55),
        ("kd_docre", "none"): (0.60,),
    }
    of = lambda f1: relations(P1=f1, P2=f1 / 2, P3=None)
    return [
        run(tmp_path, augmenter, seed, f1, backbone=backbone, of_relations=of(f1))
        for (backbone, augmenter), values in cells.items()
        for seed, f1 in enumerate(values)
    ]


def test_the_summary_shows_its_first_sentences_and_folds_the_others(runs):
    lead = (
        "`vae` gains most. On test it has 1.5 F1 more (p = 0.1). With one threshold 0.2 are left."
    )
    rest = "On average both gain. Against `copies`: 0.1."
    text = page_of(runs, summary=(f"{lead} {rest}", "One only, of 2. seeds."))
    lead, rest = (re.sub("`(.+?)`", r"<code>\1</code>", said) for said in (lead, rest))
    assert f"<details><summary>{lead}</summary><p>{rest}</p></details>" in text
    assert "<p>One only, of 2. seeds.</p>" in text


def test_entries_stand_in_the_order_of_their_test_f1(runs):
    expected = {
        folder_of(runs[0]): {(b, a): [0, 1] for b in ("atlop", "kd_docre") for a in ("none", "vae")}
    }
    rows = rows_of(page_of(runs, expected))
    # rank, backbone, augmenter (with its backbone, for narrow screens), seeds, test F1, difference
    assert [cells[:6] for _, cells in rows] == [
        ["", "kd_docre", "kd_docre + none seeds: 1/2", "1/2", "60.00", ""],  # a seed short: no rank
        ["1", "atlop", "atlop + vae seeds: 2", "2", "54.00 ± 1.41", "▲ +3.00 ± 0.00"],
        ["2", "atlop", "atlop + none seeds: 2", "2", "51.00 ± 1.41", ""],
    ]
    assert [cells[-2:] for _, cells in rows] == [
        ["10.0", "cpu, 2 threads"],
        *[["10.0 ± 0.0", "cpu, 2 threads"]] * 2,
    ]


def test_equal_as_shown_is_equal_in_rank(tmp_path):
    scores = {"none": 0.500001, "vae": 0.500002, "copies": 0.4}
    rows = rows_of(page_of([run(tmp_path, name, 0, f1) for name, f1 in scores.items()]))
    assert [cells[0] for _, cells in rows] == ["1", "1", "3"]


def test_versions_of_the_data_are_not_mixed(tmp_path):
    new = run(tmp_path, "none", 0, 0.6, experiment="new", digest="bb")
    text = page_of([run(tmp_path, "none", 0, 0.5), new])
    assert [content for _, content in Parsed(text).of("h2")] == ["toy (data aa)", "toy (data bb)"]
    assert [cells[0] for _, cells in rows_of(text)] == ["1", "1"]
    assert "2 finished runs, 2 entries, 1 dataset, 2 versions of the data." in text


def test_a_row_has_its_f1_per_relation_with_paired_changes(runs):
    text = page_of(runs)
    said = "2 of 2 relations gain, 0 lose, 0 stay the same. 1 without a defined F1 are left out."
    assert text.count(said) == 1
    _, vae, none = boards_of(runs)[0].entries
    assert [r.change for r in vae.relations] == [pytest.approx(3.0), pytest.approx(1.5), None]
    assert [r.f1 for r in vae.relations] == [pytest.approx(54), pytest.approx(27), None]
    assert [(r.name, r.frequency) for r in vae.relations] == [("P1", 300), ("P2", 200), ("P3", 100)]
    assert {r.change for r in none.relations} == {None} and none.relations[0].f1 == 51
    panel = text.split("Details of atlop + vae")[1].split("Details of")[0]
    cells = re.findall(r'<th scope="row">P\d</th>.*?</tr>', panel)
    numbers = [re.findall(r'"number">(.*?)<', row) for row in cells]
    assert numbers == [["300", "54.0", "+3.0"], ["200", "27.0", "+1.5"], ["100", "n/a", "n/a"]]


def test_a_row_has_its_configuration_and_says_where_seeds_differ(runs):
    for stored, commit in zip(runs, ("abc", "def"), strict=False):
        stored.facts["commit"] = commit
    entry = boards_of(runs)[0].entries[2]
    settings = dict(entry.settings)
    assert entry.name == "atlop + none" and "seed" not in settings
    assert settings["train.epochs"] == "3" and settings["facts.corpus_digest"] == "aa"
    assert settings["facts.commit"] == "seed 0: abc; seed 1: def"
    assert '<th scope="row">train.epochs</th><td>3</td>' in page_of(runs)


def test_intervals_are_drawn(tmp_path):
    text = page_of(scored(tmp_path, "none", (0.5,)) + scored(tmp_path, "vae", (0.53,)))
    assert "+3.00 [+3.00, +3.00]" in text and "95%, bootstrap over documents" in text
    assert "No intervals were computed" in page_of(
        [run(tmp_path / "b", name, 0, f1) for name, f1 in (("none", 0.5), ("vae", 0.53))]
    )


def test_runs_without_the_newer_numbers_are_shown_all_the_same(tmp_path):
    stored = run(tmp_path, "none", 0, 0.5)
    for key in ("seconds", "device", "best_epoch", "epochs"):
        del stored.metrics[key]
    assert rows_of(page_of([stored]))[0][1][-2:] == ["missing", ""]


def test_what_was_left_out_is_named():
    text = page([], left_out=["x/y: torn <b>"], made="by hand")
    assert [content for _, content in Parsed(text).of("li")] == ["x/y: torn <b>"]
    assert "No finished run." in text and "by hand" in text


def test_hostile_texts_are_texts_everywhere(tmp_path):
    kinds = dict.fromkeys(("backbone", "dataset", "digest", "device"), HOSTILE)
    kinds["of_relations"] = relations(**{HOSTILE: 0.5})
    runs = [run(tmp_path, name, 0, 0.5, **kinds) for name in ("none", HOSTILE)]
    for stored in runs:
        stored.config["train"] = {HOSTILE: HOSTILE}
        stored.facts["corpus_notes"] = [HOSTILE]
    parsed = Parsed(page(boards_of(runs), left_out=[HOSTILE], title=HOSTILE, made=HOSTILE))
    assert len(parsed.of("script")) == 1 and parsed.of("img") == []
    names = [name for _, attributes, _ in parsed.elements for name in attributes]
    assert not any(name.startswith("on") for name in names) and parsed.of("h1")[0][1] == HOSTILE


def test_the_policy_lets_in_this_script_and_style_and_nothing_else(runs):
    text = page_of(runs)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    for tag in ("style", "script"):
        content = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content[0].encode()).digest()).decode()
        assert len(content) == 1 and f"{tag}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy
    assert " style=" not in text  # the policy would not let it act
    addresses = re.findall(r"""(?:src|href|action|url)\s*[=(]\s*["']?([^"')\s>]+)""", text)
    assert set(addresses) == {"data:,"} and not re.search(
        r"fetch\(|XMLHttp|WebSocket|import\(|innerHTML", text
    )


def test_every_figure_has_a_title_and_a_description(runs):
    figures = re.findall(r'<svg class="figure.*?</svg>', page_of(runs), re.DOTALL)
    assert len(figures) == 3
    assert all("<title>" in figure and "<desc>" in figure for figure in figures)


def test_the_same_runs_make_the_same_page(runs):
    assert page_of(runs) == page_of(list(reversed(runs)))


def test_the_script_cannot_end_its_element_and_digests_are_those_of_the_files():
    texts = [(ASSETS / name).read_text(encoding="utf-8") for name in ("page.css", "page.js")]
    assert not any("\r" in text or "</script" in text.lower() for text in texts)
