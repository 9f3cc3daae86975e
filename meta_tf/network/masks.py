"""Masks: which predictions count, where a model leaves some out, such as those for padding.

Keras hangs a mask on a tensor as an attribute, made by `Embedding(mask_zero=True)`, `Masking`
or a loss with `ignore_class`, and its losses and metrics look for it there. Loops and compiled
functions of TensorFlow return other tensors, without it. Predictions therefore pass these as
`packed`, a tuple that holds the mask too.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from meta_tf.types import Tensor, Tensors


def mask_of(predictions: Tensors) -> Tensor | None:
    """The mask that Keras has hung on predictions; None without one."""
    return getattr(predictions, "_keras_mask", None)


def with_mask(predictions: Tensors, mask: Tensor | None) -> Tensors:
    """The predictions with this mask, as Keras expects to find it."""
    if mask is not None:
        predictions = tf.identity(predictions)
        predictions._keras_mask = mask
    return predictions


def packed(predictions: Tensors) -> tuple[Tensors, ...]:
    """`(predictions,)`, or `(predictions, mask)` if they have one."""
    mask = mask_of(predictions)
    return (predictions,) if mask is None else (predictions, mask)


def unpacked(parts: tuple[Tensors, ...]) -> Tensors:
    """The predictions that were `packed`, with their mask."""
    return with_mask(parts[0], parts[1] if len(parts) > 1 else None)


def both(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    """The mask of what neither leaves out."""
    if one is None or other is None:
        return other if one is None else one
    return tf.cast(one, tf.bool) & tf.cast(other, tf.bool)


def check_unmasked(algorithm: Any, embeddings: Tensors) -> None:
    """Raises ValueError if embeddings have a mask, which their algorithm would not heed."""
    if mask_of(embeddings) is not None:
        raise ValueError(
            f"`model` must not mask examples for {type(algorithm).__name__}, which counts all of "
            "them. Received: embeddings with a mask. Pool over the steps of a sequence "
            "(GlobalAveragePooling1D heeds the mask), or take an algorithm with inner steps."
        )


def masked_sum(values: Tensor, mask: Tensor | None, axes: Any = None) -> Tensor:
    """The sum of the values that the mask leaves.

    Args:
      values: [S, ...], or a scalar, to which no mask applies.
      mask: of the shape of the values, or of their first axes; None leaves all.
      axes: as in `tf.reduce_sum`.

    Raises:
      ValueError: if the mask has more axes than the values.
    """
    if mask is not None and values.shape.rank:
        values = tf.where(_spread(mask, values), values, tf.zeros_like(values))
    return tf.reduce_sum(values, axes)


def masked_mean(values: Tensor, mask: Tensor | None, axes: Any = None) -> Tensor:
    """The mean of the values that the mask leaves; 0 if it leaves none, as in Keras.

    The arguments are those of `masked_sum`.
    """
    if mask is None:
        return tf.reduce_mean(values, axes)
    count = masked_sum(tf.ones_like(values), mask, axes)
    return masked_sum(values, mask, axes) / tf.maximum(count, 1)


def _spread(mask: Tensor, values: Tensor) -> Tensor:
    """The mask as booleans that broadcast to the values."""
    mask = tf.cast(mask, tf.bool)
    while mask.shape.rank > values.shape.rank and mask.shape[-1] == 1:
        mask = tf.squeeze(mask, -1)
    if mask.shape.rank > values.shape.rank:
        raise ValueError(
            "A loss or metric must give a value for each entry of the mask on the model's outputs, "
            f"of shape {tuple(mask.shape)}. Received: values of shape {tuple(values.shape)}. "
            "Average over the last axis alone, or let the model drop its mask."
        )
    while mask.shape.rank < values.shape.rank:
        mask = mask[..., tf.newaxis]
    return mask
