"""The numbers of docs/claims.md that need neither images nor training: theory, and the weights of networks.

    python benchmarks/claims.py -o benchmarks/results/claims.json \
        resnet20-cifar10 mobilenet-v2 efficientnet-lite0

Seconds for the theory, a few seconds a network. Prints the tables, and writes them with their making.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from pvq.cli.output import emit, json_safe, note
from pvq.empirical.analysis.advantage import advantage_rows
from pvq.empirical.models_zoo import load_model
from pvq.empirical.weights import layer_rows
from pvq.provenance import provenance
from pvq.theory.compare import snr_rows
from pvq.theory.crossover import crossover

BITS = [float(b) for b in range(2, 9)]
BOUNDS = (5, 10, 20, 50, 100, 200, 500, 1000)  # of Student's law with nu = 2, in units of its scale
SHOWN = ("distribution", "kurtosis", "bits", "quantizer", "quant_snr_db", "prune_snr_db", "winner")


def theory() -> dict[str, list[dict[str, Any]]]:
    """SNR of both camps for a Gaussian and for heavier and heavier tails, and where the camps are equal."""
    tails = [f"truncated[law=student-t[nu=2],r={r}]" for r in BOUNDS]
    ties = [crossover(bits) for bits in BITS]
    return {
        "gaussian": shown(snr_rows("gaussian", BITS, ["int", "int[scale=aciq]"])),
        "tails": shown([row for law in tails for row in snr_rows(law, [2.0, 4.0, 8.0], ["int"])]),
        "crossover": [{"bits": tie.bits, "r": tie.r, "kurtosis": tie.kurtosis} for tie in ties],
    }


def shown(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: row[key] for key in SHOWN} for row in rows]


def networks(names: list[str], seed: int) -> dict[str, list[dict[str, Any]]]:
    """What the weights of each network say, and those of all together."""
    rows = {name: layer_rows(load_model(name), BITS, "int") for name in names}
    everything = [row for some in rows.values() for row in some]
    tables = {name: advantage_rows(some, seed) for name, some in rows.items()}
    return tables | ({"all networks": advantage_rows(everything, seed)} if len(names) > 1 else {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", default=["resnet20-cifar10"])
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    tables = theory() | networks(arguments.networks, arguments.seed)
    for title, rows in tables.items():
        emit(rows, as_json=False, title=title)
    if arguments.output:
        made = provenance(seed=arguments.seed, networks=arguments.networks)
        arguments.output.write_text(json.dumps(json_safe({"made": made, "tables": tables}), indent=1) + "\n")
        note(f"written: {arguments.output}")


if __name__ == "__main__":
    main()
