"""Benchmarks: one question a script; `python -m benchmarks.run_all` answers all of them."""
