from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pvq.errors import PvqError
from pvq.figures.report import write_report

from .bound_rows import NASTY, awkward, failed, row, write


class Page(HTMLParser):
    """Tags, ids, links within the page, and the text that a reader sees."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text: list[str] = []
        self._unseen = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(key, value or "") for key, value in attrs]
        self._unseen += tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._unseen -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.text.append(data)

    def all(self, key: str) -> list[str]:
        return [value for name, value in self.attributes if name == key]

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_report(write(tmp_path_factory.mktemp("run"), awkward())).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_the_table_has_one_row_for_each_row(page: Page) -> None:
    assert len(page.all("data-layer")) == len(awkward())
    assert page.all("data-layer")[2] == NASTY


def test_the_page_asks_nothing_of_any_other_place(html: str, page: Page) -> None:
    loads = [
        value for key, value in page.attributes if key in ("src", "href", "xlink:href", "data", "action")
    ]
    assert all(value.startswith("#") for value in loads)
    assert not re.search(r"https?:|//[a-z]|@import|\burl\((?!#)", html.replace("</", ""))


def test_names_and_notes_are_escaped(html: str, page: Page) -> None:
    assert NASTY not in html
    assert "<b>bold</b>" not in html
    assert page.tags.count("script") == 1


def test_a_name_with_dollar_signs_is_no_formula(page: Page) -> None:
    assert any("…" in text and "$a_b$" in text for text in page.text)  # shortened: in the picture


def test_no_nan_or_none_is_shown(page: Page) -> None:
    seen = page.words.replace("weights hold 3 NaN value(s)", "")
    assert not re.search(r"\b(nan|none|null|inf)\b", seen, flags=re.IGNORECASE)
    assert "∞" in seen


def test_a_failed_layer_shows_its_reason(page: Page) -> None:
    assert page.words.count("weights hold 3 NaN value(s)") == 2  # in the table and in its own section


def test_ids_are_unique_and_every_link_has_its_target(page: Page) -> None:
    ids = page.all("id")
    assert len(ids) == len(set(ids))
    targets = [value[1:] for key in ("href", "xlink:href") for value in page.all(key)]
    assert set(targets) <= set(ids)
    assert {"layer-conv1", "layer-layer-1", "layer-layer-1-2"} <= set(ids)


def test_the_head_says_what_to_do_and_how_much_is_proved(page: Page) -> None:
    assert "Quantize conv1" in page.words
    assert "Prune conv1 (proved)" in page.words
    assert "Proved for 1 of 1 layers (100 %)" in page.words
    assert "Proved for 3 of 6 layers (50 %)" in page.words


def test_the_making_is_on_the_page(page: Page) -> None:
    assert "provenance / settings / seed 7" in page.words
    assert "provenance / settings / bits 2, 4" in page.words


def test_a_field_that_the_page_does_not_know_is_kept(page: Page) -> None:
    assert "quant_method: gptq" in page.words


@pytest.mark.parametrize(
    ("rows_total", "words"), [(16, "on a sample of their rows"), (4, "nothing was sampled")]
)
def test_sampling_is_told(rows_total: int, words: str, tmp_path: Path) -> None:
    text = Page(write_report(write(tmp_path, [row(rows=4, rows_total=rows_total)])).read_text()).words
    assert words in text
    assert (
        "of the weights, whole layers counted. Rows are sampled: a proof speaks of the rows bounded, "
        "25 % of the weights." in text
    ) is (rows_total == 16)


@pytest.mark.parametrize(("rows_total", "sampled"), [(16, True), (4, False)])
def test_the_share_over_all_widths_says_what_it_counts(
    rows_total: int, sampled: bool, tmp_path: Path
) -> None:
    """Four rows of 16 proved are not the layer: the share of weights alone would read as if they were."""
    rows = [row(bits=bits, rows=4, rows_total=rows_total) for bits in (2, 4)]
    text = Page(write_report(write(tmp_path, rows)).read_text()).words
    counted = ", whole layers counted; the rows bounded hold 25 % of the weights" if sampled else ""
    assert f"2 of 2 answers proved (100 %), 100 % by number of weights{counted}." in text


def test_a_run_of_which_nothing_succeeded_is_reported(tmp_path: Path) -> None:
    path = write_report(write(tmp_path, [failed("a", "dead"), failed("b", "constant")]))
    assert "No verdict: a, b" in Page(path.read_text()).words


def test_pictures_stand_beside_the_page(tmp_path: Path) -> None:
    write_report(write(tmp_path, [row(bits=bits) for bits in (2, 3, 4, 8)]))
    names = sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert names == [f"snr-ranges-{bits}-bits.{kind}" for bits in ("2-3-4", "8") for kind in ("png", "svg")]


def test_dead_inputs_are_those_of_the_layer(tmp_path: Path) -> None:
    """They are counted over all groups, so they may be more than the inputs of a row."""
    page = Page(write_report(write(tmp_path / "run", [row(n=9, dead_inputs=36)])).read_text())
    assert "9 inputs per row, 36 inputs of the layer always zero" in " ".join(page.text)


def test_the_same_run_gives_the_same_page(tmp_path: Path) -> None:
    pages = [write_report(write(tmp_path / name, awkward())).read_bytes() for name in "ab"]
    assert pages[0] == pages[1]


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PvqError, match="cannot be read"):
        write_report(tmp_path)
