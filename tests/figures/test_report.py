from __future__ import annotations

import base64
import hashlib
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pvq.errors import PvqError
from pvq.figures.report import write_report

from .bound_rows import NASTY, awkward, failed, full, row, write


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
    links = [value[1:] for key in ("href", "xlink:href") for value in page.all(key)]
    targets = [link for link in links if not link.startswith("view?")]
    assert set(targets) <= set(ids)
    assert {"layer-conv1", "layer-layer-1", "layer-layer-1-2"} <= set(ids)


def test_the_head_says_what_to_do_and_how_much_is_proved(page: Page) -> None:
    assert "Quantize conv1" in page.words
    assert "Prune conv1 (proved)" in page.words
    assert "Proved for 1 of 1 layers (100 %)" in page.words
    assert "Proved for 3 of 6 layers (50 %)" in page.words
    assert page.words.index("The winner is proved for 6 of 9 answers (66 %)") < page.words.index("At 2 bits")


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
    counted = "rows were sampled: a proof speaks of the rows bounded, which hold 25 % of the weights." in text
    assert counted is (rows_total == 16)


def test_a_run_of_which_nothing_succeeded_is_reported(tmp_path: Path) -> None:
    path = write_report(write(tmp_path, [failed("a", "dead"), failed("b", "constant")]))
    assert "No verdict: a, b" in Page(path.read_text()).words


def test_pictures_stand_beside_the_page(tmp_path: Path) -> None:
    write_report(write(tmp_path, [row(bits=bits) for bits in (2, 3, 4, 8)]))
    names = sorted(path.name for path in (tmp_path / "figures").iterdir())
    stems = ("distance-2-3-4-8-bits", "snr-ranges-2-3-4-8-bits")
    assert names == [f"{stem}.{kind}" for stem in stems for kind in ("png", "svg")]


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


def test_what_older_runs_lack_leaves_no_trace(tmp_path: Path) -> None:
    text = Page(write_report(write(tmp_path, [row()])).read_text()).words
    assert not re.search(r"kurtosis|GPTQ|OBQ|OBS|Peak memory of|H moved", text)
    assert "No held-out images were measured in this run" in text


def test_the_new_fields_are_shown(tmp_path: Path) -> None:
    rows = [full(), full("fc", verdict="prune (proved)", gram_drift=0.125, seconds=60.0)]
    text = Page(write_report(write(tmp_path, rows)).read_text()).words
    for words in (
        "At 4 bits GPTQ is within 2 dB of the best possible on 2 of 2 layers, OBQ within 2 dB on 2 of 2",
        "the median kurtosis is 4.5 where quantization leads (1 layer) and 4.5 where pruning leads (1 layer)",
        "Peak memory of a process was 512 MB",
        "1 min 0 s for the slowest, fc",
        "H differs from the calibration images' H by 9.4 % (median; at most 12.5 %, fc)",
        "quantized points reach 0.25 dB less and pruned points reach 0.50 dB more",
        "The camp of the verdict leads there too in 1 of 2 answers",
        "they carry no proof to other images",
        "quant_bound: hull 4",
        "stage: 1",
    ):
        assert words in text, words


def test_the_calibration_images_are_named_by_content(tmp_path: Path) -> None:
    manifest = {"model": "toy", "calibration": {"calibration": "cifar10:256", "digest": "0123456789abcdef"}}
    text = Page(write_report(write(tmp_path, [row()], manifest)).read_text()).words
    assert "H of the calibration images it names, here cifar10:256 (content 0123456789ab)" in text


def test_marks_of_the_pictures_lead_to_their_layer(tmp_path: Path) -> None:
    html = write_report(write(tmp_path, [full(NASTY), full("b")])).read_text()
    assert html.count("<title>b: 2.00 dB</title>") == 1  # GPTQ: 22 less 20
    assert NASTY not in html
    anchor = re.search(r'<article class="layer" id="([^"]+)"', html)
    assert anchor
    assert html.count(f'href="#{anchor[1]}"><title>') == 9  # its name, 7 distances, its kurtosis


@pytest.mark.parametrize("name", ["bounds.csv", "bounds.md", "report.html"])
def test_what_is_broken_off_is_not_left_behind(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_report(write(tmp_path, [row()]))
    before = (tmp_path / name).read_bytes()
    replace = Path.replace

    def full_disk(source: Path, target: Path) -> Path:
        if target.name == name:
            raise OSError(28, "No space left on device")
        return replace(source, target)

    monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_report(write(tmp_path, [row("other")]))
    assert (tmp_path / name).read_bytes() == before
    assert not list(tmp_path.glob(".*.tmp"))


def test_the_script_is_the_one_that_the_policy_allows(html: str) -> None:
    (script,) = re.findall("<script>(.*?)</script>", html, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in unescape(html)
