"""Where a training run stands, for those who show its progress."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from pvq.empirical.record import EpochMetrics

__all__ = ["Moment", "Progress"]


@dataclass(frozen=True)
class Moment:
    """Where a run stands.

    Parameters
    ----------
    epoch, epochs : the present epoch, from 1, and how many there are
    step, steps : batches done in this epoch, and how many it has
    loss : of the last batch, in nats
    finished : the metrics of this epoch once it is over
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    finished: EpochMetrics | None = None


Progress: TypeAlias = Callable[[Moment], None]
