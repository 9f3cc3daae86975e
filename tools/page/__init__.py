"""Measures the page of `meta-tf demo`, with Omniglot's drawings and in a real browser."""
