"""Which law fits a tensor: maximum likelihood within each family, and how good the best member is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq, minimize_scalar

from pvq.arrays import F64, I64, as_f64
from pvq.theory.distribution import DISTRIBUTIONS
from pvq.theory.limits import DensityLaw

__all__ = ["FAMILIES", "Fit", "best_fit", "fit", "fit_all"]

MOST_POINTS = 100_000  # above, the likelihood is taken over that many evenly spaced order statistics
NU = (0.2, 200.0)
BETA = (0.1, 20.0)


@dataclass(frozen=True)
class Fit:
    """The most likely law of a family.

    Parameters
    ----------
    family : its name in the registry of distributions
    spec : the law as `DISTRIBUTIONS.build` reads it
    law : the law itself
    parameters : number of fitted parameters
    log_likelihood : mean over the weights of ln p(w), nats per weight
    aic : Akaike's 2 * parameters - 2 n * log_likelihood; lower is better
    ks : Kolmogorov-Smirnov statistic, the largest distance of the distribution functions, in [0, 1]
    """

    family: str
    spec: str
    law: DensityLaw
    parameters: int
    log_likelihood: float
    aic: float
    ks: float


def fit(w: ArrayLike, family: str) -> Fit:
    """Return the maximum-likelihood law of `family`, location fixed at zero as all laws of weights here.

    gaussian: sigma^2 = mean w^2; laplace: b = mean |w|. Else the scale solves its likelihood equation for
    each shape and the shape is found by bounded search: nu in [0.2, 200], beta in [0.1, 20]; a shape at its
    bound says that the family does not hold the tensor. Above 100,000 weights the search runs over that many
    evenly spaced order statistics, as does KS, which is then exact to 1e-5; likelihood and AIC are taken over
    all weights.

    Parameters
    ----------
    w : weights of any shape
    family : one of `FAMILIES`

    Raises
    ------
    ValueError : unknown family; no element, NaN or infinity; half or more of the weights zero, where a
        heavy-tailed likelihood has no maximum

    >>> fit([-1.0, 3.0, -2.0], "laplace").spec
    'laplace[b=2]'
    """
    if family not in FAMILIES:
        raise ValueError(f"family must be one of {', '.join(FAMILIES)}, got {family!r}")
    ordered = np.sort(as_f64(w, "w"), axis=None)
    zeros = float(np.mean(ordered == 0))
    if zeros >= 0.5:
        raise ValueError(f"w must hold fewer than half zeros for a likelihood, got {zeros:.1%}")
    size = float(np.abs(ordered).max())
    options = FAMILIES[family](np.abs(ordered[_ranks(ordered.size)]) / size)
    options = {name: value * size if name in _SCALES else value for name, value in options.items()}
    spec = f"{family}[{','.join(f'{name}={value:.10g}' for name, value in options.items())}]"
    law = DISTRIBUTIONS.build(spec)
    assert isinstance(law, DensityLaw)
    mean = float(np.mean(np.log(np.maximum(law.density(ordered), np.finfo(float).tiny))))
    aic = 2 * len(options) - 2 * ordered.size * mean
    return Fit(family, spec, law, len(options), mean, aic, _ks(law, ordered))


def fit_all(w: ArrayLike) -> list[Fit]:
    """Return the fit of every family, the most likely (lowest AIC) first.

    Raises
    ------
    ValueError : as `fit`

    >>> [f.family for f in fit_all([-1.0, -0.5, 0.5, 1.0])][-1]
    'student-t'
    """
    return sorted((fit(w, family) for family in FAMILIES), key=lambda found: found.aic)


def best_fit(w: ArrayLike) -> Fit:
    """Return the family's law with the lowest AIC.

    Raises
    ------
    ValueError : as `fit`
    """
    return fit_all(w)[0]


def _ranks(size: int) -> I64:
    """Return the positions of all order statistics, or of 100,000 evenly spaced ones."""
    if size <= MOST_POINTS:
        return np.arange(size)
    return ((np.arange(MOST_POINTS) + 0.5) / MOST_POINTS * size).astype(np.int64)


def _ks(law: DensityLaw, ordered: F64) -> float:
    n, ranks = ordered.size, _ranks(ordered.size)
    below = law.partial_moment(0, np.asarray(-np.inf), ordered[ranks])
    return float(max((below - ranks / n).max(), ((ranks + 1) / n - below).max()))


# Each takes magnitudes x in (0, 1] and returns the options of the law, scale in the same unit.


def _gaussian(x: F64) -> dict[str, float]:
    return {"sigma": float(np.sqrt(np.mean(x * x)))}


def _laplace(x: F64) -> dict[str, float]:
    return {"b": float(np.mean(x))}


def _logistic(x: F64) -> dict[str, float]:
    def equation(log_scale: float) -> float:  # mean of (x/s) tanh(x/2s) = 1
        z = x / np.exp(log_scale)
        return float(np.mean(z * np.tanh(z / 2))) - 1

    return {"s": _root(equation, x)}


def _student(x: F64) -> dict[str, float]:
    square = x * x

    def scale(nu: float) -> float:
        def equation(log_scale: float) -> float:  # mean of (nu + 1) x^2 / (nu s^2 + x^2) = 1
            return float(np.mean((nu + 1) * square / (nu * np.exp(2 * log_scale) + square))) - 1

        return _root(equation, x)

    return _profile(x, "student-t", ("nu", "scale"), NU, scale)


def _generalized(x: F64) -> dict[str, float]:
    def scale(beta: float) -> float:  # s^beta = beta * mean x^beta
        return float((beta * np.mean(x**beta)) ** (1 / beta))

    return _profile(x, "generalized-normal", ("beta", "alpha"), BETA, scale)


def _profile(
    x: F64, family: str, names: tuple[str, str], bounds: tuple[float, float], scale: Callable[[float], float]
) -> dict[str, float]:
    """Return the most likely shape, its scale solved for; `names` are theirs."""

    def options(log_shape: float) -> dict[str, float]:
        shape = float(np.exp(log_shape))
        return dict(zip(names, (shape, scale(shape)), strict=True))

    def loss(log_shape: float) -> float:
        law = DISTRIBUTIONS.get(family)(**options(log_shape))
        return -float(np.mean(np.log(np.maximum(law.density(x), np.finfo(float).tiny))))

    ends = float(np.log(bounds[0])), float(np.log(bounds[1]))
    found = minimize_scalar(loss, bounds=ends, method="bounded", options={"xatol": 1e-6})
    return options(float(found.x))


def _root(equation: Callable[[float], float], x: F64) -> float:
    """Return the scale at which a decreasing likelihood equation vanishes."""
    low, high = float(np.log(x[x > 0].min())) - 1, 1.0
    while equation(high) > 0:
        high += 1
    while equation(low) < 0:
        low -= 1
    return float(np.exp(brentq(equation, low, high, xtol=1e-12)))


_SCALES = frozenset({"sigma", "b", "s", "alpha", "scale"})
FAMILIES: dict[str, Callable[[F64], dict[str, float]]] = {
    "gaussian": _gaussian,
    "generalized-normal": _generalized,
    "laplace": _laplace,
    "logistic": _logistic,
    "student-t": _student,
}
