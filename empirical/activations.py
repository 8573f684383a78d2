"""Activations -> Gram matrices: for every layer, what its inputs say about errors in its weights.

The output of a layer at one position is ``W c`` with c the inputs that the layer sees there (for a
convolution: one patch). A change dW of the weights changes the mean squared output, per position, by

    sum over rows r of  dW[r]' H dW[r],      H = (1 / N) sum over positions of c c'

with N the number of output positions over all calibration images. H depends on the group that a row belongs
to and on nothing else of the row. The network runs in its own number type; H is accumulated in float64.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.utils import parametrize

from pvq.arrays import F64
from pvq.empirical.inputs import Inputs, apply
from pvq.empirical.module_layers import tracked_weights
from pvq.empirical.recorder import Recorder, WeightSum, no_fused_attention
from pvq.empirical.weight_views import TrackedWeight

if TYPE_CHECKING:
    from torch import nn

__all__ = ["LayerGram", "gram_matrices", "gram_stream"]

MEMORY_BYTES = 2 * 2**30


@dataclass(frozen=True)
class LayerGram:
    """What calibration says about the inputs of one layer.

    Parameters
    ----------
    grams : (groups, n, n) mean of c c' over positions, symmetric
    positions : number of output positions that were averaged over
    """

    grams: F64
    positions: int

    def of_row(self, row: int, rows: int) -> F64:
        """Return H, (n, n), of output channel `row` out of `rows`.

        >>> LayerGram(np.arange(2.0).reshape(2, 1, 1), 10).of_row(3, 4)
        array([[1.]])
        """
        groups: int = self.grams.shape[0]
        return np.asarray(self.grams[row * groups // rows])

    @property
    def dead(self) -> int:
        """Number of inputs, over all groups, that were zero at every position."""
        return int((np.diagonal(self.grams, axis1=1, axis2=2) == 0).sum())


def gram_matrices(
    module: nn.Module, names: Iterable[str], batches: Iterable[Inputs], memory_bytes: int = MEMORY_BYTES
) -> dict[str, LayerGram]:
    """Return H of the named layers, by name, all at once; see `gram_stream`."""
    return dict(gram_stream(module, names, batches, memory_bytes))


def gram_stream(
    module: nn.Module, names: Iterable[str], batches: Iterable[Inputs], memory_bytes: int = MEMORY_BYTES
) -> Iterator[tuple[str, LayerGram]]:
    """Yield H of the named layers with their names; a layer that no call used is left out.

    So is one whose weights were used as something else than rows of its matrix, such as one matrix for both
    an encoder and, transposed, its decoder: there is no one H for it.

    Parameters
    ----------
    module : the network, in evaluation mode
    names : of weights in its state dict, without a trailing ``.weight``
    batches : inputs of the network; they are gone through once a pass
    memory_bytes : the sums of one pass over the batches stay below this (or hold one layer); more layers take
        more passes. What has been yielded is held until the next is.

    Raises
    ------
    ValueError : a name that the network does not have, no batch
    """
    again = list(batches) if isinstance(batches, Iterator) else batches
    with _watched():
        passes = list(_passes(tracked_weights(module, list(names)), memory_bytes))
    for part in passes:
        sums = _one_pass(module, part, again)
        for name in part:
            found = sums.pop(name).result()
            if found is not None:
                yield name, LayerGram(found[0].numpy(), found[1])


def _passes(weights: Iterable[TrackedWeight], memory_bytes: int) -> Iterator[list[str]]:
    """Split the layers, in order, so that the sums of each part fit; yield their names."""
    part: list[str] = []
    used = 0
    for weight in weights:
        if part and used + weight.gram_bytes > memory_bytes:
            yield part
            part, used = [], 0
        part.append(weight.name)
        used += weight.gram_bytes
    if part:
        yield part


def _one_pass(module: nn.Module, names: list[str], batches: Iterable[Inputs]) -> dict[str, WeightSum]:
    """Run the network on all batches; return the sums of the layers, by name."""
    seen = 0
    with _watched():
        recorder = Recorder(tracked_weights(module, names))
        for inputs in batches:
            seen += 1
            with recorder:
                apply(module, inputs)
    if not seen:
        raise ValueError("batches must not be empty, got none")
    return recorder.sums


@contextmanager
def _watched() -> Iterator[None]:
    """Have every product done by itself, and every weight made once."""
    with no_fused_attention(), torch.no_grad(), parametrize.cached():
        yield
