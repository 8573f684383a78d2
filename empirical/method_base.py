"""What most training methods have in common: the task's own loss, measured bits, batch norms taken anew."""

from __future__ import annotations

from torch import Tensor, nn

from pvq.empirical.batch_norm import reestimate
from pvq.empirical.method import Batches, task_loss
from pvq.empirical.spent import Spent, measure_spent
from pvq.theory.budget import Budget

__all__ = ["Renormalised", "TaskTrained"]


class TaskTrained:
    """A method that trains on the task alone and is charged what its tensors take."""

    def loss(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        """Return the cross-entropy."""
        return task_loss(model, x, y)

    def spent(self, model: nn.Module) -> Spent:
        """Return the bits of what the layers hold: integers and scales, kept weights and masks, or FP16."""
        return measure_spent(model)


class Renormalised(TaskTrained):
    """A method that takes the averages of batch norms anew before the network is evaluated.

    Parameters
    ----------
    norms : of how many batches, 0 to leave the averages as they are; a field of the method
    """

    norms: int

    def calibrate(self, model: nn.Module, budget: Budget, batches: Batches) -> None:
        """Take the averages of batch norms anew."""
        self.settle(model, batches)

    def settle(self, model: nn.Module, batches: Batches) -> None:
        """Take the averages of batch norms anew."""
        if self.norms:
            reestimate(model, batches(self.norms))
