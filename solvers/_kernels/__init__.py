"""Numba kernels of the upper-bound methods, imported when a method runs and not before."""
