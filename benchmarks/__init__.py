"""Benchmarks: each prints a table with a peer beside Shoebox, measured in one run."""
