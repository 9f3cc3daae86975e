"""Shared by the benchmarks: works, contenders, processes, rounds, results and tables."""
