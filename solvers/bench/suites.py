"""What is measured: the cases of each suite, in full and, for a first look within minutes, `quick`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

from pvq.errors import UnknownName
from pvq.registry import suggest

from .case import Case
from .sources import LAYER

__all__ = ["LAYER_NAMES", "SUITES", "cases_of", "suites_of"]

LAYER_NAMES = ("layer1.1.conv2", "layer2.0.conv2")  # of the bundled ResNet-20: n = 144 and 288
CLARABEL, LOOSE, SCS = (
    "cvxpy-sdp[solver=CLARABEL]",
    "cvxpy-sdp[solver=CLARABEL,accuracy=1e-3]",
    "cvxpy-sdp[solver=SCS]",
)
HULL_CLARABEL, HULL_SCS = (f"cvxpy-sdp[solver={name},relaxation=hull]" for name in ("CLARABEL", "SCS"))
SCIP, SCIP_BIG_M = "scip", "scip[form=big-m]"


@dataclass(frozen=True)
class Block:
    """A product of sources, sizes, sets and seeds for the same methods.

    Parameters
    ----------
    methods : the first is what the others are compared with
    sources, sizes, sets : of the problems; the size of a layer is its own, so that one size is enough
    seeds : how many
    seconds : limit of one run
    """

    methods: Sequence[str]
    sources: Sequence[str]
    sizes: Sequence[int]
    sets: Sequence[str]
    seeds: int = 3
    seconds: float = 60.0

    def cases(self, suite: str) -> Iterator[Case]:
        """Yield the cases, small problems first."""
        for n, source, spec, seed in product(self.sizes, self.sources, self.sets, range(self.seeds)):
            yield Case(suite, source, n, seed, spec, tuple(self.methods), self.seconds)


@dataclass(frozen=True)
class Suite:
    """Blocks for the full and for the quick run."""

    full: Sequence[Block]
    quick: Sequence[Block]
    about: str = field(default="")


LAYERS = tuple(LAYER + name for name in LAYER_NAMES)
BITS = ("int[bits=2]", "int[bits=3]", "int[bits=4]")
TWO_OF_FOUR, BOXED = "n_of_m[n=2,m=4]", "boxed-sparse[density=0.25]"
HALF, QUARTER = "sparse[density=0.5]", "sparse[density=0.25]"
ROUNDERS = (
    "nearest", "gptq", "babai", "obq", "coordinate-descent", "adaround", "randomized", "beam", "local-search",
    "hull",
)  # fmt: skip
PRUNERS = ("magnitude", "magnitude-refit", "sparsegpt", "admm", "obs", "swap", "perspective")

SUITES = {
    "quantize-bound": Suite(
        full=(
            Block(
                ("sdp", CLARABEL, LOOSE, SCS), ("conv", "condition-1e2", "condition-1e4"), (16, 32, 64), BITS
            ),
            Block(("sdp", SCS), ("conv", "condition-1e4", "condition-1e6"), (64, 128), BITS[1:2]),
            Block(("hull", HULL_CLARABEL, HULL_SCS), ("conv", "condition-1e4"), (16, 32), BITS),
            Block(("hull", "sdp"), ("conv",), (64, 144, 288, 576, 1152), BITS[1:2], 2, 120.0),
            Block(("hull",), ("conv",), (2304,), BITS[1:2], 1, 300.0),
            Block(("hull", "common"), ("conv",), (144, 288, 576), BITS[1:2]),
            Block(("hull", "hull-cuts", "beam"), ("conv",), (144, 576), BITS[1:2], 2, 180.0),
            Block(("hull", "hull-cuts", "sdp", HULL_SCS, "beam"), LAYERS, (1,), BITS, 2),
        ),
        quick=(
            Block(("sdp", CLARABEL, SCS), ("conv", "condition-1e4"), (16, 32, 48), BITS[1:2], 2, 10.0),
            Block(("hull", HULL_CLARABEL, HULL_SCS), ("conv",), (16, 32), BITS[:1], 2, 10.0),
            Block(("hull", "hull-cuts", "common", "beam"), ("conv",), (64, 144, 288), BITS[1:2], 2, 10.0),
            Block(("hull", "hull-cuts", "sdp", "beam"), LAYERS[:1], (1,), BITS[1:2], 1, 10.0),
        ),
        about="Park-Boyd's relaxation and the hull against conic solvers; growth with n; cuts; real layers",
    ),
    "prune-bound": Suite(
        full=(
            Block(
                ("perspective", CLARABEL, LOOSE, SCS),
                ("conv", "condition-1e3", "condition-1e5"),
                (16, 32, 64),
                (HALF, QUARTER),
            ),
            Block(("perspective", SCS), ("conv", "condition-1e5"), (128,), (QUARTER,)),
            Block(("perspective",), ("conv",), (64, 128, 256, 512, 1024), (QUARTER,), 2, 180.0),
            Block(
                ("perspective", "block-perspective", "swap"), ("conv", "condition-1e3"), (32, 64), (QUARTER,)
            ),
            Block(("perspective", "block-perspective", "swap"), LAYERS, (1,), (QUARTER,), 2, 180.0),
        ),
        quick=(
            Block(
                ("perspective", CLARABEL, SCS), ("conv", "condition-1e3"), (16, 32, 48), (QUARTER,), 2, 10.0
            ),
            Block(("perspective",), ("conv",), (64, 128, 256), (QUARTER,), 2, 10.0),
            Block(("perspective", "block-perspective", "swap"), ("conv",), (32, 64), (QUARTER,), 2, 10.0),
            Block(("perspective", "swap"), LAYERS[:1], (1,), (QUARTER,), 1, 10.0),
        ),
        about="the optimal perspective relaxation against conic solvers; growth with n; blocks; real layers",
    ),
    "exact-quantize": Suite(
        full=(
            Block(("exact", SCIP), ("conv", "condition-1e3"), (16, 24, 32), BITS[:2]),
            Block(("exact", "beam"), ("conv", "condition-1e3"), (48, 64), BITS[1:2]),
            Block(("exact", "beam"), ("conv",), (90,), BITS[1:2], 3, 120.0),
        ),
        quick=(
            Block(("exact", SCIP), ("conv",), (12, 16, 20), BITS[1:2], 2, 8.0),
            Block(("exact", "beam"), ("conv", "condition-1e3"), (48,), BITS[1:2], 2, 8.0),
        ),
        about="exact quantization against SCIP, and the sizes that are solved without it",
    ),
    "exact-prune": Suite(
        full=(
            Block(("exact", SCIP), ("conv", "condition-1e3"), (40, 64), (HALF, QUARTER)),
            Block(("exact", SCIP_BIG_M), ("conv",), (40,), (QUARTER,), 2),
            Block(
                ("exact", "swap"),
                ("conv", "condition-1e3"),
                (64, 96),
                (HALF, QUARTER, "sparse[density=0.125]"),
            ),
            Block(("exact", "swap"), ("conv", "condition-1e3"), (128,), (HALF,), 3, 120.0),
            Block(("exact",), ("conv", "condition-1e3"), (64,), (TWO_OF_FOUR, BOXED)),
        ),
        quick=(
            Block(("exact", SCIP), ("conv",), (16, 20, 40), (QUARTER,), 2, 10.0),
            Block(("exact", "swap"), ("conv", "condition-1e3"), (64,), (HALF, QUARTER), 2, 8.0),
        ),
        about="exact pruning against SCIP with our diagonal and incumbent, and the sizes solved without it",
    ),
    "heuristics": Suite(
        full=(
            Block(ROUNDERS, ("conv", "condition-1e4"), (48, 144, 576), BITS[1:2], 3, 120.0),
            Block((*ROUNDERS, "exact"), ("conv",), (48,), BITS[:1]),
            Block(PRUNERS, ("conv", "condition-1e3"), (48, 144, 576), (QUARTER,), 3, 120.0),
            Block((*PRUNERS, "exact"), ("conv",), (48,), (HALF,)),
            Block(ROUNDERS, LAYERS, (1,), BITS, 2),
            Block(PRUNERS, LAYERS, (1,), (QUARTER,), 2),
        ),
        quick=(
            Block((*ROUNDERS, "exact"), ("conv",), (48,), BITS[1:2], 2, 8.0),
            Block((*PRUNERS, "exact"), ("conv",), (48,), (QUARTER,), 2, 8.0),
            Block(ROUNDERS, LAYERS[:1], (1,), BITS[1:2], 1, 8.0),
            Block(PRUNERS, LAYERS[:1], (1,), (QUARTER,), 1, 8.0),
        ),
        about="points: their error beyond the best one found, and what they cost",
    ),
}


def suites_of(names: Sequence[str]) -> list[str]:
    """Return the names of suites, ``all`` standing for each of them.

    Raises
    ------
    UnknownName : no such suite

    >>> suites_of(["exact-prune", "all"])[:2]
    ['exact-prune', 'quantize-bound']
    """
    chosen = [suite for name in names for suite in (SUITES if name == "all" else [name])]
    for suite in chosen:
        if suite not in SUITES:
            raise UnknownName(f"unknown suite {suite!r}{suggest(suite, ['all', *SUITES])}")
    return list(dict.fromkeys(chosen))


def cases_of(suite: str, quick: bool) -> list[Case]:
    """Return the cases of a suite, a case that two blocks ask for once.

    >>> len(cases_of("exact-prune", quick=True))
    14
    """
    blocks = SUITES[suite].quick if quick else SUITES[suite].full
    return list(dict.fromkeys(case for block in blocks for case in block.cases(suite)))
