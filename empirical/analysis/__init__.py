"""What a network costs, and how networks compare: counts, representations, rank correlations."""
