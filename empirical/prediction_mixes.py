"""Random networks in which every layer is stored in a camp and width of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pvq.empirical.prediction_choice import Choice, Choices

__all__ = ["draw_mixes"]

# Steps of the plane's evenest additive sequence: 1/g and 1/g^2 with g^3 = g + 1 (M. Roberts, The unreasonable
# effectiveness of quasirandom sequences, 2018).
STEPS = (0.7548776662466927, 0.5698402909980532)


def draw_mixes(choices: Choices, n: int, seed: int) -> list[tuple[Choice, ...]]:
    """Return n networks, one choice a layer, that spread over the range of errors.

    Were every layer drawn evenly, all sums over many layers would be alike. So each network first gets a
    width level u and a share p of pruning, both in [0, 1]; then each layer is pruned with probability p, and
    the place of its width among the K that the camp offers, the narrowest first, is binomial(K - 1, u). The
    pairs (u, p) are an evenly spread sequence from a point drawn under `seed`. More networks begin with the
    same ones.

    Raises
    ------
    ValueError : a negative number of networks
    """
    if n < 0:
        raise ValueError(f"mixes must not be negative, got {n}")
    start = np.random.default_rng(seed).random(2)
    return [_mix(choices, start + i * np.array(STEPS), np.random.default_rng([seed, i])) for i in range(n)]


def _mix(choices: Choices, at: np.ndarray, rng: np.random.Generator) -> tuple[Choice, ...]:
    level, pruned = at % 1.0
    return tuple(_draw(offered, float(level), float(pruned), rng) for offered in choices.values())


def _draw(offered: Sequence[Choice], level: float, pruned: float, rng: np.random.Generator) -> Choice:
    camp = "prune" if rng.random() < pruned else "quantize"
    mine = [choice for choice in offered if choice.camp == camp] or list(offered)
    widths = sorted(mine, key=lambda choice: choice.bits)
    return widths[rng.binomial(len(widths) - 1, level)]
