"""Attack certificates of every kind, and see whether any proves more than the truth.

    python benchmarks/tamper_check.py --attacks 1000 -o benchmarks/results/tampering.json

Multipliers, orders, trees and claims are scaled, permuted, negated, noised and replaced; certificates are
renamed to other problems and shown for other sets. The truth is the exact error, in fractions, of the best
point that enumeration finds: no bound may exceed it.
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
from tests.solvers.cases import attacks, proved, random_proofs
from tests.solvers.exact import exact_optimum

from pvq.provenance import provenance
from pvq.solvers.outcome import CERTIFICATES


def check(wanted: int, largest: int, seed: int) -> dict[str, Any]:
    """Return how many attacks were tried by kind and how they ended, and those that proved too much."""
    rng = np.random.default_rng(seed)
    ends: dict[str, dict[str, int]] = defaultdict(lambda: {"refused": 0, "weaker": 0, "still true": 0})
    successes, tried = [], 0
    for original, feasible, method, proof in random_proofs(rng, largest):
        before = proved(proof, original, feasible)
        for attack, problem, target, changed in attacks(original, feasible, proof, rng):
            bound = proved(changed, problem, target)
            end = ends[f"{CERTIFICATES.name_of(changed)}: {attack}"]
            if bound > 0 and bound > exact_optimum(problem, target):
                successes.append({"attack": attack, "method": method, "n": problem.n, "bound": bound})
            else:
                end["refused" if bound == -np.inf else "weaker" if bound < before else "still true"] += 1
            tried += 1
        if tried >= wanted:
            break
    return {"tried": tried, "proved more than the truth": successes, "kinds": dict(sorted(ends.items()))}


def main() -> int:
    """Run the attacks, write the result and return 1 if any succeeded."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--attacks", type=int, default=1000)
    parser.add_argument("--largest", type=int, default=5, help="most weights of a problem")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    result = check(given.attacks, given.largest, given.seed)
    made = provenance(attacks=given.attacks, largest=given.largest, seed=given.seed)
    text = json.dumps({**result, "provenance": {**made, "command": "python " + " ".join(sys.argv)}}, indent=1)
    if given.output:
        given.output.write_text(text + "\n", encoding="utf-8")
    print(text)
    return 1 if result["proved more than the truth"] else 0


if __name__ == "__main__":
    sys.exit(main())
