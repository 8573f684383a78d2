"""Trackers of training runs, one file a kind."""
