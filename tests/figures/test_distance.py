from __future__ import annotations

import math

import pytest

from pvq.figures.distance import Distance, distances, sentences
from pvq.figures.distance_figure import distance_canvas
from pvq.figures.inline_svg import layer_link
from pvq.figures.run import BoundRow, Camp
from pvq.figures.style import paper_style


def row(layer: str, ceiling: float | None = 20.0, gptq: float = 19.0, certified: bool = True) -> BoundRow:
    quantize = Camp(19.5, ceiling, 15.0, standard={"gptq": gptq})
    return BoundRow(layer, 4, quantize=quantize, certified=certified)


def test_the_distance_is_the_ceiling_less_what_a_method_reaches() -> None:
    found = {d.method: dict(d.gaps) for d in distances([row("a"), row("b", gptq=18.0)])}
    assert found == {
        "rounding to nearest": {"a": 5.0, "b": 5.0},
        "GPTQ": {"a": 1.0, "b": 2.0},
        "the best point found": {"a": 0.5, "b": 0.5},
    }


def test_a_ceiling_that_is_not_certified_counts_for_nothing() -> None:
    assert distances([row("a", certified=False), row("b", ceiling=None)]) == []
    assert sentences([row("a", certified=False)]) == []


def test_a_point_without_error_is_the_best_possible() -> None:
    exact = BoundRow("a", 8, quantize=Camp(math.inf, math.inf), certified=True)
    assert distances([exact])[0].gaps == {"a": 0.0}


@pytest.mark.parametrize(
    ("gaps", "limit"),
    [
        ([0.05] * 4 + [9.0], 0.1),
        ([0.3] * 3 + [9.0], 10.0),
        ([0.3] * 4 + [9.0], 0.4),
        ([99.0], 99.0),
        ([0.4], 0.4),
    ],
)
def test_the_limit_named_is_the_smallest_that_most_layers_keep(gaps: list[float], limit: float) -> None:
    assert Distance(4, "quantize", "GPTQ", {str(i): gap for i, gap in enumerate(gaps)}).limit == limit


def test_the_sentence_counts_what_it_says() -> None:
    rows = [row(f"l{i}", gptq=19.65) for i in range(47)] + [row(f"m{i}", gptq=12.0) for i in range(6)]
    (sentence,) = sentences(rows)
    assert sentence == (
        "At 4 bits GPTQ is within 0.4 dB of the best possible on 47 of 53 layers, the best point found "
        "within 0.6 dB on 53 of 53."
    )


def test_every_layer_has_a_mark_that_leads_to_it() -> None:
    rows = [row("a"), row("b", gptq=math.inf), row("c", ceiling=math.inf)]
    with paper_style():
        axes = distance_canvas({4: distances(rows)}, {name: f"layer-{name}" for name in "abc"}).axes[0]
    gptq = axes.collections[1]
    assert [offset[0] for offset in gptq.get_offsets().tolist()] == [1.0, 0.0]  # c: infinitely far, not drawn
    assert gptq.get_urls() == [layer_link("layer-a", "a: 1.00 dB"), layer_link("layer-b", "b: 0.00 dB")]
    left, right = axes.get_xlim()
    assert left < 0 < 5.0 < right
