"""Real networks: models, calibration data, per-layer runs and training. The only place with torch."""
