"""A split of a task source: an endless stream of numbered episodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from meta_tf.checks import check_integer, check_seed
from meta_tf.memory import memory
from meta_tf.types import Batch

_PHILOX = 1  # the algorithm's number in tf.random.Algorithm
_NUMBERS_PER_COUNT = 4  # one step of Philox's counter yields four 32-bit numbers
_BLOCK_BYTES = 4 * 2**20  # made at once; larger blocks do not fit in the processor's cache
_ARRAYS = 4  # of the size of its random numbers, or more, that making a task needs
_DATASETS = 4  # the number of datasets to keep
_SAMPLE_TASKS, _SAMPLE_BYTES = 1000, 64 * 2**20  # limits of `examples`; the smaller one applies
_BLOCK_BATCHES = 256  # beyond this, the cost of a call is negligible


class Split:
    """The training, validation or test split of a source.

    Episode `e` is `episodes(u_e)`, with `u_e` the numbers `e E … e E + E - 1` of
    one random stream that belongs to `(seed, stream)`. It depends on nothing else, so
    neither the batch size nor the point of an interruption changes an episode.

    Args:
      episodes: maps uniform numbers in [0, 1), [T, E] float32, to the batch of
        those T episodes, `({"support_x", "support_y", "query_x"}, query_y)`. Each
        row must depend only on its own numbers.
      numbers: E, the number of random numbers of an episode.
      stream: the index of the split's independent random stream; a source gives each of
        its splits a different one.
      classes: names of the classes, for a source that has classes.
      multiple: compute the episodes in groups of a multiple of this size.
        Vectorised kernels use different code for the last few elements of an array,
        which can differ in the last bit for functions such as `sin`; 16 keeps every
        real episode away from them. 1 is enough for copying.
      most_batches: the most batches that one call of `episodes` makes; 1 if an episode
        is slow to make.
      drawn: maps the same numbers to the indices in `classes` of the drawn classes,
        [T, N], in the order of a task's labels; negative ones do not count.
      ahead: whether a thread makes the next batches during a training step. Set it to
        False if `episodes` runs Python code: a thread that needs Python when the process
        ends never ends, and neither does the process.

    Example:
      >>> split = meta_tf.tasks.Sinusoid(shots=5).train
      >>> x, query_y = next(iter(split.batches(8)))
      >>> query_y.shape
      TensorShape([8, 5, 1])
    """

    def __init__(
        self,
        episodes: Callable[[tf.Tensor], Batch],
        numbers: int,
        *,
        stream: int = 0,
        classes: Sequence[str] = (),
        multiple: int = 1,
        most_batches: int = _BLOCK_BATCHES,
        drawn: Callable[[tf.Tensor], tf.Tensor] | None = None,
        ahead: bool = True,
    ):
        self.classes = list(classes)
        self.columns: Any = None  # `Columns`, of a table
        self._episodes = episodes
        self._numbers = numbers
        self._stream = stream
        self._multiple = multiple
        self._most_batches = most_batches
        self._datasets: dict[tuple[int, int, int], tf.data.Dataset] = {}
        self._drawn = drawn
        self._ahead = ahead
        _check_memory("a task", _ARRAYS * 4 * numbers)  # before computing one
        with tf.device("CPU:0"):
            one = episodes(tf.fill([1, numbers], 0.5))
        self.task_spec = tf.nest.map_structure(lambda t: tf.TensorSpec(t.shape[1:], t.dtype), one)

    def batches(self, tasks: int, seed: int = 0, start: int = 0) -> tf.data.Dataset:
        """Gives endless batches of tasks, in the same order every time.

        Args:
          tasks: T, tasks per batch.
          seed: chooses the stream of episodes. The streams of the splits differ anyway, so
            validation can have the same seed as training.
          start: the number of the first batch. A run that stopped after `i` batches
            continues with `start=i`.

        Returns:
          A dataset of `(x, query_y)` as `meta_tf.types` describes, all shapes static.

        Raises:
          ValueError: if `tasks` is below 1 or `start` below 0.

        Example:
          >>> split = meta_tf.tasks.Sinusoid().train
          >>> fourth = next(iter(split.batches(8, seed=0, start=3)))
        """
        check_integer("tasks", tasks, at_least=1, why="in a batch")
        check_seed("seed", seed)
        check_integer("start", start, at_least=0, why="batches to skip")
        tasks, seed, start = int(tasks), int(seed), int(start)
        _check_memory(f"a batch of {tasks} tasks", tasks * self._task_bytes())
        if not tf.executing_eagerly():  # then a dataset belongs to the graph being traced
            return self._dataset(tasks, seed, start)
        # TensorFlow never frees all memory of a dataset. The last ones are kept, so that repeated
        # requests for the same batches, as from `evaluate`, create only one.
        asked = (tasks, seed, start)
        dataset = self._datasets.pop(asked, None) or self._dataset(*asked)
        self._datasets[asked] = dataset
        if len(self._datasets) > _DATASETS:
            self._datasets.pop(next(iter(self._datasets)))
        return dataset

    def _dataset(self, tasks: int, seed: int, start: int) -> tf.data.Dataset:
        # As many batches at once as fit in the block's bytes.
        block = max(1, min(_BLOCK_BYTES // (self._task_bytes() * tasks), self._most_batches))

        def make(batch: tf.Tensor) -> Batch:
            with tf.device("CPU:0"):  # a GPU's generator could give another stream
                padded = -(-block * tasks // self._multiple) * self._multiple
                numbers = uniforms(seed, self._stream, batch * tasks, padded, self._numbers)
                return tf.nest.map_structure(
                    lambda t: tf.reshape(t[: block * tasks], [block, tasks, *t.shape[1:]]),
                    self._episodes(numbers),
                )

        dataset = tf.data.Dataset.counter(start, step=block)
        dataset = dataset.map(tf.autograph.experimental.do_not_convert(make))
        # Rewriting the pipeline gains nothing here, and would copy the examples.
        options = tf.data.Options()
        options.experimental_optimization.apply_default_optimizations = False
        # There is nothing to tune either, and at the end, readers would wait for the tuning
        # thread, which sleeps twice as long each time: seconds, at the end of a long `fit`.
        options.autotune.enabled = False
        dataset = dataset.unbatch()
        return (dataset.prefetch(2) if self._ahead else dataset).with_options(options)

    def class_names(self, episode: int = 0, seed: int = 0) -> list[str]:
        """The class names of an episode, in the order of its labels; empty if it has none.

        Args:
          episode: its number: task `t` of batch `b` of `batches(tasks, seed)` is episode
            `b * tasks + t`.
          seed: the seed of the stream of episodes.

        Example:
          >>> vectors, animals = np.zeros([90, 2]), np.repeat(["ant", "bee", "cow"], 30)
          >>> split = (1 / 3, 1 / 3, 1 / 3)
          >>> tasks = meta_tf.tasks.from_arrays(vectors, animals, ways=1, split=split)
          >>> tasks.test.class_names() == tasks.test.classes
          True
        """
        check_integer("episode", episode, at_least=0)
        check_seed("seed", seed)
        if self._drawn is None:
            return []
        with tf.device("CPU:0"):
            first = tf.constant(episode, tf.int64)
            numbers = uniforms(int(seed), self._stream, first, 1, self._numbers)
            return [self.classes[i] for i in self._drawn(numbers)[0].numpy() if i >= 0]

    def examples(self) -> tuple[Any, Any]:
        """A sample of the split's examples: those of its first 1000 tasks, or of 64 MB of tasks.

        Returns:
          Inputs [n, ...] and targets [n, ...], as arrays in the structure of the tasks.

        Example:
          >>> x, y = meta_tf.tasks.Sinusoid(shots=5).train.examples()
          >>> x.shape
          (10000, 1)
        """
        tasks = max(1, min(_SAMPLE_TASKS, _SAMPLE_BYTES // self._task_bytes()))
        x, query_y = next(iter(self.batches(tasks)))

        def both(support: tf.Tensor, query: tf.Tensor) -> Any:
            return tf.reshape(tf.concat([support, query], 1), [-1, *query.shape[2:]]).numpy()

        return tuple(
            tf.nest.map_structure(both, *sets)
            for sets in ((x["support_x"], x["query_x"]), (x["support_y"], query_y))
        )

    def _task_bytes(self) -> int:
        """The memory of one task and its random numbers."""
        specs = tf.nest.flatten(self.task_spec)
        return sum(s.shape.num_elements() * s.dtype.size for s in specs) + 4 * self._numbers


def _check_memory(what: str, needed: int) -> None:
    """Raises ValueError if tasks cannot fit in memory."""
    if needed > memory():
        raise ValueError(
            f"Tasks must fit in memory. Received: {what} of {needed / 1e9:.0f} GB or more, on a "
            f"machine with {memory() / 1e9:.0f} GB. Lower `shots` or `queries`, or the number of "
            "tasks in a batch."
        )


def uniforms(seed: int, stream: int, first: tf.Tensor, count: int, numbers: int) -> tf.Tensor:
    """The uniform numbers of episodes `first … first + count - 1`, float32 [count, numbers].

    They belong to the stream with that index for the user's seed. Philox is a function of a key and
    a counter, so it can start at any position (Salmon et al., Parallel random numbers: as easy as
    1, 2, 3, 2011).
    """
    counts = -(-numbers // _NUMBERS_PER_COUNT)
    key, counter = tf.raw_ops.StatelessRandomGetKeyCounter(
        seed=tf.constant([seed, stream], tf.int64)
    )
    low = tf.cast(first, tf.uint64) * tf.constant(counts, tf.uint64)
    numbers_of_all = tf.raw_ops.StatelessRandomUniformV2(
        shape=[count, counts * _NUMBERS_PER_COUNT],
        key=key,
        counter=tf.stack([low, counter[1]]),
        alg=_PHILOX,
        dtype=tf.float32,
    )
    return numbers_of_all[:, :numbers]
