"""Normalisation for adaptation: exact at second order, with an explicit batch-norm mode.

`tf.nn.moments` stops the gradient at the mean that it subtracts. The first derivative
of the variance is still correct (the sum of deviations is zero), but the second is not:
a meta-gradient through Keras's batch, layer or group normalisation is wrong by up to a
fifth. Therefore, while a network is traced, `tf.nn.moments` is replaced with the explicit
formula, which corrects every normalisation that calls it, in Keras's layers and in others.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from meta_tf.network.fused_batch_norm import can_be_fused, fused_batch_norm
from meta_tf.types import Tensor

BATCH_NORM_MODES = ("transductive", "support", "running")
"""The statistics that batch normalisation uses while learning a task and predicting.

`transductive`: those of the current set, support or query (as in published results).
`support`: the query set is normalised with the adapted support set's. `running`: moving
averages outside of training.
"""

_tracing = threading.RLock()
_uses: list[Counter[Any]] = []  # active counters, innermost last; read only under the lock


def exact_moments(
    x: Tensor,
    axes: Any,
    shift: Any = None,
    keepdims: bool = False,
    name: str | None = None,
) -> tuple[Tensor, Tensor]:
    """Mean and variance over `axes`, with correct derivatives of every order.

    mean = Σ x / n,  variance = Σ (x - mean)² / n. The arguments are those of
    `tf.nn.moments`, which ignores `shift` too.
    """
    del shift
    with tf.name_scope(name or "moments"):
        low = x.dtype in (tf.float16, tf.bfloat16)  # their range is too small for sums
        values = tf.cast(x, tf.float32) if low else x
        mean = tf.reduce_mean(values, axes, keepdims=True)
        variance = tf.reduce_mean(tf.square(values - mean), axes, keepdims=keepdims)
        if not keepdims:
            mean = tf.squeeze(mean, axes)
        return tf.cast(mean, x.dtype), tf.cast(variance, x.dtype)


@contextlib.contextmanager
def exact_normalization(
    batch_statistics: bool | None, moving: str = "differentiable"
) -> Iterator[None]:
    """Makes normalisation exact inside the `with`, and selects batch norm's statistics.

    With `batch_statistics`, every batch normalisation uses the statistics of its own input, or the
    stored ones if False; None follows `training`. Frozen layers always use the stored ones.
    `moving` is what fused kernels do with the moving averages of layers that use the statistics
    of their inputs: `"kept"`, `"updated"`, or also `"differentiable"`.
    """
    with _tracing:  # traces one network at a time, as these two are global
        owner = threading.get_ident()
        moments, call = tf.nn.moments, keras.layers.BatchNormalization.call

        def declared_call(
            layer: Any, inputs: Tensor, training: bool | None = None, mask: Any = None
        ) -> Tensor:
            if threading.get_ident() == owner:
                _check_synchronized(layer)
                for uses in _uses:
                    uses[layer] += 1
                training = training if batch_statistics is None else batch_statistics
                fusible = layer.trainable and layer.axis in (-1, 3) and can_be_fused(inputs)
                if training is True and mask is None and fusible:
                    return _fused(layer, inputs, moving)
            return call(layer, inputs, training=training, mask=mask)

        tf.nn.moments = exact_moments
        keras.layers.BatchNormalization.call = declared_call
        try:
            yield
        finally:
            tf.nn.moments = moments
            keras.layers.BatchNormalization.call = call


@contextlib.contextmanager
def uses_of_batch_norms() -> Iterator[Counter[Any]]:
    """Counts how often each batch normalisation is called inside the `with`."""
    with _tracing:
        _uses.append(Counter())
        try:
            yield _uses[-1]
        finally:
            _uses.pop()


def _check_synchronized(layer: Any) -> None:
    # Also, its replicas would wait for each other here forever.
    if layer.synchronized and tf.distribute.get_strategy().num_replicas_in_sync > 1:
        raise ValueError(
            f"The layer {layer.name!r} has `synchronized=True`, which mixes the statistics of the "
            "tasks of different replicas. Set it to False: each task is normalised separately."
        )


def _fused(layer: Any, x: Tensor, moving: str) -> Tensor:
    """Does the same as the layer's own `call` with batch statistics."""
    channels = x.shape[-1]
    y, statistics = fused_batch_norm(
        x,
        tf.convert_to_tensor(layer.gamma) if layer.scale else tf.ones([channels]),
        tf.convert_to_tensor(layer.beta) if layer.center else tf.zeros([channels]),
        layer.epsilon,
    )
    if moving == "kept":
        return y
    for average, now in zip((layer.moving_mean, layer.moving_variance), statistics(), strict=True):
        now = now if moving == "differentiable" else tf.stop_gradient(now)
        average.assign(average * layer.momentum + now * (1 - layer.momentum))
    return y
