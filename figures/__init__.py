"""Figures and reports. The only place with matplotlib and altair."""
