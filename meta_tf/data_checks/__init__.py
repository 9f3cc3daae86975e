"""Checks of examples, batches and metrics, which report what does not fit early."""
