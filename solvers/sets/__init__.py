"""One file per feasible set; `pvq.solvers.feasible.SETS` finds them."""
