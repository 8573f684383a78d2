"""Training methods, one file a kind."""
