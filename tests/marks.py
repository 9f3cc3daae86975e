"""Cases of a test that do not run every day, since they share most of their code with others."""

import pytest


def slow(*values):
    """A case for `-m slow`."""
    return pytest.param(*values, marks=pytest.mark.slow)


def exhaustive(*values):
    """A case for `-m exhaustive`."""
    return pytest.param(*values, marks=pytest.mark.exhaustive)


def few(cases, *everyday, others=slow):
    """The cases, of which only some run every day."""
    return [case if case in everyday else others(case) for case in cases]


def few_slow(cases, *slow_ones):
    """The cases, of which only some are among the slow tests and the others exhaustive."""
    return [slow(case) if case in slow_ones else exhaustive(case) for case in cases]
