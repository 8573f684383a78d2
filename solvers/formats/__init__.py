"""Storage formats, one file a kind."""
