"""The report in a real browser: offline, sorted, filtered, linked, printed, the console silent."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pvq.figures.compare import compare_runs
from pvq.figures.compare_page import write_comparison
from pvq.figures.report import write_report
from pvq.figures.stored_run import read_run

from .bound_rows import awkward, full, write

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page, Route

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")


def rows() -> list[dict[str, object]]:
    """Six layers at two widths; the lead is 8.5 dB at 4 bits and smaller at 2."""
    kurtosis = (9.0, 3.0, None, 12.0, 5.0, 100.0)
    made = [
        full(f"layer{i}.conv", bits, kurtosis=kurtosis[i], quant_snr_achieved_db=20.5 - i - 0.5 * (4 - bits))
        for i in range(6)
        for bits in (2, 4)
    ]
    made[2]["verdict"] = "prune (likely)"
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("pages")
    for name, some in (("plain", rows()), ("awkward", awkward())):
        write_report(write(made / name, some))
    before, after = read_run(made / "plain"), read_run(write(made / "other", [*rows()[2:], full("new")]))
    write_comparison(compare_runs(before, after), ("plain", "other"), made / "changes")
    return made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield launched
        launched.close()


class Watched:
    """A page that notes what it asks of the network and what it complains of."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.route("**/*", self._route)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _route(self, route: Route) -> None:
        if route.request.url.startswith("file://"):
            route.continue_()
        else:
            self.requests.append(route.request.url)
            route.abort()

    def _console(self, message: ConsoleMessage) -> None:
        self.complaints.append(message.text)

    def layers(self) -> list[str]:
        """The layers of the rows that are shown, in order."""
        return self.page.locator("#rows tbody tr:not([hidden]) th").all_inner_texts()


@pytest.fixture
def watched(browser: Browser) -> Iterator[Watched]:
    page = browser.new_page(offline=True)
    page.set_default_timeout(5000)
    seen = Watched(page)
    yield seen
    page.close()
    assert seen.requests == []
    assert seen.complaints == []


@pytest.fixture
def report(watched: Watched, folder: Path) -> Watched:
    watched.page.goto((folder / "plain" / "report.html").as_uri())
    return watched


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["plain/report.html", "awkward/report.html", "changes/compare.html"])
def test_every_page_opens_offline_without_a_complaint(
    name: str, scheme: str, watched: Watched, folder: Path
) -> None:
    watched.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    watched.page.goto((folder / name).as_uri())
    assert watched.page.locator("#rows tbody tr").count() > 5
    ink = watched.page.evaluate("getComputedStyle(document.body).color")
    assert (sum(map(int, re.findall(r"\d+", ink))) > 384) is (scheme == "dark")


def test_a_narrow_screen_scrolls_only_inside_tables_and_pictures(report: Watched) -> None:
    report.page.set_viewport_size({"width": 400, "height": 800})
    assert report.page.evaluate("document.documentElement.scrollWidth") == 400


def test_a_heading_sorts_up_then_down_with_the_unknown_last(report: Watched) -> None:
    heading = report.page.get_by_role("columnheader", name="kurtosis")
    for order, layers in (("ascending", [1, 4, 0, 3, 5, 2]), ("descending", [5, 3, 0, 4, 1, 2])):
        heading.get_by_role("button").click()
        assert heading.get_attribute("aria-sort") == order
        assert report.layers()[::2] == [f"layer{i}.conv" for i in layers]
    assert report.page.locator("[aria-sort]").count() == 1


def test_sorting_works_from_the_keyboard(report: Watched) -> None:
    report.page.get_by_role("button", name="lead").focus()
    report.page.keyboard.press("Enter")
    assert report.layers()[0] == "layer5.conv"
    report.page.keyboard.press("Space")
    assert report.layers()[0] == "layer0.conv"
    focus = report.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert focus == "solid"


def test_filters_hide_rows_and_say_how_many_are_left(report: Watched) -> None:
    page = report.page
    page.get_by_role("combobox", name="Bits").select_option("4")
    assert page.locator("#shown").inner_text() == "6 of 12 rows"
    page.get_by_label("Layer contains").fill("LAYER1")
    assert report.layers() == ["layer1.conv"]
    page.get_by_role("combobox", name="Bits").select_option("")
    page.get_by_role("combobox", name="Verdict").select_option("prune (likely)")
    assert page.locator("#shown").inner_text() == "1 of 12 rows"
    page.get_by_label("Layer contains").fill("nowhere")
    assert page.locator("#empty").is_visible()
    page.get_by_role("button", name="Show all").click()
    assert page.locator("#shown").inner_text() == "12 of 12 rows"


def test_a_view_is_in_the_address_and_comes_back_from_it(report: Watched) -> None:
    page = report.page
    page.get_by_role("combobox", name="Bits").select_option("2")
    page.get_by_role("checkbox", name="cost").uncheck()
    page.get_by_role("button", name="lead").click()
    page.wait_for_url(re.compile(r"#view\?.*bits=2.*sort=lead"))
    shown, address = report.layers(), page.url
    page.goto("about:blank")
    page.goto(address)
    assert report.layers() == shown == [f"layer{i}.conv" for i in (5, 4, 3, 2, 1, 0)]
    assert page.get_by_role("combobox", name="Bits").input_value() == "2"
    assert not page.get_by_role("columnheader", name="seconds").is_visible()


def test_a_view_that_makes_no_sense_shows_everything(watched: Watched, folder: Path) -> None:
    address = (folder / "plain" / "report.html").as_uri()
    watched.page.goto(f"{address}#view?bits=17&sort=nothing&order=sideways&verdict=%3Cb%3E")
    assert watched.page.get_by_role("combobox", name="Bits").evaluate("it => it.selectedIndex") == 0
    assert watched.page.locator("#shown").inner_text() == "12 of 12 rows"


def test_every_layer_has_its_place(report: Watched) -> None:
    page = report.page
    page.locator("#rows tbody th a", has_text="layer3.conv").first.click()
    assert page.url.endswith("#layer-layer3.conv")
    assert page.locator("article:target h3").inner_text() == "layer3.conv"
    page.locator("article:target").get_by_role("link", name="Rows in the table").click()
    page.wait_for_url(re.compile(r"#view\?layer=layer3.conv"))
    assert report.layers() == ["layer3.conv"] * 2
    page.locator("figure a", has_text="layer2.conv").first.click()
    assert page.locator("article:target h3").inner_text() == "layer2.conv"


def test_the_comparison_filters_by_change(watched: Watched, folder: Path) -> None:
    watched.page.goto((folder / "changes" / "compare.html").as_uri())
    watched.page.get_by_role("combobox", name="Change").select_option("only in B")
    assert watched.layers() == ["new"]


def test_it_prints(report: Watched) -> None:
    report.page.emulate_media(media="print", color_scheme="dark")
    assert not report.page.locator("#filters").is_visible()
    assert report.page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    pdf = report.page.pdf(prefer_css_page_size=True)
    assert pdf.startswith(b"%PDF")
    assert 2 <= len(re.findall(rb"/Type /Page\b", pdf)) <= 12
