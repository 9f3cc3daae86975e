"""Measuring the page of `meta-tf demo`, by the drawings of Omniglot and in a real browser."""
