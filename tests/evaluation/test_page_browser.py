"""The page in a real browser: it fits every width, loads nothing, and the browser has nothing to complain of."""

from __future__ import annotations

import http.server
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sample_report import SAMPLES, sample

from tunesmith.evaluation.page import render, write_page

pytestmark = pytest.mark.slow

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
# The narrowest phone and the widest screen that the page promises, and what lies between its breakpoints.
_WIDTHS = (390, 700, 900, 1200, 1600)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("no chromium with chromedriver on this machine (Debian: apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*_FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    made = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    made.get("about:blank")
    yield made
    made.quit()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    for name in SAMPLES:
        write_page(sample(name), folder / f"{name}.html")
    return {name: folder / f"{name}.html" for name in SAMPLES}


def _open(browser: Any, url: str, *, width: int = 900, scheme: str = "light") -> None:
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(url)


def _requests(browser: Any) -> list[str]:
    """Addresses that the browser asked for since the last call, without its own start page (chrome://)."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    return [url for url in asked if not url.startswith(("chrome:", "chrome-untrusted:", "data:"))]


@pytest.mark.parametrize("name", SAMPLES)
def test_the_page_fits_every_width_in_both_schemes_and_the_browser_has_nothing_to_say(
    browser: Any, pages: dict[str, Path], name: str
) -> None:
    url = pages[name].as_uri()
    browser.get_log("browser")
    _requests(browser)
    for scheme in ("light", "dark"):
        for width in _WIDTHS:
            _open(browser, url, width=width, scheme=scheme)
            wide = browser.execute_script("return document.documentElement.scrollWidth")
            assert wide <= width, (scheme, width)
    assert browser.get_log("browser") == []
    assert set(_requests(browser)) == {url}


def test_text_of_the_charts_stays_legible_on_a_phone_and_on_a_screen(browser: Any, pages: dict[str, Path]) -> None:
    script = """
      return [...document.querySelectorAll('svg.chart')].filter(s => s.getBoundingClientRect().width > 0).flatMap(s => {
        const scale = s.getBoundingClientRect().width / s.viewBox.baseVal.width;
        return [...s.querySelectorAll('text')].map(t => parseFloat(getComputedStyle(t).fontSize) * scale);
      });"""
    for width in _WIDTHS:
        _open(browser, pages["classify"].as_uri(), width=width)
        sizes = browser.execute_script(script)
        assert len(sizes) > 40
        assert min(sizes) >= 10, width
        assert max(sizes) <= 24, width


def test_no_text_of_a_chart_leaves_its_chart(browser: Any, pages: dict[str, Path]) -> None:
    script = """
      return [...document.querySelectorAll('svg.chart')].filter(s => s.getBoundingClientRect().width > 0).flatMap(s => {
        const box = s.getBoundingClientRect();
        return [...s.querySelectorAll('text')].filter(t => {
          const b = t.getBoundingClientRect(); return b.left < box.left - 2 || b.right > box.right + 2; })
          .map(t => t.textContent);
      });"""
    for name in ("classify", "text", "hostile", "many-classes", "nothing-ran"):
        for width in (390, 900):
            _open(browser, pages[name].as_uri(), width=width)
            assert browser.execute_script(script) == [], (name, width)


def test_the_verdict_is_seen_without_scrolling_and_dark_is_dark(browser: Any, pages: dict[str, Path]) -> None:
    grounds = {}
    for scheme in ("light", "dark"):
        _open(browser, pages["classify"].as_uri(), width=390, scheme=scheme)
        bottom = browser.execute_script("return document.querySelector('h1').getBoundingClientRect().bottom")
        assert bottom < 900
        grounds[scheme] = browser.execute_script("return getComputedStyle(document.documentElement).backgroundColor")
    light, dark = (sum(int(p) for p in grounds[s].strip("rgb()").split(",")) for s in ("light", "dark"))
    assert light > 600
    assert dark < 120


def test_everything_that_opens_is_reached_by_keyboard(browser: Any, pages: dict[str, Path]) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    _open(browser, pages["classify"].as_uri(), width=390)
    wanted = browser.execute_script("return document.querySelectorAll('main summary').length")
    reached = 0
    first = None
    for _ in range(120):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        seen = browser.execute_script(
            "const e = document.activeElement; return [e.tagName, e.className, getComputedStyle(e).outlineStyle]"
        )
        first = first or seen
        assert seen[2] != "none", seen
        reached += seen[0] == "SUMMARY"
        if reached == wanted:
            break
    assert first is not None
    assert first[:2] == ["A", "skip"]
    assert reached == wanted


def test_a_printed_page_is_light_and_unfolds_what_is_folded(browser: Any, pages: dict[str, Path]) -> None:
    _open(browser, pages["classify"].as_uri(), width=900, scheme="dark")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    ground = browser.execute_script("return getComputedStyle(document.documentElement).backgroundColor")
    folded = browser.execute_script(
        "return [...document.querySelectorAll('main section details:not([open])')].map("
        "d => d.querySelector(':scope > :not(summary)').getBoundingClientRect().height)"
    )
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert ground == "rgb(255, 255, 255)"
    assert folded
    assert min(folded) > 0


def test_even_markup_that_slipped_through_could_load_nothing(browser: Any, tmp_path: Path) -> None:
    """Sabotage: put the worst straight into the page; the content security policy must hold by itself."""
    asked: list[str] = []

    class Host(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Host)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    host = f"http://127.0.0.1:{server.server_port}"
    worst = (
        f'<img src="{host}/img"><script src="{host}/script"></script><script>document.title="taken"</script>'
        f'<iframe src="{host}/frame"></iframe><link rel="stylesheet" href="{host}/css">'
        f'<p id="x" style="background:url({host}/bg)">x</p><img src=x onerror="document.title=\'taken\'">'
    )
    path = tmp_path / "sabotaged.html"
    html = render(sample("classify"))
    assert "</main>" in html
    path.write_text(html.replace("</main>", worst + "</main>"), encoding="utf-8")
    try:
        _open(browser, path.as_uri())
        taken = browser.execute_script("return document.title")
        there = browser.execute_script("return document.getElementById('x') !== null")
    finally:
        server.shutdown()
    complaints = browser.get_log("browser")
    assert there
    assert "taken" not in taken
    assert asked == []
    assert len([c for c in complaints if "Content Security Policy" in c["message"]]) >= 4


@pytest.mark.parametrize("width", _WIDTHS)
def test_the_profile_of_a_curation_fits_too(browser: Any, tmp_path: Path, width: int) -> None:
    from test_curation_page import profile

    from tunesmith.evaluation.curation_page import write_profile

    write_profile(profile(), tmp_path / "profile.html")
    url = (tmp_path / "profile.html").as_uri()
    _requests(browser)
    _open(browser, url, width=width)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    main = browser.execute_script("return document.querySelector('main').getBoundingClientRect().width")
    assert main >= min(0.9 * width - 32, 640), "the page is not squeezed into a column"
    assert set(_requests(browser)) == {url}
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
