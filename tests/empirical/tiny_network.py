"""A network of four layers, its calibration images and the settings of a run on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from pvq.empirical.layerwise import BoundsRun
from pvq.empirical.model import Model, Source
from pvq.empirical.state_dict import layers_of

NAMES = ["first", "depthwise", "point", "head"]


def tiny_net(seed: int = 0) -> nn.Module:
    """Return first (3x3), depthwise (3x3), point (1x1) and head (linear)."""
    torch.manual_seed(seed)
    net = nn.Sequential()
    net.add_module("first", nn.Conv2d(2, 4, 3, stride=2, padding=1))
    net.add_module("relu", nn.ReLU())
    net.add_module("depthwise", nn.Conv2d(4, 4, 3, padding=1, groups=4))
    net.add_module("point", nn.Conv2d(4, 6, 1))
    net.add_module("relu2", nn.ReLU())
    net.add_module("pool", nn.AdaptiveAvgPool2d(1))
    net.add_module("flat", nn.Flatten())
    net.add_module("head", nn.Linear(6, 3))
    return net.eval()


def as_model(net: nn.Module) -> Model:
    """Return the network as the zoo would."""
    return Model("tiny", Source("memory"), layers_of(net.state_dict()), lambda: net)


def images(folder: Path, n: int = 64) -> str:
    """Store n random images and return how `--calibration` names them."""
    folder.mkdir(parents=True, exist_ok=True)
    x = np.random.default_rng(0).normal(size=(n, 2, 8, 8)).astype(np.float32)
    np.savez(folder / "images.npz", images=x)
    return f"npz:{folder / 'images.npz'}:{n}"


def run_of(folder: Path, net: nn.Module | None = None, **changes: Any) -> BoundsRun:
    """Return a run of all rows at 3 bits into folder/run."""
    model = as_model(tiny_net() if net is None else net)
    settings: dict[str, Any] = {"bits": (3.0,), "calibration": images(folder)} | changes
    return BoundsRun(model, folder / "run", **settings)
