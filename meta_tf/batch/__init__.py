"""Many tasks: run side by side, added up, spread over replicas; and checks of their batches."""
