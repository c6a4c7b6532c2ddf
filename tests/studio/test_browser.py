"""The whole way in a real browser: a file is sent, planned, run, read, corrected, exported, served and asked.

Without base models, so that it takes minutes and needs no download: what is tried is the way, not the score.
"""

import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
import urllib.request

import pytest

pytest.importorskip("nicegui", reason="the extra 'studio' is not installed")
webdriver = pytest.importorskip("selenium.webdriver")
By = pytest.importorskip("selenium.webdriver.common.by").By
Stale = pytest.importorskip("selenium.common.exceptions").StaleElementReferenceException

pytestmark = pytest.mark.slow
_FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
          "--disable-background-networking", "--disable-component-update", "--disable-sync",
          "--window-size=1440,1000")  # fmt: skip


@pytest.fixture
def browser(tmp_path):
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("no chromium with chromedriver on this machine")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*_FLAGS, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    made = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield made
    made.quit()


@pytest.fixture
def studio(tmp_path):
    """The address of a studio that runs as a user starts it; it can fetch no base model."""
    nothing = {"TUNESMITH_CACHE": str(tmp_path / "cache"), "PIP_NO_INDEX": "1", "HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "tunesmith", "studio", "--runs", str(tmp_path / "runs"), "--port", "0"],
        stdout=subprocess.PIPE, text=True, env={**os.environ, **nothing, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    yield process.stdout.readline().removeprefix("studio: ").strip()
    process.terminate()
    process.wait(20)


class Page:
    """What a person sees and does."""

    def __init__(self, browser):
        self.browser = browser

    def find(self, css, *, within_s=180.0, text=""):
        """The first element that matches and holds the text, once it is there."""
        ends = time.monotonic() + within_s
        while time.monotonic() < ends:
            try:
                for element in self.browser.find_elements(By.CSS_SELECTOR, css):
                    if text in element.text:
                        return element
            except Stale:
                continue
            time.sleep(0.3)
        raise AssertionError(f"no {css} with '{text}' in: {self.browser.find_element(By.TAG_NAME, 'body').text[:1500]}")

    def press(self, css, **where):
        """Click; a page that is being redrawn is waited for."""
        for _ in range(20):
            try:
                self.find(css, **where).click()
                return
            except Stale:
                time.sleep(0.3)
        raise AssertionError(f"{css} does not stay")

    def hosts(self):
        """Where the browser sent requests since the last call."""
        events = [json.loads(entry["message"])["message"] for entry in self.browser.get_log("performance")]
        asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
        return {re.sub(r"^(\w+://[^/]*).*", r"\1", url) for url in asked if re.match(r"(http|ws)", url)}


def _table(path):
    """120 orders of two kinds, some with an HTML entity, four with the wrong label, one with a tag and a script."""
    draw = random.Random(4)
    things = ("parcel", "lamp", "chair", "kettle", "jacket", "phone", "book", "carpet")
    ends = {"refund": ("send my money back for it", "I want to be paid back", "please return what I paid"),
            "delivery": ("when will it arrive", "the van never came", "where is it now")}  # fmt: skip
    with path.open("w") as handle:
        for n in range(120):
            label = ("refund", "delivery")[n % 2]
            order, thing, end = draw.randrange(9000), draw.choice(things), draw.choice(ends[label])
            mark = "&amp; its box" if n % 6 == 3 else "alone"  # an entity, which *curate* finds and mends
            text = f"Order {order}: the {thing} {mark}, {end} ({draw.random():.3f})"
            said = label if n % 31 else ("delivery", "refund")[n % 2]
            text = "<img src=x onerror=\"document.title='owned'\"> " + text if n == 7 else text
            handle.write(json.dumps({"text": text, "label": said}) + "\n")
    return path


def test_from_a_file_to_an_answer_over_http(browser, studio, tmp_path):
    page, base = Page(browser), studio.split("/?")[0]
    browser.get(studio)
    assert "token" not in browser.current_url
    page.find("#file").send_keys(str(_table(tmp_path / "orders.jsonl")))
    page.find(".pill", text="planned", within_s=400)
    address = browser.current_url
    assert address == f"{base}/runs/orders"
    page.find("h2", text="What was decided, and why")
    page.press("#start")
    page.find(".pill", text="working", within_s=60)
    browser.get(f"{base}/")  # somewhere else and back: the run goes on
    page.find(".run", text="orders")
    browser.get(address)
    page.find(".pill", text="finished", within_s=400)
    browser.switch_to.frame(page.find("iframe.report"))
    page.find("h1", text="ships")
    browser.switch_to.default_content()

    browser.get(f"{address}/review")
    page.find("#item", text="row ")
    page.press("#save")
    page.press("#undo")
    page.find("#item", text="row ")
    page.press("#save")
    time.sleep(1)
    lines = [json.loads(line) for line in next((tmp_path / "runs").rglob("reviews.jsonl")).read_text().splitlines()]
    assert [line["verdict"] for line in lines] == ["edit", "withdraw", "edit"]

    browser.get(f"{address}/try")
    page.find(".given textarea").send_keys("send my money back for the lamp")
    page.press("#ask")
    page.press("#send:not([disabled])", within_s=120)
    page.press("#review-sent:not([disabled])")
    page.find("#item", text="was said to be wrong", within_s=120)
    assert browser.current_url == f"{base}/runs/orders-asked-1/review"

    browser.get(f"{address}/use")
    page.press("#to-bundle", within_s=240)
    page.find(".made", text="held rows answered alike", within_s=240)
    page.press("#serve")
    served, key = page.find("#address", within_s=240).text, page.find("#key").text
    request = urllib.request.Request(
        f"{served}/classify", data=json.dumps({"input": "the van never came with my lamp"}).encode(),
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )  # fmt: skip
    with urllib.request.urlopen(request, timeout=60) as reply:
        assert json.load(reply)["results"][0]["label"] in ("refund", "delivery")
    page.press("#unserve")
    time.sleep(1)
    assert browser.title != "owned"
    assert page.hosts() <= {base, base.replace("http", "ws")}
