from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from sample_report import HOSTILE, SAMPLES, sample

from tunesmith.evaluation import palette
from tunesmith.evaluation.page import render, write_page
from tunesmith.evaluation.reading import read
from tunesmith.evaluation.verdict import Guard

_VOID = {"meta", "link", "br", "img", "input", "hr", "wbr"}


class _Page(HTMLParser):
    """What a browser would find: elements with attributes, text, and whether every element is closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.misnested: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))
        if tag == "wbr":
            self.texts.append("\u200b")
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.misnested.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        joined = " ".join(self.texts).replace(" \u200b ", "")  # a place to break is no space
        return " ".join(joined.replace("\u00a0", " ").split())

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attrs for name, attrs in self.elements if name == tag]


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return {name: render(sample(name)) for name in SAMPLES}


@pytest.mark.parametrize("name", SAMPLES)
def test_a_page_is_well_formed_whatever_the_report_holds(pages: dict[str, str], name: str) -> None:
    page = _Page(pages[name])
    assert page.misnested == []
    assert page.open == []
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    named = " ".join(attrs.get("aria-labelledby", "") for _, attrs in page.elements).split()
    linked = [a["href"][1:] for a in page.all("a") if a["href"].startswith("#")]
    assert set(named) | set(linked) <= set(ids)
    assert linked


@pytest.mark.parametrize("name", SAMPLES)
def test_a_page_holds_no_script_no_inline_style_and_no_outside_address(pages: dict[str, str], name: str) -> None:
    page = _Page(pages[name])
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "iframe", "object", "embed", "img", "form", "base", "video", "audio", "image", "use"}
    for tag, attrs in page.elements:
        assert not any(key.startswith("on") or key in ("style", "src", "srcset", "action") for key in attrs), (
            tag,
            attrs,
        )
        for key in ("href", "xlink:href"):
            assert attrs.get(key, "#").startswith(("#", "data:image/svg+xml,")), (tag, attrs)
    style = re.search(r"<style>(.*?)</style>", pages[name], re.S)
    assert style is not None
    assert "url(" not in style[1]
    assert "@import" not in style[1]
    assert "//" not in style[1]


def test_the_policy_allows_just_the_style_sheet_that_is_there(pages: dict[str, str]) -> None:
    style = re.search(r"<style>(.*?)</style>", pages["classify"], re.S)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policy = next(m["content"] for m in _Page(pages["classify"]).all("meta") if "http-equiv" in m)
    assert f"style-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_hostile_cells_are_shown_as_text_and_nothing_else(pages: dict[str, str]) -> None:
    page = _Page(pages["hostile"])
    assert "<script>alert(1)</script>" in page.text
    assert "<img src=x onerror=alert(2)>" in page.text
    assert "{{ 7 * 7 }}" in page.text
    assert "[bold red]markup" in page.text
    pages["hostile"].encode("utf-8")  # a lone surrogate would raise
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", pages["hostile"])


def test_a_cell_of_a_whole_document_does_not_burst_the_page(pages: dict[str, str]) -> None:
    longest = max(HOSTILE, key=len)
    assert len(longest) > 60_000
    assert len(pages["hostile"]) < 700_000
    assert "(cut here)" in pages["hostile"]


@pytest.mark.parametrize(
    ("name", "tone", "headline"),
    [
        ("classify", "good", "Ship the tuned system"),
        ("no-evidence", "calm", "Keep the untuned system"),
        ("worse", "bad", "Keep the untuned system"),
        ("text", "warn", "Keep the untuned system for now"),
        ("no-candidate", "calm", "Nothing was tuned"),
        ("nothing-ran", "warn", "No verdict recorded"),
        ("empty", "warn", "No verdict recorded"),
    ],
)
def test_the_verdict_stands_first_with_word_icon_and_colour(
    pages: dict[str, str], name: str, tone: str, headline: str
) -> None:
    page = _Page(pages[name])
    assert any(a.get("class") == f"hero {tone}" for a in page.all("div"))
    sentence = sample(name).get("verdict", {}).get("sentence") or f"{headline}."
    places = [page.text.index(words, page.text.index("Skip to")) for words in (headline, sentence, "The ladder Every")]
    assert places == sorted(places)
    badge = pages[name][pages[name].index('class="badge"') :][:400]
    assert "<svg" in badge
    assert headline in badge


def test_a_lead_that_costs_invented_facts_is_not_called_no_difference() -> None:
    report = sample("text")
    report["verdict"] |= {"claim": "no evidence", "difference": 0.08, "interval": [0.03, 0.13], "p_value": 0.001}
    guard = {"metric": "unsupported_rate", "best": "lead", "candidate_value": 0.35, "best_value": 0.0}
    report["details"]["verdict"] = {"guards": [{**guard, "upper": 0.4, "p_value": 0.0001}]}
    text = _Page(render(report)).text
    assert "worse in one thing that must not get worse: unsupported facts" in text
    assert "35.0 % for the tuned system, 0.0 % for the best other" in text
    assert "found none" not in text
    report["details"]["verdict"] = {"guards": [{**guard, "upper": 0.05, "p_value": 0.2}]}
    assert "too small to show that it is no worse in unsupported facts" in _Page(render(report)).text


def test_what_ships_stands_beside_its_alternatives_with_their_price(pages: dict[str, str]) -> None:
    page = _Page(pages["classify"])
    cards = [a for a in page.all("article") if a["class"].startswith("choice")]
    assert [a["class"] for a in cards] == ["choice ships", "choice", "choice"]
    for words in (
        "This ships",
        "Best untuned system",
        "Cheapest within reach",
        "11 min 43 s",
        "91.6 MiB",
        "53\u00d7 less",
    ):
        assert words in page.text, words


def test_a_failed_check_is_announced_beside_the_verdict_with_its_remedy(pages: dict[str, str]) -> None:
    text = _Page(pages["worse"]).text
    assert text.index("1 check failed.") < text.index("This ships")
    assert "9 passed" in text
    assert "set export.merge to false" in text
    assert "check failed" not in _Page(pages["classify"]).text


@pytest.mark.parametrize("passed", [False, None, "yes", 1])
def test_a_check_that_is_not_plainly_passed_is_never_counted_as_passed(passed: object) -> None:
    report = sample("classify")
    report["checks"] = [{"name": "x", "applies": True, "passed": passed, "value": 1, "bound": "= 0"}]
    assert [check.state for check in read(report).checks] == ["failed"]


def test_a_check_that_does_not_apply_is_listed_as_such(pages: dict[str, str]) -> None:
    text = _Page(pages["classify"]).text
    assert "10 passed" in text
    assert "1 does not apply" in text
    assert "Does not apply (1): proves nothing here" in text


@pytest.mark.parametrize("name", ["bare", "empty", "broken"])
def test_what_a_report_lacks_is_shown_as_lacking(pages: dict[str, str], name: str) -> None:
    text = _Page(pages[name]).text
    assert "No errors to read are recorded in this report." in text
    assert "The steps from the file to the split are not recorded in this report." in text
    assert "How often this test was opened on this machine is not recorded." in text


def test_rungs_that_did_not_run_are_listed_with_the_reason(pages: dict[str, str]) -> None:
    text = _Page(pages["classify"]).text
    assert "Contrastively tuned encoder: not run" in text
    assert "needs about 3 h of the 20 min budget" in text
    assert "the budget of 2 s ended before it could start" in _Page(pages["nothing-ran"]).text


def test_energy_and_money_are_labelled_as_estimates(pages: dict[str, str]) -> None:
    html = pages["classify"]
    card = html[html.index("Energy and money") :][:900]
    assert '<span class="tag">estimate</span>' in card
    assert "Not measured." in card
    assert "10.3\u00a0Wh" in card


def test_lineage_inflation_and_the_ledger_are_told(pages: dict[str, str]) -> None:
    text = _Page(pages["classify"]).text
    assert "136 rows without a category take no part" in text
    assert "would have flattered the score by about 2.1 points" in text
    assert "This test was opened once on this machine" in text
    assert "This test was opened 6 times on this machine" in _Page(pages["worse"]).text


def test_inflation_is_told_in_the_words_of_ingest_where_it_gives_them() -> None:
    report = sample("classify")
    report["details"]["data"]["notes"]["split"] = {
        "inflation": {"measured": False, "sentence": "not measured: 9 rows are too few."}
    }
    assert "Not measured: 9 rows are too few." in _Page(render(report)).text


def test_seventy_seven_labels_are_folded_to_the_weakest_and_the_strongest(pages: dict[str, str]) -> None:
    text = _Page(pages["many-classes"]).text
    assert text.index("The weakest labels") < text.index("The strongest labels") < text.index("All 77 labels")


def test_a_section_says_of_whom_it_speaks_when_that_is_not_what_ships() -> None:
    report = sample("text")
    report["details"]["errors_of"] = "lm"
    text = _Page(render(report)).text
    assert "The most telling mistakes of \u201cTuned language model\u201d, which does not ship" in text
    assert "Answer of \u201cTuned language model\u201d, which does not ship" in text


def test_slices_are_read_in_the_metric_that_they_were_scored_by() -> None:
    report = sample("classify")
    report["details"]["slices_metric"] = "accuracy"
    html = render(report)
    table = html[html.index("Where it does worst") :][:600]
    assert "Accuracy" in table
    assert "Macro-F1" not in table


def test_the_same_report_gives_the_same_bytes(tmp_path: Path) -> None:
    write_page(sample("classify"), tmp_path / "a.html")
    write_page(sample("classify"), tmp_path / "b.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.html", "b.html"]


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(a: str, b: str) -> float:
    high, low = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_computed_as_wcag_defines_it() -> None:
    assert _contrast("#000000", "#ffffff") == pytest.approx(21)
    assert _contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", ["LIGHT", "DARK"])
def test_every_pair_of_colours_that_meet_has_the_contrast_of_wcag_aa(scheme: str) -> None:
    colours: dict[str, str] = getattr(palette, scheme)
    assert set(palette.LIGHT) == set(palette.DARK)
    weak = {
        (front, back): round(_contrast(colours[front], colours[back]), 2)
        for front, back, least in palette.MEETINGS
        if _contrast(colours[front], colours[back]) < least
    }
    assert weak == {}


def test_the_style_sheet_takes_every_colour_from_the_palette() -> None:
    css = (Path(palette.__file__).parent / "page.css").read_text(encoding="utf-8")
    assert re.findall(r"#[0-9a-fA-F]{3,8}\b", css) == []
    assert set(re.findall(r"var\(--([a-z-]+)\)", css)) - {"font", "mono", "radius"} <= set(palette.LIGHT)


@pytest.mark.parametrize(("p", "upper"), [(0.001, 0.4), (0.2, 0.05), (0.6, 0.01), (0.04, 0.01)])
def test_a_guard_is_read_as_the_verdict_means_it(p: float, upper: float) -> None:
    guard = Guard("unsupported_rate", "lead", 0.1, 0.0, upper, p, 200, 900)
    report = sample("text")
    report["details"]["verdict"] = {"guards": [vars(guard)]}
    meant = "broken" if guard.broken else "holds" if guard.holds else "not shown"
    assert [g.state for g in read(report).verdict.guards] == [meant]
