"""The report's page says what the numbers say, shows it anywhere, and loads nothing."""

import base64
import re
from collections import Counter
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

import gatedrnn as gr
from gatedrnn import report

NAMES = {"cell": "lstm", "input": "text", "init": "chrono", "gate": "forget"}
MAP = {**NAMES, "steps": [25, 75], "values": [[0.99, 0.98], [0.6, 0.5]], "timescales": [70.0, 1.5]}


@pytest.fixture(scope="module")
def comparison(sample):
    """(changes) -> all that a page is made of."""
    parts = {
        "runs": sample,
        "gate_maps": [MAP],
        "summary": [],
        "versions": {"gatedrnn": "1.0"},
        "device": {"platform": "cpu", "count": 1},
        "command": "gatedrnn compare --horizon 100",
        "notes": ["Driven by 100 bytes of text."],
    }
    return lambda **changes: {**parts, **changes}


class Page(HTMLParser):
    """Tags with their attributes and all text, in order; refuses tags that do not nest."""

    void = ("meta", "img", "source", "br", "link")

    def __init__(self, page):
        super().__init__()
        self.tags, self.open, self.text = [], [], ""
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def page(comparison):
    """What is written of it as it is."""
    return report.html(comparison())


def test_page_is_semantic(page):
    parsed = Page(page)
    counts = Counter(tag for tag, _ in parsed.tags)
    assert counts["h1"] == counts["title"] == counts["main"] == 1
    assert parsed.all("html")[0]["lang"] == "en"
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in parsed.all("meta")
    assert all(header["scope"] in ("col", "row") for header in parsed.all("th"))
    assert len(parsed.all("table")) == counts["caption"] == 2
    assert all(len(image["alt"]) > 30 for image in parsed.all("img"))
    assert "Gradient flow over 100 steps" in parsed.text
    assert "a network 100 layers deep" in parsed.text
    assert parsed.text.index("At the left edge is the loss") < parsed.text.index("Each row of a map is one unit")


def test_page_loads_nothing(page):
    parsed = Page(page)
    for _, attributes in parsed.tags:
        for name in ("src", "srcset", "href", "action", "data", "poster"):
            assert attributes.get(name, "data:").startswith("data:")
    assert not {"script", "link", "iframe", "object", "embed", "base"} & {tag for tag, _ in parsed.tags}
    assert not re.search(r"@import|url\(|http-equiv", page)
    for picture in pictures(parsed):
        root = ElementTree.fromstring(picture)
        for element in root.iter():
            links = [value for name, value in element.attrib.items() if name.endswith(("href", "src"))]
            assert all(link.startswith(("#", "data:")) for link in links)


def pictures(parsed):
    """The embedded SVG files."""
    links = [tag["srcset"] for tag in parsed.all("source")] + [tag["src"] for tag in parsed.all("img")]
    return [base64.b64decode(link.removeprefix("data:image/svg+xml;base64,")) for link in links]


def test_each_picture_has_a_version_for_every_screen(page):
    parsed = Page(page)
    sources = [tag["media"] for tag in parsed.all("source")]
    phone, night = "(max-width: 700px)", "(prefers-color-scheme: dark)"
    assert sources == 2 * [f"{phone} and {night}", phone, night]
    assert len(parsed.all("img")) == 2
    dark = [b"#0f1318" in picture for picture in pictures(parsed)]
    assert dark == 2 * [True, False, True] + 2 * [False]
    widths = [int(tag["width"]) for tag in parsed.all("source")[:3]]
    assert widths[0] == widths[1] < 0.6 * widths[2]


def test_wide_tables_scroll_in_their_own_box(page):
    boxes = [tag for tag in Page(page).all("div") if tag.get("class") == "scroll"]
    assert len(boxes) == 2
    assert all(box["tabindex"] == "0" and box["role"] == "region" and box["aria-label"] for box in boxes)
    assert ".scroll, pre { overflow-x: auto;" in page


def test_strings_are_escaped(run, comparison):
    nasty = """<script>alert("1")</script> & 'more' {braces}"""
    runs = [run(nasty, kind, nasty) for kind in ("silent", nasty)]
    maps = [{**MAP, "cell": nasty, "gate": nasty}]
    dicts = {nasty: nasty}
    written = report.html(
        comparison(runs=runs, gate_maps=maps, notes=[nasty], versions=dicts, device=dicts, command=nasty)
    )
    parsed = Page(written)
    assert not parsed.all("script")
    assert written.count("<script") == 0
    assert parsed.text.count(nasty) >= 5


def test_same_data_give_the_same_page(comparison, page):
    assert report.html(comparison()) == page


def test_every_configuration_is_told_in_numbers(page):
    """The paragraph of a vanishing configuration, number by number: rates 0.5, 0.55 and 0.6."""
    text = " ".join(Page(page).text.split())
    assert (
        "LSTM default, silent: vanishing The gradient norm at lag 100 is 10⁻⁵⁵ (10⁻⁶⁰ to 10⁻⁵⁰). "
        "The fitted rate is −0.55 (−0.6 to −0.5) decades per step: the norm halves every 0.547 (0.502 to 0.602) steps. "
        "The norm falls below 10⁻³ at lag 6 (6 to 7) and 10⁻³⁸ (zero in float32) at lag 70 (64 to 77). "
        "It does not fall below 10⁻³⁰⁸ (zero in float64). "
        "The largest Lyapunov exponent is −1.27 (−1.38 to −1.15) nats per step."
    ) in text
    assert "RNN default, silent: isometric The gradient norm at lag 100 is 1. " in text


def test_table_holds_every_number(page):
    row = re.search(r"<tr><th scope=\"row\">LSTM default</th><td>driven by text</td>.*?</tr>", page)[0]
    cells = [re.sub(r"<small>.*?</small>", "", cell) for cell in re.findall(r"<td>(.*?)</td>", row)]
    names = ["driven by text", "vanishing", "10⁻⁶⁶"]
    assert cells == [*names, "−0.66", "0.456", "5", "58", "not reached", "−66", "0", "−1.52"]
    assert "<small>10⁻⁷² to 10⁻⁶⁰</small>" in row


def test_columns_follow_from_the_table(page):
    headings = re.findall(r'<th scope="col">(.*?)</th>', page)
    assert [scalar.heading for scalar in gr.flow.SCALARS.values()] == headings[4 : 4 + len(gr.flow.SCALARS)]


def test_verdicts_are_printed_whole(sample, page):
    text = Page(page).text
    assert all(report.verdict(one) in text for one in sample)


def test_time_scales_are_told(run, comparison):
    runs = [run("gru", timescale_quantiles=[3.0, 20.0, None]), run("lstm", timescale_quantiles=[2.0, 2.0, 2.0])]
    told = report.html(comparison(runs=runs, gate_maps=[]))
    assert (
        "One unit in ten holds its state for less than 3 steps, half for more than 20, one in ten for more than ∞."
        in told
    )
    assert "Its units hold their state for 2 steps." in told


EDGES = {  # name -> the runs, of those that `run` makes
    "single run": lambda run: [run()],
    "horizon 1": lambda run: [run(horizon=1, lags=[0, 1], log10_norm=[0.0, -0.1], closed_form_log10_norm=None)],
    "explosion": lambda run: [run(rate=-50.0)],
    "zero at once": lambda run: [
        run(
            log10_norm=[0.0, None, None, None],
            rate_log10_per_step=None,
            lyapunov_max=None,
            lag_below_1e3=1,
            lag_below_float32=1,
            lag_below_float64=1,
            lowest=None,
            verdict="vanishing",
        )
    ],
    "always zero": lambda run: [
        run(
            log10_norm=[None] * 4,
            closed_form_log10_norm=None,
            rate_log10_per_step=None,
            lowest=None,
            verdict="vanishing",
            lag_below_1e3=0,
            lag_below_float32=0,
            lag_below_float64=0,
        )
    ],
    "seeds that disagree": lambda run: [run(rate=rate, seed=seed) for seed, rate in enumerate((0.01, 1.0, 2.0, -1.0))],
    "unknown names": lambda run: [run("my cell", "my input", "my init"), run("other", "driven", "default")],
}


@pytest.mark.slow
@pytest.mark.parametrize("case", EDGES)
def test_edges(case, run):
    parsed = Page(report.html({"runs": EDGES[case](run)}))
    assert len(parsed.all("img")) == 1
    assert "nan" not in re.findall(r"[a-z]+", parsed.text.lower())
    for name, words in {
        "horizon 1": "over 1 step is a network 1 layer deep",
        "explosion": "float64: infinity in 1: RNN default, silent.",
        "zero at once": "The norm falls below 10⁻³ at lag 1, 10⁻³⁸ (zero in float32) at lag 1 and 10⁻³⁰⁸",
        "seeds that disagree": "vanishing (2 of 4 seeds), isometric (1 of 4 seeds), exploding (1 of 4 seeds)",
        "unknown names": "my cell my init, driven by my input",
    }.items():
        assert (words in parsed.text) == (name == case)


def test_no_runs():
    with pytest.raises(ValueError, match="`runs` must hold at least one run to report"):
        report.html({"runs": []})
