"""One file per method; `pvq.solvers.solver.SOLVERS` finds them."""
