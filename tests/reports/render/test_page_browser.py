"""The leaderboard page in a real browser: sorting, filters, panels, both themes, a phone, the
keyboard; nothing fetched, nothing run.

Needs Chromium; skipped where there is none.
"""

import pytest
from browser import CHROMIUM, Browser
from reports.render.test_page import HOSTILE, page_of
from stored_runs import boards_of, relations, run

from benchmark.reports.render.page import page

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]

TAB, ENTER, SPACE, SHIFT = ("Tab", 9), ("Enter", 13, "\r"), (" ", 32, " "), 8
CONTRASTS = """(() => {
  const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const light = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map((v) => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    const colour = getComputedStyle(node).backgroundColor;
    return /, 0\\)$/.test(colour) ? behind(node.parentElement) : colour;
  };
  const seen = (node) => (node.offsetParent !== null || node.ownerSVGElement)
    && !node.closest("title, desc, script, style");
  const own = (node) => [...node.childNodes].some(
    (child) => child.nodeType === 3 && child.data.trim());
  const all = [...document.querySelectorAll("body *")];
  return all.filter((node) => seen(node) && own(node)).map((node) => {
    const colour = getComputedStyle(node)[node.ownerSVGElement ? "fill" : "color"];
    const [a, b] = [light(colour), light(behind(node))].sort((x, y) => y - x);
    const name = `${node.tagName}.${node.getAttribute("class")}`;
    return [(a + 0.05) / (b + 0.05), `${name}: ${node.textContent.slice(0, 20)}`];
  });
})()"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("browser") / "profile") as started:
        yield started


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two datasets, toy and other."""
    folder = tmp_path_factory.mktemp("pages")
    cells = {
        ("atlop", "none"): (0.50, 0.52),
        ("atlop", "vae"): (0.53, 0.55),
        ("kd_docre", "none"): (0.60, 0.58),
        ("kd_docre", "vae"): (0.57, 0.58),
    }
    runs = []
    for (backbone, augmenter), values in cells.items():
        for seed, f1 in enumerate(values):
            known = relations(**{f"P{i}": f1 - i / 90 for i in range(40)})
            options = {"backbone": backbone, "seconds": 100.0 * len(augmenter)}
            runs.append(run(folder, augmenter, seed, f1, of_relations=known, **options))
    runs.append(run(folder, "none", 0, 0.7, dataset="other", experiment="second"))
    path = folder / "page.html"
    path.write_text(page_of(runs), encoding="utf-8")
    return path


@pytest.fixture
def opened(browser, made, request):
    browser.size(1280, 900)
    browser.media(prefers_color_scheme="light")
    browser.events.clear()
    browser.open(made.as_uri())
    yield browser
    assert troubles(browser, made) == []


def troubles(browser, path):
    """Whatever a page that minds its own business does not cause: errors, warnings, requests."""
    kinds = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
    of = lambda *methods: [e["params"] for e in browser.events if e["method"] in methods]
    urls = [params["request"]["url"] for params in of("Network.requestWillBeSent")]
    return of(*kinds) + [url for url in urls if url not in (path.as_uri(), "data:,")]


def entries(browser):
    """The rows of the last board (toy) that can be seen, in order."""
    rows = (
        "[...[...document.querySelectorAll('.board')].at(-1).querySelectorAll('tr[data-backbone]')]"
    )
    return browser.js(
        f"{rows}.filter((r) => r.offsetParent).map((r) => r.dataset.backbone + ' ' + "
        "r.dataset.augmenter)"
    )


def head(label):
    board = "[...document.querySelectorAll('.board')].at(-1)"
    return f"[...{board}.querySelectorAll('thead button')].find((b) => b.textContent === '{label}')"


BY_F1 = ["kd_docre none", "kd_docre vae", "atlop vae", "atlop none"]


def test_sorting_says_what_it_did(opened):
    sort = lambda label: opened.js(f"{head(label)}.parentElement.ariaSort")
    press = lambda label: opened.js(f"{head(label)}.click()")
    assert entries(opened) == BY_F1 and sort("Test F1") == "descending"
    press("Test F1")
    assert entries(opened) == BY_F1[::-1]
    assert sort("Test F1") == "ascending"
    press("Δ F1")
    assert entries(opened)[:2] == ["atlop vae", "kd_docre vae"] and sort("Test F1") is None
    press("Augmenter")
    assert [entry.split()[1] for entry in entries(opened)] == ["none", "none", "vae", "vae"]


def test_filters(opened):
    def choose(name, value):
        select = f"document.querySelector('select[name={name}]')"
        change = f"{select}.dispatchEvent(new Event('change', {{bubbles: true}}))"
        opened.js(f"{select}.value = '{value}'; {change}")

    def boards():
        seen = "[...document.querySelectorAll('.board')].filter((b) => b.offsetParent)"
        return opened.js(f"{seen}.map((b) => b.dataset.dataset)")

    def status():
        return opened.js("document.getElementById('shown').textContent")

    assert status() == "5 of 5 entries shown" and boards() == ["other", "toy"]
    choose("backbone", "=kd_docre")
    assert entries(opened) == ["kd_docre none", "kd_docre vae"] and boards() == ["toy"]
    assert status() == "2 of 5 entries shown"
    choose("augmenter", "=vae")
    assert entries(opened) == ["kd_docre vae"]
    choose("augmenter", "")
    choose("backbone", "")
    choose("dataset", "=other")
    assert boards() == ["other"] and status() == "1 of 5 entries shown"
    choose("dataset", "")
    assert entries(opened) == BY_F1


def test_a_row_opens_to_its_relations_and_configuration(opened):
    button = "document.querySelector('tr[data-augmenter=vae] button.expand')"
    seen = "[...document.querySelectorAll('.panel')].filter((p) => p.offsetParent)"
    assert opened.js(f"{seen}.length") == 0
    opened.js(f"{button}.click()")
    panel = opened.js(f"{seen}[0].innerText")
    assert all(text in panel for text in ("train.epochs", "P39", "kd_docre"))
    assert opened.js(f"{seen}[0].querySelectorAll('figure svg').length") == 1
    assert opened.js(f"{seen}[0].querySelector('.relations tbody').rows.length") == 40
    controlled = f"document.getElementById({button}.getAttribute('aria-controls'))"
    assert opened.js(f"{controlled}.contains({seen}[0])")
    opened.js(f"{head('Augmenter')}.click()")  # a panel goes where its row goes
    above = f"{seen}[0].closest('.panel-row').previousElementSibling.dataset.augmenter"
    assert opened.js(above) == "vae"
    select = "document.querySelector('select[name=augmenter]')"
    change = f"{select}.dispatchEvent(new Event('change', {{bubbles: true}}))"
    opened.js(f"{select}.value = '=none'; {change}")
    assert opened.js(f"{seen}.length") == 0
    opened.js(f"{select}.value = ''; {change}")
    assert opened.js(f"{seen}.length") == 1
    opened.js(f"{button}.click()")
    assert opened.js(f"{seen}.length") == 0


def test_by_keyboard_alone_with_a_focus_that_can_be_seen(opened):
    opened.js(f"{head('Seeds')}.focus()")
    opened.press(*TAB, modifiers=SHIFT)
    opened.press(*TAB)
    assert opened.js(f"document.activeElement === {head('Seeds')}")
    style = "getComputedStyle(document.activeElement)"
    assert opened.js(f"{style}.outlineStyle + {style}.outlineWidth") == "solid3px"
    opened.press(*SPACE)
    assert opened.js(f"{head('Seeds')}.parentElement.ariaSort") == "descending"
    for _ in range(20):
        opened.press(*TAB)
        if opened.js("document.activeElement.className") == "expand":
            break
    opened.press(*ENTER)
    assert opened.js("document.activeElement.ariaExpanded") == "true"
    assert opened.js("[...document.querySelectorAll('.panel')].some((p) => p.offsetParent)")


def test_everything_that_acts_can_be_reached_by_tab(opened):
    kinds = "'button, select, input, summary'"
    seen = f"[...document.querySelectorAll({kinds})].filter((e) => e.offsetParent)"
    wanted = opened.js(f"{seen}.length")
    opened.js("document.body.focus(); window.reached = new Set()")
    active = "document.activeElement"
    for _ in range(wanted + 40):
        opened.press(*TAB)
        opened.js(f"{active}.matches({kinds}) && reached.add({active}), 0")
    assert opened.js("reached.size") == wanted


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_of_every_text_is_at_least_4_5(opened, scheme):
    opened.media(prefers_color_scheme=scheme, prefers_reduced_motion="reduce")
    opened.js("document.querySelector('tr[data-augmenter=vae] button.expand').click()")
    contrasts = opened.js(CONTRASTS)
    assert len(contrasts) > 100 and min(contrasts)[0] >= 4.5, min(contrasts)


@pytest.mark.parametrize("width", [320, 390])
def test_on_a_phone_only_the_tables_scroll_sideways(opened, width):
    opened.size(width, 844, phone=True)
    opened.js("document.querySelectorAll('details').forEach((d) => (d.open = true))")
    opened.js("document.querySelectorAll('button.expand').forEach((b) => b.click())")
    assert opened.js("document.documentElement.scrollWidth") <= width
    widths = "[...document.querySelectorAll('.panel')].map((p) => p.getBoundingClientRect().width)"
    assert 0 < opened.js(f"Math.max(...{widths})") <= width


def test_without_javascript_the_tables_and_figures_are_there(browser, made):
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(made.as_uri())
    browser.call("Emulation.setScriptExecutionDisabled", value=False)
    assert entries(browser) == BY_F1
    # differences, two of pairs, two of relations, which stand open
    assert browser.js("document.querySelectorAll('figure svg').length") == 5
    panels = "[...document.querySelectorAll('.panel')].filter((p) => p.offsetParent)"
    assert browser.js(f"{panels}.length") == 5
    assert browser.js("document.getElementById('filters').offsetParent") is None


def test_hostile_names_do_nothing(browser, tmp_path):
    kinds = {"backbone": HOSTILE, "dataset": HOSTILE, "of_relations": relations(**{HOSTILE: 0.5})}
    runs = [run(tmp_path, name, 0, 0.5, **kinds) for name in ("none", HOSTILE)]
    for stored in runs:
        stored.config["train"] = {HOSTILE: HOSTILE}
    path = tmp_path / "hostile.html"
    text = page(boards_of(runs), title=HOSTILE, left_out=[HOSTILE], made=HOSTILE)
    path.write_text(text, encoding="utf-8")
    browser.events.clear()
    browser.open(path.as_uri())
    browser.js("document.querySelectorAll('button.expand').forEach((b) => b.click())")
    assert browser.js("document.querySelectorAll('img').length") == 0
    shown = browser.js("document.body.textContent")
    assert shown.count("<script>alert(1)</script>") >= 2 and troubles(browser, path) == []
    methods = {event["method"] for event in browser.events}
    assert "Page.javascriptDialogOpening" not in methods
    # and were a text ever to become markup, the policy would stop it
    markup = '<img src=x onerror="window.ran=1"><svg onload="window.ran=1">'
    browser.js(f"document.body.insertAdjacentHTML('beforeend', '{markup}')")
    browser.js("new Promise((done) => setTimeout(done, 200))")
    assert browser.js("window.ran === undefined")
    received = [e for e in browser.events if e["method"] == "Network.responseReceived"]
    assert not any(event["params"].get("type") == "Image" for event in received)
