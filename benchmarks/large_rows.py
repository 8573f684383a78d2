"""How `hull` and `common` scale: one row at each size, and the instant bound of whole layers.

    python benchmarks/large_rows.py -o large_rows.json --sizes 576 1152 2304 --layers 64x576 512x1152

Problems are "conv" of `pvq.solvers.catalogue` with seeded Gaussian rows on a grid of `--bits` bits. BLAS
takes one thread up to n = 576 and `--threads` above. Times are of a cold layer: what rows share is included.
A row of 27 weights is bounded first, so that nothing is compiled on the clock.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from pvq.provenance import provenance
from pvq.solvers.catalogue import catalogue_problem
from pvq.solvers.feasible import fit_set
from pvq.solvers.problem import LayerProblem
from pvq.solvers.solver import Result, solve, solve_layer


def main() -> None:
    """Run what is asked and write one JSON file after each run, so that an interrupted one keeps the rest."""
    options = _options()
    solve(catalogue_problem("conv", 27), "int[bits=3]", "hull")
    rows: list[dict[str, Any]] = []
    for n in options.sizes:
        rows.append(_one_row(n, options))
        _write(options, rows)
    for count, n in (map(int, layer.split("x")) for layer in options.layers):
        rows.append(_layer(count, n, options))
        _write(options, rows)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("-o", "--output", type=Path, default=Path("large_rows.json"))
    parser.add_argument("--sizes", type=int, nargs="*", default=[576, 1152, 2304])
    parser.add_argument("--layers", nargs="*", default=["64x576"], help="ROWSxN, bounded by common")
    parser.add_argument("--compared", type=int, default=2, help="rows of each layer that hull bounds too")
    parser.add_argument("--bits", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2, help="of BLAS for n > 576")
    return parser.parse_args()


def _one_row(n: int, options: argparse.Namespace) -> dict[str, Any]:
    """Bound one row with hull: seconds, steps, what the certificate lost, peak memory."""
    problem = catalogue_problem("conv", n)
    feasible = fit_set(f"int[bits={options.bits}]", problem.w)
    with _threads(n, options):
        result, timing = _timed(lambda: solve(problem, feasible, "hull"))
    loss = 1.0 - (result.error_lower or 0.0) / _unrounded(problem, feasible, result.certificate)
    facts = {**timing, **_facts(result), "certificate_loss": loss}
    return {"what": "row", "method": "hull", "n": n, "bits": options.bits, **facts}


def _unrounded(problem: LayerProblem, feasible: Any, proof: Any) -> float:
    """Return what the certificate's formula gives without allowances for rounding."""
    g = problem.H @ proof.u - proof.d * proof.u
    total = -float(proof.u @ g)
    for i, levels in enumerate(feasible.level_table(problem.n)):
        a = levels - problem.w[i]
        total += float((proof.d[i] * a * a + 2.0 * g[i] * a).min())
    return total


def _layer(count: int, n: int, options: argparse.Namespace) -> dict[str, Any]:
    """Bound all rows of a layer with common, a few with hull, and say what share of that common reaches."""
    problem = catalogue_problem("conv", n)
    W = np.random.default_rng([count, n]).standard_normal((count, n))
    feasible = fit_set(f"int[bits={options.bits}]", W)
    picked = range(0, count, max(1, count // max(1, options.compared)))[: options.compared]
    with _threads(n, options):
        results, timing = _timed(lambda: solve_layer(problem.H, W, feasible, "common"))
        chosen = [LayerProblem(problem.H, W[r], problem.gram) for r in picked]
        full, hull = _timed(lambda: [solve(row, feasible, "hull") for row in chosen])
    share = [
        (results[r].error_lower or 0.0) / row.error_lower
        for r, row in zip(picked, full, strict=True)
        if row.error_lower
    ]
    certified = sum(result.certified for result in results)
    facts = {"rows": count, "certified": certified, "share_of_hull": share, "hull_cpu": hull["cpu_seconds"]}
    return {"what": "layer", "method": "common", "n": n, "bits": options.bits, **timing, **facts}


def _timed(run: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    wall, cpu = time.perf_counter(), time.process_time()
    value = run()
    timing = {"wall_seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
    return value, timing | {"peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}


def _facts(result: Result) -> dict[str, Any]:
    names = ("status", "error_lower", "error_upper", "certified", "iterations")
    return {name: getattr(result, name) for name in names} | {"status": result.status.name}


def _threads(n: int, options: argparse.Namespace) -> Any:
    return threadpool_limits(limits=1 if n <= 576 else options.threads)


def _write(options: argparse.Namespace, rows: list[dict[str, Any]]) -> None:
    """Write all rows so far, with the growth exponent of the single ones."""
    single = [(row["n"], row["cpu_seconds"]) for row in rows if row["what"] == "row"]
    growth = None
    if len(single) > 1:
        sizes, seconds = np.log(np.array(single, dtype=float)).T
        growth = float(np.polyfit(sizes, seconds, 1)[0])
    report = {"rows": rows, "growth_exponent": growth, "provenance": provenance()}
    options.output.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(rows[-1]), flush=True)


if __name__ == "__main__":
    main()
