"""The measured works: networks, tasks and initial weights, in pure NumPy.

Weights are lists in the order and layout of `model.trainable_variables` in Keras, so that
every library starts from the same numbers.
"""

from __future__ import annotations

import dataclasses

import numpy as np

NORM_EPSILON = 1e-3  # of batch and layer normalisation, Keras's default
META_LR = 1e-3
SEQUENCE = (16, 8)  # steps, features
UNITS, HEADS, WIDE = 32, 4, 64
WIDTH, BLOCKS = 64, 3  # of in_context
_Shape = tuple[str, tuple[int, ...]]  # of a weight, with its name


@dataclasses.dataclass(frozen=True)
class Work:
    """Second-order MAML: inner SGD on the mean loss, outer Adam over `tasks` tasks.

    `network`: mlp, conv4 (stride 2), conv4_pool (stride 1 and max-pooling), lstm or
    transformer; in_context is `meta_tf.InContext` over an mlp, without inner steps. For mlp and
    in_context, `shots` and `queries` are points; otherwise examples per class.
    `per_call`: outer steps of meta_tf in one call. `seed`: of the fixed tasks. `size`: height
    and width of images.
    """

    name: str
    network: str
    tasks: int
    shots: int
    queries: int
    inner_steps: int
    inner_lr: float
    ways: int = 5
    per_call: int = 1
    seed: int = 1
    size: int = 28

    @property
    def support_size(self) -> int:
        return self.shots * (1 if self.regression else self.ways)

    @property
    def query_size(self) -> int:
        return self.queries * (1 if self.regression else self.ways)

    @property
    def regression(self) -> bool:
        return self.network in ("mlp", "in_context")

    @property
    def input_shape(self) -> tuple[int, ...]:
        if self.regression:
            return (1,)
        return (self.size, self.size, 1) if self.network.startswith("conv4") else SEQUENCE

    def small(self) -> Work:
        """The same network with little data, to compare results.

        The size and the seed are chosen so that no value is within rounding of a kink (of ReLU
        or a maximum), where float32 and float64 would legitimately take different sides.
        """
        return dataclasses.replace(
            self,
            name=f"{self.name}_small",
            seed=2,
            size=20,
            ways=3,
            shots=self.shots if self.regression else min(self.shots, 2),
            tasks=2,
            queries=min(self.queries, 2),
            inner_steps=min(self.inner_steps, 2),
            per_call=1,
        )


_SINUSOID = Work("sinusoid", "mlp", 25, 10, 10, 1, 0.01, per_call=200)
_OMNIGLOT = Work("omniglot", "conv4", 16, 1, 15, 1, 0.1, per_call=5)
_SEQUENCES = Work("sequences", "lstm", 16, 5, 5, 3, 0.1, per_call=10)
_named = dataclasses.replace

WORKS = {
    work.name: work
    for work in (
        _named(_SINUSOID, name="sinusoid_1_step"),
        _named(_SINUSOID, name="sinusoid_5_steps", inner_steps=5, per_call=100),
        _named(_OMNIGLOT, name="omniglot_1_query", tasks=32, queries=1),
        _named(_OMNIGLOT, name="omniglot_15_queries"),
        _named(_OMNIGLOT, name="omniglot_5_steps", inner_steps=5),
        Work("pool_5_way_5_shot", "conv4_pool", 4, 5, 15, 5, 0.01),
        Work("pool_20_way_1_shot", "conv4_pool", 4, 1, 15, 5, 0.01, ways=20),
        _named(_SEQUENCES, name="lstm"),
        _named(_SEQUENCES, name="transformer", network="transformer"),
        Work("in_context", "in_context", 64, 10, 10, 0, 0.0, per_call=10),
    )
}


def initial_weights(work: Work) -> list[np.ndarray]:
    """Reproducible weights, of the size that common initialisers give."""
    rng = np.random.default_rng(0)

    def array(*shape: int) -> np.ndarray:
        if len(shape) == 1:  # biases and shifts: small, so that no gradient is zero by symmetry
            return rng.normal(0, 0.1, shape).astype(np.float32)
        fan = np.prod(shape[:-1])
        return (rng.normal(size=shape) / np.sqrt(fan)).astype(np.float32)

    return [
        1 + array(*shape) if name == "gamma" else array(*shape) for name, shape in _shapes(work)
    ]


def tasks_of(work: Work) -> dict[str, np.ndarray]:
    """A fixed, reproducible batch of tasks, [T, S, ...] and [T, Q, ...]."""
    rng = np.random.default_rng(work.seed)
    make = _sine_waves if work.regression else _classes
    return make(work, rng)


def _sine_waves(work: Work, rng: np.random.Generator) -> dict[str, np.ndarray]:
    amplitude = rng.uniform(0.1, 5.0, [work.tasks, 1, 1])
    phase = rng.uniform(0.0, np.pi, [work.tasks, 1, 1])
    tasks = {}
    for name, size in (("support", work.support_size), ("query", work.query_size)):
        x = rng.uniform(-5.0, 5.0, [work.tasks, size, 1])
        tasks[f"{name}_x"] = x.astype(np.float32)
        tasks[f"{name}_y"] = (amplitude * np.sin(x - phase)).astype(np.float32)
    return tasks


def _classes(work: Work, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Examples of random patterns, one per class, with noise."""
    patterns = _uniform(rng, work.tasks, 1, work.ways, *work.input_shape)
    tasks = {}
    for name, each in (("support", work.shots), ("query", work.queries)):
        x = _uniform(rng, work.tasks, each, work.ways, *work.input_shape)
        x += patterns
        tasks[f"{name}_x"] = x.reshape(work.tasks, each * work.ways, *work.input_shape)
        labels = np.tile(np.arange(work.ways, dtype=np.int32), each)
        tasks[f"{name}_y"] = np.tile(labels, [work.tasks, 1])
    return tasks


def _uniform(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return 0.5 * rng.random(shape, np.float32)


def _shapes(work: Work) -> list[_Shape]:
    """Name and shape of every weight, in Keras's order."""
    if work.network == "mlp":
        sizes = (1, 40, 40, 1)
        return [p for i in range(3) for p in _dense(sizes[i], sizes[i + 1])]
    if work.network == "in_context":
        return _in_context_shapes()
    if work.network.startswith("conv4"):
        shapes: list[_Shape] = []
        for inputs in (1, 64, 64, 64):
            shapes += [("kernel", (3, 3, inputs, 64)), *_norm(64)]
        return [*shapes, *_dense(64, work.ways)]
    features = SEQUENCE[-1]
    if work.network == "lstm":
        cell: list[_Shape] = [
            ("kernel", (features, 4 * UNITS)),
            ("kernel", (UNITS, 4 * UNITS)),
            ("bias", (4 * UNITS,)),
        ]
        return [*cell, *_dense(UNITS, work.ways)]
    key = UNITS // HEADS
    attention: list[_Shape] = [("kernel", (UNITS, HEADS, key)), ("bias", (HEADS, key))] * 3
    attention += [("kernel", (HEADS, key, UNITS)), ("bias", (UNITS,))]
    feed = [*_norm(UNITS), *_dense(UNITS, WIDE), *_dense(WIDE, UNITS), *_norm(UNITS)]
    return [*_dense(features, UNITS), *attention, *feed, *_dense(UNITS, work.ways)]


def _in_context_shapes() -> list[_Shape]:
    """The weights of the mlp, then the meta-weights of `meta_tf.InContext` in their order."""
    d, norms = WIDTH, [("gamma", (WIDTH,)), ("beta", (WIDTH,))]
    block = [p for _ in ("query", "key", "value", "output") for p in _dense(d, d)]
    block += [*_dense(d, 2 * d), *_dense(2 * d, d), *3 * norms]
    blocks = [p for _ in range(2 * BLOCKS - 1) for p in block]
    embed = [*_dense(1, d), *_dense(d, d)]
    tokens = [*_dense(d + 1, d), *_dense(d, d), *_dense(d, d)]
    return [*embed, *tokens, *blocks, *norms, *_dense(d, 1)]


def _dense(inputs: int, outputs: int) -> list[_Shape]:
    return [("kernel", (inputs, outputs)), ("bias", (outputs,))]


def _norm(features: int) -> list[_Shape]:
    return [("gamma", (features,)), ("beta", (features,))]
