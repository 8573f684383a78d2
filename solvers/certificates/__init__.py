"""One file per kind of certificate; `pvq.solvers.outcome.CERTIFICATES` finds them."""
