"""Tasks made by your own function: a formula, or a simulator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from meta_tf.checks import check_integer, check_switch
from meta_tf.tasks.check_function import (
    WrongTaskError,
    check_seeding,
    check_shapes,
    check_task,
    tuple_of_four,
    wrong_task,
)
from meta_tf.tasks.simulated import Simulation
from meta_tf.tasks.source import Kind, Source
from meta_tf.tasks.split import Split
from meta_tf.types import Batch

TaskFunction = Callable[[Any], tuple[Any, Any, Any, Any]]
_RESOLUTION = 2**23  # a float32 uniform number is a multiple of 1 / this


def from_function(
    fn: TaskFunction, ways: int | None = None, *, numpy: bool = False, workers: int = 0
) -> Source:
    """Creates a source from a function that makes one task: a formula, or a simulator.

    Training, validation and test call `fn` with different seeds. The task of an episode depends
    only on the seed that `batches` gets and on the episode's number: neither on the batch size
    nor on `workers`.

    Args:
      fn: takes a seed, int32 [2], and returns `(support_x, support_y, query_x, query_y)` of one
        task, [S, ...], [S, ...], [Q, ...], [Q, ...], with the inputs as tensors or as dicts or
        lists of tensors. It must draw all its random numbers from the seed and always return the
        same shapes. Floats become float32, integers int32. By default it is compiled, so it must
        use TensorFlow operations and draw with `tf.random.stateless_normal(shape, seed)` and
        similar functions; use `tf.random.split(seed)` for several independent draws.
      ways: N, for classification tasks: the targets are then integers 0 … N - 1.
        `None` for regression: the targets are then floats.
      numpy: whether `fn` is an ordinary Python function, which may use NumPy and any other
        library. Its seed is an array: `rng = np.random.default_rng(seed)`.
      workers: with `numpy`, the number of processes that share the tasks of a batch; 0 makes them
        in this process. The processes import the module of `fn`, so put a simulator in a module of
        its own that does not import TensorFlow. To give it parameters, use `functools.partial` or
        an object with `__call__`. In a script, begin the work under `if __name__ == "__main__":`.

    Returns:
      A `Source`. Its `shots` and `queries` are S and Q, for classification divided by N.

    Raises:
      ValueError: if `fn` cannot be compiled or imported by the workers, does not return such
        a tuple, returns values that are not finite, or depends on anything besides its seed.

    Example:
      >>> def line(seed):
      ...     slope, x = tf.split(tf.random.stateless_normal([21, 1], seed), [1, 20])
      ...     return x[:10], slope * x[:10], x[10:], slope * x[10:]
      >>> tasks = meta_tf.tasks.from_function(line)
      >>> tasks.shots, tasks.input_shape
      (10, (1,))
      >>> def walk(seed):
      ...     steps = np.random.default_rng(seed).normal(size=[20, 1])
      ...     t, y = np.arange(20.0)[:, None], np.cumsum(steps, 0)
      ...     return t[:15], y[:15], t[15:], y[15:]
      >>> meta_tf.tasks.from_function(walk, numpy=True).queries
      5
    """
    if ways is not None:
        check_integer("ways", ways, at_least=1)
    check_switch("numpy", numpy)
    check_integer("workers", workers, at_least=0)
    if workers and not numpy:
        raise ValueError(
            "`workers` are for a function of NumPy: TensorFlow already uses all cores for one that "
            f"it compiles. Received: workers={workers}, numpy=False. Pass numpy=True, or leave "
            "`workers` out."
        )
    task = _called(fn) if numpy else _compiled(fn)
    first = task(tf.constant([0, 0]))
    check_task(first, ways)
    check_seeding(task, "np.random.default_rng(seed)" if numpy else "tf.random.stateless_…")
    specs = tf.nest.map_structure(lambda t: tf.TensorSpec(t.shape, t.dtype), first)
    make = _simulated(fn, workers, specs) if numpy else None

    def episodes(u: tf.Tensor) -> Batch:
        seeds = tf.cast(u * _RESOLUTION, tf.int32)
        made = make(seeds) if make else tf.map_fn(task, seeds, fn_output_signature=specs)
        support_x, support_y, query_x, query_y = tf.nest.map_structure(
            lambda t, spec: tf.ensure_shape(t, [u.shape[0], *spec.shape]), made, specs
        )
        return {"support_x": support_x, "support_y": support_y, "query_x": query_x}, query_y

    # A task can be slow to make, so no batch is made before it is needed.
    splits = [
        Split(episodes, numbers=2, stream=stream, most_batches=1, ahead=not numpy)
        for stream in range(3)
    ]
    support, query = specs[1].shape[0], specs[3].shape[0]
    kind: Kind = "regression" if ways is None else "classification"
    each = ways or 1
    return Source(kind, splits, ways=ways, shots=support // each, queries=query // each)


def _simulated(fn: TaskFunction, workers: int, specs: Any) -> Callable[[tf.Tensor], Any]:
    """The tasks of many seeds by a Python function."""
    types = [spec.dtype for spec in tf.nest.flatten(specs)]
    simulation = Simulation(fn, specs, workers)
    return lambda seeds: tf.nest.pack_sequence_as(
        specs, tf.numpy_function(simulation, [seeds], types)
    )


def _called(fn: TaskFunction) -> Callable[[tf.Tensor], Any]:
    """A Python function of a tensor, with its arrays converted to the types of a batch."""

    def task(seed: tf.Tensor) -> tuple[Any, ...]:
        try:
            made = fn(seed.numpy())
        except Exception as error:
            raise wrong_task(f"Calling it failed with {type(error).__name__}: {error}") from error
        return tf.nest.map_structure(_converted, tuple_of_four(made))

    return task


def _compiled(fn: TaskFunction) -> Any:
    """The concrete function of `fn`, with its tensors converted to the types of a batch."""

    def converted(seed: tf.Tensor) -> tuple[Any, ...]:
        return tf.nest.map_structure(_converted, tuple_of_four(fn(seed)))

    try:
        task = tf.function(converted).get_concrete_function(tf.TensorSpec([2], tf.int32))
    except WrongTaskError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        if "WrongTaskError: " in text:  # AutoGraph wraps it
            raise WrongTaskError(text.partition("WrongTaskError: ")[2]) from None
        raise wrong_task(
            f"Compiling it failed with {type(error).__name__}: {text.rstrip('.')}. On the seed and "
            "all values derived from it, use only TensorFlow operations; for a function of NumPy, "
            "pass numpy=True"
        ) from error
    check_shapes(task.structured_outputs)
    return task


def _converted(value: Any) -> tf.Tensor:
    value = tf.convert_to_tensor(value)
    if value.dtype.is_floating:
        return tf.cast(value, tf.float32)
    if value.dtype.is_integer:
        return tf.cast(value, tf.int32)
    raise wrong_task(f"It returned a tensor of dtype {value.dtype.name}, not floats or integers")
