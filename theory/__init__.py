"""Closed-form signal-to-noise ratios of quantization and of pruning at equal bits per weight."""
