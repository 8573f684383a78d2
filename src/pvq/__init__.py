"""Prune or quantize? Certified answers for every layer of a neural network.

The science stands in four packages: `pvq.theory` (closed-form signal-to-noise ratios), `pvq.solvers`
(certified bounds on the error of one layer), `pvq.empirical` (real networks) and `pvq.figures`.
"""

__version__ = "0.1.0"
