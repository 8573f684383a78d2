"""Internals of the diagonal dual bound."""
