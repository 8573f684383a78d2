"""`pvq cost` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pvq.__main__ import run


def test_rows_and_total_of_the_bundled_network(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cost", "resnet20-cifar10", "--weight-bits", "4,conv1=8,fc=8", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 20 + 2
    assert rows[0] == {
        "layer": "conv1", "kind": "conv", "shape": [16, 3, 3, 3], "parameters": 432, "weight_bits": 8.0,
        "activation_bits": 32.0, "macs": 432 * 1024, "bops": 432 * 1024 * 256, "storage_bits": 432 * 8,
    }  # fmt: skip
    assert rows[-1]["layer"] == "total"
    assert rows[-1]["parameters"] == 269_722
    assert rows[-1]["macs"] == 40_551_040


def test_the_table_says_the_size(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cost", "vgg", "--input", "3x32x32", "--buffers"]) == 0
    assert "39,047,720 bytes, 37.24 MiB" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["vgg"], 2, "--input must be given for vgg, such as 3x32x32"),
        (["vgg", "--input", "32"], 1, "does not run on an input of shape (32,)"),
        (["vgg", "--input", "big"], 2, "a shape must read 3x32x32, got 'big'"),
        (["vgg", "--input", "3x32x32", "--weight-bits", "foo=3"], 2, "no layer fits foo"),
        (["resnet20-cifar10", "--activation-bits", "0"], 2, "bits must lie in (0, 64], got 0"),
        (["resnet20-cifar1O"], 2, "did you mean resnet20-cifar10?"),
        (["resnet[depth=17]", "--input", "3x64x64"], 2, "depth must be one of 18"),
    ],
)
def test_refusals(words: list[str], code: int, message: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["cost", *words]) == code
    shown = capfd.readouterr()
    assert shown.out == ""
    assert message in shown.err
    assert len(shown.err.splitlines()) == 1


def test_weights_alone_cannot_be_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    save_file({"fc.weight": torch.zeros(2, 3)}, tmp_path / "a.safetensors")
    assert run(["cost", f"file:{tmp_path / 'a.safetensors'}"]) == 1
    assert "weights only" in capfd.readouterr().err
