"""The Pareto curve: data with provenance, and a picture of what can be shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pvq.figures.pareto import curve_data, draw_curve, save_curve
from pvq.figures.style import canvas, paper_style

FACTS = {"model": "m", "objective": "relative", "plan_bits_per_weight": 3.0, "plan_objective": 0.5}


def rows(bound: bool = True) -> list[dict[str, Any]]:
    values = [(2.0, 1.0, 0.9), (3.0, 0.5, 0.45), (4.0, 0.0, 0.0)]
    return [
        {
            "budget_bits": int(bits * 100), "bits": int(bits * 100), "bits_per_weight": bits, "bytes": 13,
            "objective": value, "bound": least if bound else None, "gap": 0.1 if bound else None,
            "optimal": True,
        }
        for bits, value, least in values
    ]  # fmt: skip


def test_an_uncertified_bound_is_left_out() -> None:
    assert "bound" in curve_data(rows(), **FACTS).tables["curve"]
    assert "bound" not in curve_data(rows(bound=False), **FACTS).tables["curve"]


def test_what_is_drawn() -> None:
    with paper_style():
        picture = canvas((3, 2))
        draw_curve(picture.axes[0], curve_data(rows(), **FACTS))
    objective, bound, plan = picture.axes[0].lines
    assert objective.get_xydata().tolist() == [[2.0, 1.0], [3.0, 0.5]]  # type: ignore[union-attr]
    assert bound.get_ydata().tolist() == [0.9, 0.45]  # type: ignore[union-attr]
    assert plan.get_xydata().tolist() == [[3.0, 0.5]]  # type: ignore[union-attr]


def test_files(tmp_path: Path) -> None:
    paths = save_curve(curve_data(rows(), **FACTS), tmp_path / "plan")
    assert [path.name for path in paths] == ["plan.json", "plan.curve.csv", "plan.png", "plan.svg"]
    assert json.loads(paths[0].read_text())["facts"] == FACTS
    assert len(save_curve(curve_data(rows(), **FACTS), tmp_path / "plan", picture=False)) == 2
