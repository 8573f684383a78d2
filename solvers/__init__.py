"""Certified bounds, exact optima and heuristics for one layer."""
