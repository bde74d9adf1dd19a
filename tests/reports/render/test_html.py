"""Tables as HTML: parsed again, cell by cell."""

from html.parser import HTMLParser

from benchmark.reports.render.html import html
from benchmark.reports.tables import Cell, Column, Row, Table

COLUMNS = (Column("dev.f1", "F1", "dev"), Column("d", "Δ F1", "test", difference=True))
HOSTILE = "</td></table><script>alert(1)</script>\" onclick='x' &amp;"


class Parsed(HTMLParser):
    """The elements in order: (tag, attributes, text directly or deeper within)."""

    def __init__(self, text):
        super().__init__()
        self.elements, self._open = [], []
        self.feed(text)
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag, attributes):
        element = [tag, dict(attributes), ""]
        self.elements.append(element)
        if tag not in ("meta", "link", "input"):
            self._open.append(element)

    def handle_endtag(self, tag):
        assert self._open.pop()[0] == tag

    def handle_data(self, data):
        for element in self._open:
            element[2] += data

    def of(self, *tags):
        return [(attributes, text) for tag, attributes, text in self.elements if tag in tags]


def table(name="atlop", note="Over `none`."):
    rows = (
        Row(name, "none", {"dev.f1": Cell({0: 50, 1: 52}, best=True)}, (0, 1), (0, 1)),
        Row(
            name,
            "vae",
            {"dev.f1": Cell({0: 49, 1: 49}), "d": Cell({0: -1}, mark="‡")},
            (0, 1),
            (0, 1),
        ),
        Row("kd", "none", {"dev.f1": Cell(absent="undefined")}, (0,), (0, 1)),
    )
    return Table(name, (note,), "Backbone", "Augmenter", COLUMNS, rows)


def test_structure_is_in_the_marks():
    parsed = Parsed(html([table()]))
    spans = ("scope", "colspan", "rowspan")
    scopes = [(*map(attributes.get, spans), text) for attributes, text in parsed.of("th")]
    assert scopes == [
        *(("col", None, "2", label) for label in ("Backbone", "Augmenter", "seeds")),
        *(("colgroup", "1", None, heading) for heading in ("dev", "test")),
        *(("col", None, None, label) for label in ("F1", "Δ F1")),
        ("rowgroup", None, "2", "atlop"),
        *(("row", None, None, label) for label in ("none", "vae")),
        ("rowgroup", None, "1", "kd"),
        ("row", None, None, "none"),
    ]
    texts = lambda *tags: [text for _, text in parsed.of(*tags)]
    assert texts("caption") == ["atlop"] and len(texts("tbody")) == 2
    assert texts("figcaption", "code") == ["About this tableOver none.", "none"]
    cells = ["2", "51.00 ± 1.41", "", "2", "49.00 ± 0.00", "−1.00 (n=1)‡", "1/2", "n/a", ""]
    assert texts("td") == cells and texts("strong") == ["51.00"]


def test_hostile_texts_stay_texts():
    cells = {"a": Cell({0: 1}, mark=HOSTILE), "b": Cell(absent=HOSTILE)}
    row = Row(HOSTILE, HOSTILE, cells, (0,), (0,), rank=HOSTILE)
    columns = tuple(Column(key, HOSTILE, HOSTILE + key) for key in cells)
    text = html([Table(HOSTILE, (HOSTILE,), HOSTILE, HOSTILE, columns, (row,))])
    parsed = Parsed(text)
    assert "style=" not in text and not parsed.of("script")
    assert all("onclick" not in attributes for _, attributes, _ in parsed.elements)
    assert [text for _, text in parsed.of("caption")] == [HOSTILE]
    assert [text for _, text in parsed.of("td")] == [HOSTILE, "1", f"1.00{HOSTILE}", HOSTILE]
