"""Figures of Mobync beside code written by hand for the same work: `python -m benchmarks`."""
