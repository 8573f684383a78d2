"""Block formats, one per file."""
