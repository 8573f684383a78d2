"""The law that a Gram matrix obeys, and random inputs to check it with."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pvq.empirical.activations import LayerGram

GENERATOR = torch.Generator().manual_seed(0)


def draw(*shape: int) -> Tensor:
    return torch.randn(shape, generator=GENERATOR, dtype=torch.float64)


def energy(gram: LayerGram, rows: np.ndarray) -> float:
    """The law: all squared outputs of the weights `rows`, biases aside."""
    return gram.positions * sum(float(w @ gram.of_row(r, len(rows)) @ w) for r, w in enumerate(rows))
