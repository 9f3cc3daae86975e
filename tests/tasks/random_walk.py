"""A simulator, in a module of its own that other processes import without TensorFlow."""

import numpy as np

SEEN, NEW = slice(0, 6), slice(6, 9)


def random_walk(seed):
    """Its inputs are a dict, and its types are NumPy's own."""
    steps = np.random.default_rng(seed).normal(size=[9, 1])
    y = np.cumsum(steps, 0)
    x = {"time": np.arange(9.0)[:, None], "number": np.arange(9)[:, None]}
    early, late = ({name: value[part] for name, value in x.items()} for part in (SEEN, NEW))
    return early, y[SEEN], late, y[NEW]
