"""Benchmarks: one question per script; `python -m benchmarks.run_all` answers all of them."""
