"""One file per source of models; `pvq.empirical.zoo` finds them."""
