"""Runs many tasks in parallel, sums them, spreads them over replicas, and checks their batches."""
