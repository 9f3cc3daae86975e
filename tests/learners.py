"""A small learner and a batch of tasks for it, for the tests of `MetaLearner`."""

import keras
import numpy as np
import tensorflow as tf

import meta_tf

layers = keras.layers
CE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def classifier(dropout=0.0, name="classifier"):
    return keras.Sequential(
        [
            keras.Input([3]),
            layers.Dense(4, "tanh", name="body"),
            layers.Dropout(dropout, seed=1, name="dropout"),
            layers.Dense(2, name="head"),
        ],
        name=name,
    )


def make_learner(model=None, algorithm=None, loss=CE, compiled=True, **options):
    """A learner that trains without XLA, which takes a second to compile, unless told otherwise."""
    keras.utils.set_random_seed(0)
    model = classifier() if model is None else model
    learner = meta_tf.MetaLearner(model, algorithm or meta_tf.MAML(0.1), loss, name="learner")
    if compiled:
        jit = "auto" if "steps_per_execution" in options else False
        learner.compile(**{"optimizer": keras.optimizers.SGD(0.1), "jit_compile": jit, **options})
    return learner


def make_batch(tasks=4, seed=0):
    rng = np.random.default_rng(seed)

    def examples(count):
        x = rng.normal(size=[tasks, count, 3]).astype("float32")
        return x, rng.integers(0, 2, [tasks, count])

    (sx, sy), (qx, qy) = examples(5), examples(6)
    return {"support_x": sx, "support_y": sy, "query_x": qx}, qy


def as_dataset(x, y):
    """A batch as data of one batch, where training is to stop half-way.

    Collecting what iterates over arrays then waits a second or more for TensorFlow's tuner.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return tf.data.Dataset.from_tensors((x, y)).with_options(options)


def wiggled(weights, amount=0.3, seed=1):
    """The weights, moved randomly: biases of 0 and scales of 1 would hide errors."""
    rng = np.random.default_rng(seed)
    model = [
        w + amount * rng.standard_normal(w.shape) if w.dtype.is_floating else w
        for w in weights.model
    ]
    factors = {n: tf.constant(rng.uniform(0.5, 1.5, w.shape)) for n, w in weights.meta.items()}
    return weights._replace(model=model, meta={n: w * factors[n] for n, w in weights.meta.items()})
