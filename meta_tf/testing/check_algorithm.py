"""`check_algorithm`: checks that your own algorithm has the properties of the library's."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np

from meta_tf import tasks
from meta_tf.algorithms import Algorithm
from meta_tf.network.normalization import BATCH_NORM_MODES
from meta_tf.testing import properties
from meta_tf.testing.trial import Trial, double_precision


def check_algorithm(
    algorithm: Algorithm,
    model: Callable[[], keras.Model] | None = None,
    source: Callable[[], tasks.Source] | None = None,
    batch_norm: str | None = None,
    quick: bool = False,
) -> None:
    """Checks an algorithm for the properties that the library's own algorithms have.

    In float64, on three small tasks: a task adapts the same alone and in a batch; `adapt` changes
    no variable; the settings survive `get_config`; the meta-gradient agrees with finite
    differences (unless it is first-order, or the algorithm overrides `meta_gradients`); batch
    normalisation uses the statistics of the declared mode; eager, graph and XLA agree; a saved
    learner continues training bit for bit; all tasks have the same weight; and the SavedModel
    predicts as the learner does.

    Args:
      algorithm: the algorithm, with its settings. Its class is registered with Keras.
      model: makes a new built model at each call. The default is a small dense network
        with batch normalisation. It has outputs of the tasks' size, or no last layer for an
        algorithm that has `ways` but no inner steps, and so classifies itself.
      source: makes the tasks. The default is sine waves, or classes of random vectors for
        an algorithm that has `ways`, with as many ways.
      batch_norm: the mode to check; all three if None.
      quick: whether to skip the slowest checks: XLA, saving and exporting.

    Raises:
      AssertionError: if a property is missing, with one sentence for each.

    Example:
      >>> meta_tf.testing.check_algorithm(meta_tf.FOMAML(), batch_norm="support", quick=True)
    """
    ways = getattr(algorithm, "ways", None)
    modes = BATCH_NORM_MODES if batch_norm is None else (batch_norm,)
    loss = "mse"
    if ways is not None:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    failures = []
    with double_precision():
        for mode in modes:
            trial = Trial(
                algorithm,
                model or (lambda: _model(algorithm, ways)),
                source or (lambda: _source(ways)),
                loss,
                mode,
            )
            # The slowest checks do not depend on the mode.
            thorough = () if quick or mode != modes[0] else properties.THOROUGH
            for holds in (*properties.QUICK, *thorough):
                try:
                    holds(trial)
                except AssertionError as error:
                    failures.append(f"{holds.__name__} (batch_norm={mode!r}): {error}")
                except Exception as error:
                    failures.append(
                        f"{holds.__name__} (batch_norm={mode!r}): raised "
                        f"{type(error).__name__}: {error}"
                    )
    if failures:
        raise AssertionError("\n".join([f"{algorithm!r} fails:", *failures]))


def _model(algorithm: Algorithm, ways: int | None) -> keras.Model:
    classifies_by_itself = ways is not None and not hasattr(algorithm, "inner_steps")
    head = [] if classifies_by_itself else [keras.layers.Dense(ways or 1, name="head")]
    return keras.Sequential(
        [
            keras.Input([1 if ways is None else 4]),
            keras.layers.Dense(6, name="dense"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.Activation("tanh", name="tanh"),
            *head,
        ],
        name="model",
    )


def _source(ways: int | None) -> tasks.Source:
    if ways is None:
        return tasks.Sinusoid(shots=4, queries=3)
    rng, classes = np.random.default_rng(0), 3 * ways
    examples, labels = rng.normal(size=[6 * classes, 4]), np.arange(6 * classes) % classes
    third = (1 / 3, 1 / 3, 1 / 3)
    return tasks.from_arrays(examples, labels, ways=ways, shots=2, queries=2, split=third)
