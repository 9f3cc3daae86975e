"""Models in standard units inside: their inputs and outputs have their own units."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from meta_tf.layers.table_columns import MISSING, TableColumns
from meta_tf.pixels import STANDARDIZE, in_order

_SMALLEST, _LARGEST = 1e-30, 1e30  # deviations that float32 can compute with
_LAST = "restore_units"


class Statistics(NamedTuple):
    """Mean and standard deviation of each number along the last axis, float64 [F].

    If all numbers are equal, the deviation is 1.
    """

    mean: np.ndarray
    deviation: np.ndarray

    def standard(self, values: Any) -> Any:
        """Converts values to standard units: mean 0 and deviation 1."""
        mean, deviation = self._like(values)
        return (values - mean) / deviation

    def restored(self, values: Any) -> Any:
        """Converts values in standard units to their own units."""
        mean, deviation = self._like(values)
        return mean + values * deviation

    def _like(self, values: Any) -> tuple[Any, ...]:
        return tuple(tf.constant(v, values.dtype) if tf.is_tensor(values) else v for v in self)


def statistics_of(name: str, values: Any) -> Statistics:
    """The statistics of floats [n, ..., F], over all axes but the last; of [n], single numbers.

    Raises ValueError, which calls the values `name`, if they are not floats, not finite, or too
    small or large to scale in float32.

    Example:
      >>> statistics_of("x", np.array([[0.0, 7.0], [4.0, 7.0]]))
      Statistics(mean=array([2., 7.]), deviation=array([2., 1.]))
    """
    values = np.asarray(values)
    if values.dtype.kind != "f":
        raise ValueError(
            f"`{name}` must be floats to be standardized. Received: {values.dtype}. Integers are "
            "treated as categories, such as tokens; convert measured numbers to floats with "
            ".astype('float32')."
        )
    axes = tuple(range(max(1, values.ndim - 1)))
    counted: Any = True
    empty: Any = False
    if (gaps := values == MISSING).any():  # of a table: they do not count
        empty = gaps.all(axes)
        counted = ~gaps | empty
    # In float32, the sum of many numbers would be far off.
    mean, deviation = (f(values, axes, np.float64, where=counted) for f in (np.mean, np.std))
    least = values.min(axes, initial=np.inf, where=counted)
    most = values.max(axes, initial=-np.inf, where=counted)
    # For equal numbers, rounding can make the deviation a little larger than 0.
    mean, deviation = np.where(empty, 0.0, mean), np.where(least == most, 1.0, deviation)
    if not np.all((deviation > _SMALLEST) & (deviation < _LARGEST) & np.isfinite(mean)):
        raise ValueError(
            f"`{name}` must be finite, with standard deviations between {_SMALLEST:g} and "
            f"{_LARGEST:g}. Received: {deviation}. Give them in another unit."
        )
    return Statistics(np.asarray(mean), np.asarray(deviation))


def standardized_model(
    model: keras.Model,
    inputs: Statistics,
    outputs: Statistics | None,
    example_shape: tuple[int | None, ...],
    columns: dict[str, Any] | None = None,
) -> keras.Model:
    """A model of the same layers whose inputs and outputs are in their own units.

        x ↦ outputs.mean + outputs.deviation · model((x - inputs.mean) / inputs.deviation)

    The two new layers are `keras.layers.Rescaling`, in float32 under any policy. (A
    `keras.layers.Normalization` would hold its constants as eager tensors, which break the
    derivatives of a long inner loop, and replaces deviations below 1e-7 by 1e-7.)

    The result is a `keras.Sequential` for a `keras.Sequential`; otherwise a functional model around
    the model, which is not changed. Without statistics of `outputs`, these stay as they are.
    `example_shape` is for a model that does not declare its inputs. For a table, `columns` is what
    `TableColumns` takes, which is the first layer then. Raises ValueError if the model has several
    inputs or outputs, or a layer that masks or normalizes them, or if the statistics do not fit.
    """
    if standardize_layer(model) is not None:
        raise ValueError(
            "The model must not be standardized already. Received: a model with a layer named "
            f"{STANDARDIZE!r}. Build a new learner to standardize by other tasks."
        )
    _check_layers(model)
    if columns is None:
        first = _rescaling(1 / inputs.deviation, -inputs.mean / inputs.deviation, STANDARDIZE)
        shape = _input_shape(model, inputs) or example_shape
    else:
        numbers = (inputs.mean.tolist(), inputs.deviation.tolist())
        first = TableColumns(columns, *numbers, name=STANDARDIZE, dtype=keras.config.floatx())
        shape = example_shape
        _check_width(model, first)
    last = [] if outputs is None else [_rescaling(outputs.deviation, outputs.mean, _LAST)]
    x = keras.Input(shape, dtype=first.compute_dtype)
    if isinstance(model, keras.Sequential):
        return keras.Sequential([x, first, *model.layers, *last], name=model.name)
    y = model(first(x))
    for layer in last:
        y = layer(y)
    return keras.Model(x, y, name=model.name)


def standardize_layer(model: keras.Model) -> keras.layers.Layer | None:
    """The first layer of a standardized model; None for another model."""
    layers = getattr(model, "layers", ())
    return next((layer for layer in layers if layer.name == STANDARDIZE), None)


def input_statistics(model: keras.Model) -> Statistics | None:
    """The statistics of a standardized model; None for another model."""
    layer = standardize_layer(model)
    if layer is None:
        return None
    scale, offset = (np.asarray(v) for v in (layer.scale, layer.offset))
    return Statistics(-offset / scale, 1 / scale)


def _check_layers(model: keras.Model) -> None:
    """Raises ValueError for a layer whose numbers are of inputs in their own units."""
    units = keras.layers.Masking, keras.layers.Normalization
    layers: Iterable[keras.layers.Layer] = in_order(model)
    if isinstance(model, keras.Sequential):  # a chain: behind weights, no numbers are of inputs
        layers = itertools.takewhile(lambda one: isinstance(one, units) or not one.weights, layers)
    layer = next((one for one in layers if isinstance(one, units)), None)
    if layer is None:
        return
    cure = "Leave it out, or do not standardize"
    if isinstance(layer, keras.layers.Masking):
        cure = f"Scale the examples yourself, except for those of {layer.mask_value:g}"
    raise ValueError(
        "The model must not contain a layer that takes inputs in their own units. Received: "
        f"{model.name!r} with {type(layer).__name__}, which would get standard units. {cure}."
    )


def _check_width(model: keras.Model, first: TableColumns) -> None:
    """Raises ValueError unless a model takes what a table's first layer makes."""
    declared = getattr(model, "inputs", None)
    if declared is not None and tuple(declared[0].shape[1:]) != (first.width,):
        raise ValueError(
            f"The model must take {first.width} inputs: one for each number, category and column "
            f"with gaps, as `tasks.columns.width` says. Received: {model.name!r}, which takes "
            f"{list(declared[0].shape[1:])}."
        )


def _rescaling(scale: np.ndarray, offset: np.ndarray, name: str) -> keras.layers.Layer:
    return keras.layers.Rescaling(
        scale.tolist(), offset.tolist(), name=name, dtype=keras.config.floatx()
    )


def _input_shape(model: keras.Model, inputs: Statistics) -> tuple[int | None, ...] | None:
    """The shape of one example that a model declares, if any; ValueError unless `inputs` fit it."""
    declared = getattr(model, "inputs", None)
    if declared is None:
        return None
    shape = tuple(declared[0].shape[1:])
    floats = declared[0].dtype.startswith("float")
    if len(declared) > 1 or not floats or shape[-1:] != inputs.mean.shape:
        shown = ", ".join(f"{list(t.shape[1:])} of {t.dtype}" for t in declared)
        raise ValueError(
            "The model must take one float input, with as many values along the last axis as the "
            f"tasks' examples have: {inputs.mean.shape}. Received: {model.name!r}, which takes "
            f"{shown}. Put a layer that scales into the model yourself."
        )
    return shape
