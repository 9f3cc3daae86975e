"""meta_tf through its public interface, `MetaLearner.fit`; has the interface of `programs`.

`source`: `meta_tf.tasks` generates tasks during training; otherwise one batch stays in
memory. `unroll`: the LSTM's own option, as a user would set it in Keras.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow is imported

from typing import Any

import keras
import numpy as np
import tensorflow as tf

import meta_tf
from benchmarks.harness.flops import counted
from benchmarks.harness.workloads import (
    BLOCKS,
    HEADS,
    META_LR,
    SEQUENCE,
    UNITS,
    WIDE,
    WIDTH,
    Work,
    initial_weights,
    tasks_of,
)
from meta_tf.run.devices import set_up_device
from meta_tf.types import Examples

GRADIENT_SCALE = 2.0**12


def build(work: Work, settings: dict) -> Fit:
    return Fit(work, settings)


class Fit:
    """A learner, its batches, and `fit` for a number of steps."""

    def __init__(self, work: Work, settings: dict):
        set_threads(work)
        self.work, self.settings = work, settings
        self.learner = learner(work, settings)
        self.learner.compile(keras.optimizers.Adam(META_LR), steps_per_execution=work.per_call)
        self.batches = (
            source(work).train.batches(work.tasks) if settings.get("source") else fixed(work)
        )

    def run(self, steps: int) -> None:
        self.learner.fit(self.batches, steps_per_epoch=steps, verbose=0)

    def profile(self, steps: int, folder: str) -> None:
        with tf.profiler.experimental.Profile(folder):
            self.run(steps)

    def agree(self) -> tuple[float, list[np.ndarray]]:
        """Loss and meta-gradient, computed from one SGD step with a large learning rate."""
        before = initial_weights(self.work)
        twin = learner(self.work, self.settings)
        twin.compile(keras.optimizers.SGD(GRADIENT_SCALE))
        history = twin.fit(fixed(self.work), steps_per_epoch=1, verbose=0)
        after = [v.numpy() for v in weights_of(twin)]
        gradients = [(b - a) / GRADIENT_SCALE for b, a in zip(before, after, strict=True)]
        return history.history["loss"][0], gradients

    def flops(self) -> float:
        """Products of one outer step, counted in the graph of one task's gradient."""
        algorithm, network = self.learner.algorithm, self.learner.network

        def one(task: dict[str, tf.Tensor]) -> Any:
            support = Examples(task["support_x"], task["support_y"])
            query = Examples(task["query_x"], task["query_y"])
            return algorithm.meta_gradients(network, self.learner.weights_now, support, query)

        task = {n: tf.TensorSpec(v.shape[1:], v.dtype) for n, v in tasks_of(self.work).items()}
        graph = tf.function(one, autograph=False).get_concrete_function(task).graph
        return self.work.tasks * counted(graph)

    def new_task(self) -> None:
        """Learns new tasks and predicts their queries, in one of three ways."""
        if not hasattr(self, "serve"):
            self.serve = getattr(self, f"_by_{self.settings['served_by']}")()
        self.serve()

    def _new_tasks(self) -> dict[str, np.ndarray]:
        batch = tasks_of(self.work)
        some = np.arange(self.settings["serve"]) % self.work.tasks
        return {n: batch[n][some] for n in ("support_x", "support_y", "query_x")}

    def _by_adapt(self) -> Callable[[], Any]:
        x, y, query = (value[0] for value in self._new_tasks().values())
        return lambda: self.learner.adapt(x, y).predict(query, verbose=0)

    def _by_learner(self) -> Callable[[], Any]:
        tasks = self._new_tasks()
        return lambda: self.learner.predict_on_batch(tasks)

    def _by_saved_model(self) -> Callable[[], Any]:
        with tempfile.TemporaryDirectory() as folder:
            self.learner.export(f"{folder}/learner")
            loaded = tf.saved_model.load(f"{folder}/learner")
        learn = loaded.signatures["adapt_and_predict"]
        tasks = [
            {name: tf.constant(value[t]) for name, value in self._new_tasks().items()}
            for t in range(self.settings["serve"])
        ]
        return lambda: [learn(**task)["predictions"].numpy() for task in tasks]


def set_threads(work: Work) -> None:
    """As in `train.py`: one task per core is faster than kernels on all cores, except in XLA."""
    compiled = ("mlp", "in_context", "transformer")
    set_up_device("cpu", share_operations=work.network in compiled)


def learner(work: Work, settings: dict) -> meta_tf.MetaLearner:
    """The learner of a work, with the initial weights."""
    algorithm: meta_tf.Algorithm
    if work.network == "in_context":
        algorithm = meta_tf.InContext(width=WIDTH, blocks=BLOCKS, heads=HEADS)
    else:
        algorithm = meta_tf.MAML(work.inner_lr, work.inner_steps)
    learner = meta_tf.MetaLearner(
        network(work, settings),
        algorithm,
        loss="mse"
        if work.regression
        else keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    for variable, value in zip(weights_of(learner), initial_weights(work), strict=True):
        variable.assign(value)
    return learner


def weights_of(learner: meta_tf.MetaLearner) -> list[keras.Variable]:
    """The trained weights: those of the model, then the meta-weights of the algorithm."""
    own = learner.model.trainable_variables
    known = {id(variable) for variable in own}
    return [*own, *(v for v in learner.trainable_variables if id(v) not in known)]


def network(work: Work, settings: dict) -> keras.Model:
    """The network as a plain Keras model."""
    if work.network == "mlp":
        return meta_tf.models.mlp()
    if work.network == "in_context":
        return meta_tf.models.mlp(1, None, (WIDTH, WIDTH), "gelu")
    if work.network == "conv4":
        return meta_tf.models.conv4(work.ways, input_shape=work.input_shape)
    if work.network == "conv4_pool":
        return meta_tf.models.conv4(
            work.ways, input_shape=work.input_shape, downsample="max_pool", head="flatten"
        )
    x = keras.Input(SEQUENCE)
    if work.network == "lstm":
        h = keras.layers.LSTM(UNITS, unroll=settings.get("unroll", False), name="lstm")(x)
    else:
        h = keras.layers.GlobalAveragePooling1D(name="mean")(_transformer_block(x))
    return keras.Model(x, keras.layers.Dense(work.ways, name="head")(h))


def _transformer_block(x: keras.KerasTensor) -> keras.KerasTensor:
    h = keras.layers.Dense(UNITS, name="embed")(x)
    attended = keras.layers.MultiHeadAttention(HEADS, UNITS // HEADS, name="attention")(h, h)
    h = keras.layers.LayerNormalization(name="norm1")(h + attended)
    wide = keras.layers.Dense(WIDE, activation="relu", name="wide")(h)
    narrow = keras.layers.Dense(UNITS, name="narrow")(wide)
    return keras.layers.LayerNormalization(name="norm2")(h + narrow)


def fixed(work: Work) -> tf.data.Dataset:
    """One batch of tasks, repeated."""
    batch = tasks_of(work)
    query_y = batch.pop("query_y")
    options = tf.data.Options()
    # There is nothing to tune, and the tuner would delay the end of `fit` until it wakes up.
    options.autotune.enabled = False
    return tf.data.Dataset.from_tensors((batch, query_y)).repeat().with_options(options)


def source(work: Work) -> meta_tf.tasks.Source:
    """An endless source of new tasks for a work; images and sequences are noise."""
    if work.regression:
        return meta_tf.tasks.Sinusoid(work.shots, work.queries)
    rng = np.random.default_rng(2)
    classes, each = 200, 20
    labels = np.repeat(np.arange(classes), each)
    if work.network.startswith("conv4"):
        examples = rng.integers(0, 256, [classes * each, *work.input_shape], np.uint8)
    else:
        examples = rng.normal(size=[classes * each, *work.input_shape])
    return meta_tf.tasks.from_arrays(examples, labels, work.ways, work.shots, work.queries)
