"""Measuring methods side by side: cases, clock, suites and summaries; `pvq bench` runs them."""
