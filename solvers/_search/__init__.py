"""Searches over level points: orders, successive rounding, beam, moves and depth-first enumeration."""
