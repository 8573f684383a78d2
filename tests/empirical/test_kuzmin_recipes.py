"""The fine-tuning recipes of Kuzmin et al.: complete, as published, and fit for their networks."""

from __future__ import annotations

import pytest
import torch

from pvq.empirical.architecture import ARCHITECTURES
from pvq.empirical.data.imagenet import ImageNet
from pvq.empirical.dataset import DATASETS
from pvq.empirical.method import TRAINING_METHODS
from pvq.empirical.methods.magnitude import Magnitude
from pvq.empirical.methods.qat_lsq import LearnedSteps
from pvq.empirical.models_zoo import MODELS
from pvq.empirical.recipe import bundled_recipes, read_recipe

# Hyper-parameters of the paper's released code (Qualcomm-AI-research/pruning-vs-quantization): batch, weight
# decay, peak rate for 75 % pruning and for INT4.
PUBLISHED = {
    "resnet18": (256, 1e-4, 1e-2, 1e-2),
    "resnet50": (128, 1e-4, 3.3e-2, 1e-5),
    "mobilenet-v2": (128, 5e-5, 3.3e-4, 3.3e-4),
    "efficientnet-lite0": (128, 5e-5, 3.3e-4, 3.3e-3),
}
CASES = [(network, camp) for network in PUBLISHED for camp in ("prune75", "int4")]


@pytest.mark.parametrize(("network", "camp"), CASES)
def test_settings_are_those_published(network: str, camp: str) -> None:
    recipe = read_recipe(f"kuzmin-{network}-{camp}")
    batch, decay, pruning, quantizing = PUBLISHED[network]
    assert (recipe.batch_size, recipe.weight_decay) == (batch, decay)
    assert recipe.learning_rate == (pruning if camp == "prune75" else quantizing)
    assert (recipe.epochs, recipe.schedule, recipe.floor) == (20, "cosine", 0.01)
    assert (recipe.momentum, recipe.budget) == (0.9, 4)
    method = TRAINING_METHODS.build(recipe.method)
    if camp == "prune75":
        assert method == Magnitude("cubic", "uniform", end=15 / 20, period=50, regrow=False, norms=50)
    else:
        assert method == LearnedSteps(
            per="tensor", activations=0, init="mse", scaled=False, rate=1e-5, norms=50
        )


@pytest.mark.parametrize(("network", "camp"), CASES)
def test_names_lead_to_a_network_and_a_data_set(network: str, camp: str) -> None:
    recipe = read_recipe(f"kuzmin-{network}-{camp}")
    assert isinstance(DATASETS.build(recipe.dataset), ImageNet)
    assert recipe.start.partition(":")[0] in MODELS.classes()
    with torch.device("meta"):
        net = ARCHITECTURES.build(recipe.model).build()
        assert net.eval()(torch.zeros(1, 3, 224, 224)).shape == (1, 1000)


def test_all_of_them_are_bundled() -> None:
    shipped = {name for name in bundled_recipes() if name.startswith("kuzmin-")}
    assert shipped == {f"kuzmin-{network}-{camp}" for network, camp in CASES}
