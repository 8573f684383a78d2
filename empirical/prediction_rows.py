"""The table of a prediction: one row a network measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from pvq.empirical.prediction_choice import Choice
from pvq.empirical.prediction_measure import Measured
from pvq.solvers.multiple_choice import round_down, round_up

__all__ = ["FIELDS", "layer_row", "mix_row", "uncompressed_row"]

FIELDS = (
    "set", "mix", "layer", "camp", "bits", "n_weights", "relative_lower", "relative_upper", "error_lower",
    "error_upper", "weight_error", "hessian_error", "kurtosis", "stored_bits", "loss", "loss_increase",
    "loss_increase_se", "accuracy", "accuracy_drop", "certified",
)  # fmt: skip
Row = dict[str, Any]
Traces = Mapping[str, float]


def layer_row(choice: Choice, found: Measured, before: Measured, traces: Traces | None = None) -> Row:
    """Return the row of a network with one layer exchanged, set ``layers``.

    Fields: layer, camp, bits; n_weights of the layer; relative_lower and relative_upper (certified and
    attained error over signal), error_lower and error_upper (the same, not relative), weight_error
    (||x - w||^2 over ||w||^2), hessian_error (||x - w||^2 times the mean trace of the loss's Hessian; None
    without traces), kurtosis of w, stored_bits (a weight, scale and mask included), loss (mean
    cross-entropy), loss_increase and its standard error over images, accuracy and accuracy_drop as shares in
    [0, 1], certified.
    """
    return _row(
        {
            "set": "layers",
            "layer": choice.layer,
            "camp": choice.camp,
            "bits": choice.bits,
            "kurtosis": choice.kurtosis,
            "weight_error": choice.weight_error,
        }
        | _sums([choice], traces),
        found,
        before,
    )


def mix_row(
    number: int,
    choices: Sequence[Choice],
    found: Measured,
    before: Measured,
    traces: Traces | None = None,
) -> Row:
    """Return the row of a network with all layers exchanged, set ``mixes``.

    Errors are sums over the layers, weight_error of the relative ones; bits and stored_bits are averages over
    the weights.
    """
    weights = sum(choice.n_weights for choice in choices)
    return _row(
        {
            "set": "mixes",
            "mix": number,
            "bits": sum(choice.bits * choice.n_weights for choice in choices) / weights,
            "weight_error": sum(choice.weight_error for choice in choices),
        }
        | _sums(choices, traces),
        found,
        before,
    )


def uncompressed_row(before: Measured) -> Row:
    """Return the row of the network as it is, set ``uncompressed``."""
    return _row({"set": "uncompressed"}, before, before)


def _sums(choices: Sequence[Choice], traces: Traces | None) -> Row:
    weights = sum(choice.n_weights for choice in choices)
    return {
        "n_weights": weights,
        "relative_lower": round_down(sum((Fraction(c.relative.lower) for c in choices), Fraction())),
        "relative_upper": round_up(sum((Fraction(c.relative.upper) for c in choices), Fraction())),
        "error_lower": round_down(sum((Fraction(c.error.lower) for c in choices), Fraction())),
        "error_upper": round_up(sum((Fraction(c.error.upper) for c in choices), Fraction())),
        "hessian_error": None if traces is None else sum(c.distance * traces[c.layer] for c in choices),
        "stored_bits": sum(choice.stored_bits for choice in choices) / weights,
        "certified": all(choice.certified for choice in choices),
    }


def _row(about: Row, found: Measured, before: Measured) -> Row:
    increase, error = found.increase(before)
    row = about | {
        "loss": found.loss,
        "loss_increase": increase,
        "loss_increase_se": error,
        "accuracy": found.accuracy,
        "accuracy_drop": before.accuracy - found.accuracy,
    }
    return {name: row.get(name) for name in FIELDS}
