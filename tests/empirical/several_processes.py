"""Runs recipes on several real processes of this machine, joined by gloo on the loopback interface."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pvq.empirical.architecture import ARCHITECTURES
from pvq.empirical.method import TRAINING_METHODS
from pvq.empirical.methods.magnitude import Magnitude
from pvq.empirical.recipe import Recipe, recipe_from
from pvq.empirical.training_state import TrainingState

HERE = Path(__file__)
FAILURE = "no memory, say"


@dataclass(frozen=True)
class WithoutNorms:
    """Two convolutions and a linear layer."""

    def build(self) -> nn.Module:
        conv = [nn.Conv2d(3, 6, 3, stride=4), nn.ReLU(), nn.Conv2d(6, 8, 3, stride=2), nn.ReLU()]
        return nn.Sequential(*conv, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))


@dataclass(frozen=True)
class FailsOnce(Magnitude):
    """Fails in the second process in the third step, whatever the others do."""

    def loss(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        steps = getattr(self, "steps", 0) + 1
        object.__setattr__(self, "steps", steps)
        if steps == 3 and os.environ.get("RANK") == "1":
            raise MemoryError(FAILURE)
        return super().loss(model, x, y)


def start(
    recipes: Mapping[str, Recipe], out: Path, processes: int = 2, stop: str = ""
) -> list[subprocess.Popen[str]]:
    """Start the processes, which train one recipe after the other.

    A recipe's folder is ``out/NAME``, where each process leaves its final state in ``state-RANK.npz``. The
    first process is interrupted in the epoch `stop`, if one is given.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    # One thread each, as torchrun sets it: accelerate warns where nobody does.
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(processes)}
    shared["OMP_NUM_THREADS"] = "1"
    words = [
        sys.executable,
        str(HERE),
        json.dumps({k: asdict(v) for k, v in recipes.items()}),
        str(out),
        stop,
    ]
    return [
        subprocess.Popen(
            words,
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(processes)
    ]


def finish(started: list[subprocess.Popen[str]], seconds: float = 120.0) -> list[tuple[int, str]]:
    """Return exit code and output of each; one that does not end is killed and fails the test."""
    try:
        return [(one.wait(seconds), one.communicate()[0]) for one in started]
    finally:
        for one in started:
            one.kill()


def state(out: Path, rank: int) -> dict[str, Any]:
    """Return what a process ended with: weights, masks, scales, metrics."""
    with np.load(out / f"state-{rank}.npz") as file:
        return {name: file[name] for name in file.files}


def _train_here(settings: dict[str, Any], out: Path, stop: str) -> None:
    """Train in this process, and store the state it ended with."""
    from pvq.empirical import train as module
    from pvq.empirical.moment import Moment

    ended: list[TrainingState] = []
    conclude = module.conclude

    def watch(run: TrainingState, folder: Path) -> Any:
        ended.append(run)
        return conclude(run, folder)

    def halt(moment: Moment) -> None:
        if stop and (moment.epoch, moment.step) == (int(stop), 2):
            raise KeyboardInterrupt

    module.conclude = watch  # type: ignore[assignment]
    record = module.train(recipe_from(settings), out, progress=halt)
    found = {name: value.numpy() for name, value in ended[0].model.state_dict().items() if value is not None}
    found["losses"] = np.array([entry.numbers()[1:3] for entry in record.epochs])
    np.savez(out / f"state-{os.environ.get('RANK', '0')}.npz", **found)


if __name__ == "__main__":
    ARCHITECTURES.register("test-without-norms")(WithoutNorms)
    TRAINING_METHODS.register("test-fails-once")(FailsOnce)
    torch.set_num_threads(1)
    for name, settings in json.loads(sys.argv[1]).items():
        _train_here(settings, Path(sys.argv[2]) / name, sys.argv[3])
