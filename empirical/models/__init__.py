"""One file per architecture that pvq builds itself; `pvq.empirical.architecture.ARCHITECTURES` finds them."""
