"""Internals of the multiple-choice knapsack: exact instances, relaxation, mixed-integer start, frontier."""
