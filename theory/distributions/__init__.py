"""One file per law of weights; `pvq.theory.distribution.DISTRIBUTIONS` finds them."""
