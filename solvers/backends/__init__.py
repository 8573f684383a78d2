"""Independent reference solvers; the only place that imports cvxpy, scs, clarabel or pyscipopt."""
