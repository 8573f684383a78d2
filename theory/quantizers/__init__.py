"""One file per number format; `pvq.theory.quantizer.QUANTIZERS` finds them."""
