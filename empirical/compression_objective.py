"""What is minimised: the errors of all layers added up, each with a factor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from fractions import Fraction
from typing import Literal, TypeAlias, get_args

from pvq.empirical.compression_menu import LayerMenu
from pvq.empirical.compression_plan import Interval
from pvq.errors import PvqError
from pvq.registry import suggest
from pvq.solvers.multiple_choice import Option, round_down, round_up

__all__ = ["OBJECTIVES", "Objective", "layer_factors", "priced"]

Objective: TypeAlias = Literal["relative", "absolute", "hessian"]
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)


def layer_factors(
    menus: Sequence[LayerMenu],
    objective: Objective,
    weights: Mapping[str, float],
    traces: Mapping[str, float] | None = None,
) -> list[Interval]:
    """Return what one unit of each layer's error counts.

    Parameters
    ----------
    objective : ``relative`` 1 / signal, the layer's noise-to-signal ratio; ``absolute`` 1; ``hessian`` the
        mean trace of the loss's Hessian in the layer, 0 where it is negative (Z. Dong and others, HAWQ-V2,
        arXiv 1911.03852)
    weights : by pattern of names, a further factor; several that match are multiplied
    traces : mean traces by layer, for ``hessian``

    Raises
    ------
    PvqError : a pattern that matches no layer, a negative or infinite factor
    """
    names = [menu.name for menu in menus]
    for pattern, weight in weights.items():
        if not any(fnmatchcase(name, pattern) for name in names):
            raise PvqError(f"no layer matches the weight {pattern!r}{suggest(pattern, names)}")
        if not 0 <= weight < 1e75:
            raise PvqError(f"the weight of {pattern!r} must lie in [0, 1e75), got {weight}")
    return [_times(_base(menu, objective, traces or {}), _user(menu.name, weights)) for menu in menus]


def priced(menu: LayerMenu, factor: Interval) -> list[Option]:
    """Return the menu's candidates as options of a knapsack, errors times the factor, rounded outwards."""
    return [
        Option(
            c.cost.bits, product_down(c.error.lower, factor.lower), product_up(c.error.upper, factor.upper)
        )
        for c in menu.candidates
    ]


def product_down(a: float, b: float) -> float:
    """Return the largest float that is not above a b."""
    return round_down(Fraction(a) * Fraction(b))


def product_up(a: float, b: float) -> float:
    """Return the least float that is not below a b."""
    return round_up(Fraction(a) * Fraction(b))


def _base(menu: LayerMenu, objective: Objective, traces: Mapping[str, float]) -> Interval:
    if objective == "absolute":
        return Interval(1.0, 1.0)
    if objective == "hessian":
        trace = max(0.0, traces[menu.name])
        return Interval(trace, trace)
    if menu.signal.upper == 0.0:  # nothing can go wrong on a layer without signal
        return Interval(0.0, 0.0)
    if menu.signal.lower == 0.0:
        raise PvqError(f"{menu.name}: its signal is lost in rounding, so no error can be relative to it")
    return Interval(round_down(1 / Fraction(menu.signal.upper)), round_up(1 / Fraction(menu.signal.lower)))


def _user(name: str, weights: Mapping[str, float]) -> Fraction:
    product = Fraction(1)
    for pattern, weight in weights.items():
        if fnmatchcase(name, pattern):
            product *= Fraction(weight)
    return product


def _times(factor: Interval, weight: Fraction) -> Interval:
    return Interval(round_down(Fraction(factor.lower) * weight), round_up(Fraction(factor.upper) * weight))
