"""Masks mark the predictions that count, for models that exclude some, such as padding.

Keras stores a mask as an attribute of a tensor, set by `Embedding(mask_zero=True)`, `Masking`
or a loss with `ignore_class`; its losses and metrics read it there. TensorFlow's loops and
compiled functions return other tensors, without the attribute. Therefore predictions pass
through them as `packed`: a tuple that also contains the mask.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from meta_tf.types import Tensor, Tensors


def mask_of(predictions: Tensors) -> Tensor | None:
    """The mask that Keras stored on predictions; None if there is none."""
    return getattr(predictions, "_keras_mask", None)


def with_mask(predictions: Tensors, mask: Tensor | None) -> Tensors:
    """The predictions with this mask, stored where Keras reads it."""
    if mask is not None:
        predictions = tf.identity(predictions)
        predictions._keras_mask = mask
    return predictions


def packed(predictions: Tensors) -> tuple[Tensors, ...]:
    """`(predictions,)`, or `(predictions, mask)` if they have one."""
    mask = mask_of(predictions)
    return (predictions,) if mask is None else (predictions, mask)


def unpacked(parts: tuple[Tensors, ...]) -> Tensors:
    """The predictions from `packed`, with their mask."""
    return with_mask(parts[0], parts[1] if len(parts) > 1 else None)


def both(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    """The mask of the entries that both masks keep."""
    if one is None or other is None:
        return other if one is None else one
    return tf.cast(one, tf.bool) & tf.cast(other, tf.bool)


def check_no_mask(algorithm: Any, embeddings: Tensors) -> None:
    """Raises ValueError if embeddings have a mask, which their algorithm would ignore."""
    if mask_of(embeddings) is not None:
        raise ValueError(
            f"`model` must not mask examples for {type(algorithm).__name__}, which counts all of "
            "them. Received: embeddings with a mask. Pool over the steps of a sequence "
            "(GlobalAveragePooling1D uses the mask), or use an algorithm with inner steps."
        )


def kept(values: Tensor, mask: Tensor) -> Tensor:
    """The values [S, ...], with zeros where the mask of their first axes drops them."""
    return tf.where(_spread(mask, values), values, tf.zeros_like(values))


def masked_sum(values: Tensor, mask: Tensor | None, axes: Any = None) -> Tensor:
    """The sum of the values [S, ...] that the mask keeps; a scalar is not masked.

    The mask has the shape of the values, or of their first axes; None keeps all.
    """
    if mask is not None and values.shape.rank:
        values = kept(values, mask)
    return tf.reduce_sum(values, axes)


def masked_mean(values: Tensor, mask: Tensor | None, axes: Any = None) -> Tensor:
    """As `masked_sum`, the mean; 0 if the mask keeps none, as in Keras."""
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
            "Average only over the last axis, or let the model drop its mask."
        )
    while mask.shape.rank < values.shape.rank:
        mask = mask[..., tf.newaxis]
    return mask
