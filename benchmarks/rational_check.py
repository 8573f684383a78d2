"""Compare what certificates prove in floating point with exact rational arithmetic, on many random problems.

    python benchmarks/rational_check.py --problems 1000 -o benchmarks/results/rational.json

Every method that gives a certificate is run on random problems of condition up to 1e10, singular ones and
extreme units included, over every kind of set. A bound is wrong if it exceeds what its own multipliers prove
exactly, or the exact error of a point of the set; both are evaluated in fractions, by code of the tests.
Trees and enumerations have no exact value of their own: their loss is the gap to the optimum.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for tests.solvers
from tests.solvers.cases import random_proofs
from tests.solvers.exact import exact_optimum
from tests.solvers.exact_values import exact_value

from pvq.provenance import provenance
from pvq.solvers.certificates.relaxed import RelaxedCertificate
from pvq.solvers.outcome import CERTIFICATES, Certificate


def kind_of(proof: Certificate) -> str:
    """Return the kind of a certificate, with the kind inside it."""
    name = CERTIFICATES.name_of(proof)
    return f"{name} {kind_of(proof.inner)}" if isinstance(proof, RelaxedCertificate) else name


def check(problems: int, largest: int, seed: int) -> dict[str, Any]:
    """Return counts, what is wrong, and the relative loss of the error model by kind of certificate."""
    seen: set[tuple[str, str]] = set()
    losses: dict[str, list[float]] = defaultdict(list)
    counts: dict[str, dict[str, int]] = defaultdict(lambda: {"proofs": 0, "nothing": 0, "positive": 0})
    wrong = []
    for problem, feasible, method, proof in random_proofs(np.random.default_rng(seed), largest):
        seen.add((problem.digest, feasible.describe()))
        if len(seen) > problems:
            break
        bound, count = proof.bound(problem, feasible), counts[kind_of(proof)]
        count["proofs"] += 1
        if bound == -np.inf:
            count["nothing"] += 1
            continue
        value, optimum = exact_value(problem, feasible, proof), exact_optimum(problem, feasible)
        if value is None or bound > value or bound > optimum:
            wrong.append({"method": method, "set": feasible.describe(), "n": problem.n, "bound": bound})
        elif value > 0:
            count["positive"] += 1
            losses[kind_of(proof)].append(float((value - max(0, bound)) / value))
    return {"problems": min(len(seen), problems), "wrong": wrong, "kinds": _summary(counts, losses)}


def _summary(counts: dict[str, dict[str, int]], losses: dict[str, list[float]]) -> dict[str, Any]:
    rows: dict[str, Any] = {}
    for kind, count in sorted(counts.items()):
        loss = np.array(losses[kind] or [0.0])
        quantiles = {f"loss_{int(100 * q)}": float(np.quantile(loss, q)) for q in (0.5, 0.95, 1.0)}
        rows[kind] = {**count, **quantiles}
    return rows


def main() -> int:
    """Run the check, write its result and return 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--problems", type=int, default=1000)
    parser.add_argument("--largest", type=int, default=8, help="most weights of a problem")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    result = check(given.problems, given.largest, given.seed)
    made = provenance(problems=given.problems, largest=given.largest, seed=given.seed)
    text = json.dumps({**result, "provenance": {**made, "command": "python " + " ".join(sys.argv)}}, indent=1)
    if given.output:
        given.output.write_text(text + "\n", encoding="utf-8")
    print(text)
    return 1 if result["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
