"""A training that survives interruptions: its settings, folder, checkpoints, log, lock, workers."""
