"""Batch norms whose running averages are taken anew, once the weights before them have changed."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pvq.errors import PvqError

__all__ = ["reestimate"]


def reestimate(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set the running mean and variance of every batch norm to the mean over the batches, in place.

    The rest of the network is as in evaluation. A network without batch norms stays as it is.

    Raises
    ------
    PvqError : no batch
    """
    norms = [part for part in model.modules() if isinstance(part, _BatchNorm) and part.track_running_stats]
    if not norms:
        return
    training, momenta = model.training, [norm.momentum for norm in norms]
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch then takes the plain mean over the batches
        norm.train()
    seen = 0
    with torch.no_grad():
        for batch in batches:
            model(batch)
            seen += 1
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.train(training)
    if not seen:
        raise PvqError("batch norms need at least one batch of training images, got none")
