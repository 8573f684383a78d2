"""One file per figure; `pvq.figures.figure.FIGURES` finds them."""
