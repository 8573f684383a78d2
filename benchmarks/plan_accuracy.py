"""How well networks classify that are stored as plans say: no training, the test set once.

    python benchmarks/plan_accuracy.py -o benchmarks/results/plan_accuracy.json plan.yaml other.yaml

The network and the preprocessing are those that the plans name; half a minute a plan on CIFAR-10.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from pvq.cli.output import emit, json_safe
from pvq.empirical.compression_apply import apply_plan
from pvq.empirical.compression_file import read_plan
from pvq.empirical.dataset import read_dataset
from pvq.empirical.evaluate import accuracy
from pvq.empirical.models_zoo import load_model
from pvq.errors import PvqError
from pvq.provenance import provenance


def accuracy_of(network: Any, model: Any, images: Any, labels: Any) -> float:
    """Return the share classified rightly."""
    how = model.preprocessing
    if how is None:
        raise PvqError(f"{model.name} does not say how images are prepared")
    return accuracy(network, images, labels, how.mean, how.std)


def rows(paths: list[Path], data: str) -> list[dict[str, Any]]:
    """Return a row per plan, and one per network as it is."""
    dataset, count = read_dataset(data)
    images, labels = np.asarray(dataset.images("test", count)), dataset.labels("test", count)
    found: dict[str, dict[str, Any]] = {}
    for path in paths:
        plan = read_plan(path)
        model = load_model(plan.model)
        whole = accuracy_of(model.module(), model, images, labels) if plan.model not in found else None
        if whole is not None:
            found[plan.model] = {"plan": "", "model": plan.model, "accuracy": whole}
        totals = plan.totals
        found[str(path)] = {
            "plan": path.name,
            "model": plan.model,
            "errors": plan.errors,
            "bits_per_weight": totals.bits / totals.weights,
            "objective": totals.objective,
            "bound": totals.bound,
            "accuracy": accuracy_of(apply_plan(model, plan), model, images, labels),
        }
    return list(found.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("plans", nargs="+", type=Path)
    parser.add_argument("--data", default="cifar10", help="a data set with a test split")
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    table = rows(arguments.plans, arguments.data)
    emit(table, as_json=False)
    if arguments.output:
        content = {"rows": table, "provenance": provenance(data=arguments.data)}
        arguments.output.write_text(json.dumps(json_safe(content), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
