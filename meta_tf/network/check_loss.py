"""Checks of a loss, and that it gets what it expects: logits or probabilities."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from meta_tf.network.losses import (
    CROSS_ENTROPIES,
    OF_YES_AND_NO,
    ignored_class,
    loss_function,
    takes_logits,
    takes_probabilities,
)

_PROBABILITIES = (keras.activations.softmax, keras.activations.sigmoid)


def as_loss(loss: Any) -> Any:
    """The Keras loss for a name, an object or a function; ValueError if it is not supported."""
    try:
        found = keras.losses.get(loss)
    except (ValueError, TypeError) as error:
        raise ValueError(f"`loss` is not a Keras loss. Received: {loss!r}. {error}") from error
    if found is None:
        raise ValueError(
            "`loss` must be a Keras loss, its name or a function (y_true, y_pred). Received: None."
        )
    if isinstance(found, keras.losses.Loss):
        if type(found).__call__ is not keras.losses.Loss.__call__:
            raise ValueError(
                "`loss` must compute its values in `call`, and meta_tf averages them over a task. "
                f"Received: {type(found).__name__}, which overrides `__call__`. Rename that method."
            )
        if found.dtype in ("float16", "bfloat16"):
            raise ValueError(
                "`loss` must not set a `dtype`: the loss is computed in the type of the "
                f"predictions, at least float32. Received: dtype={found.dtype!r}. Leave it out."
            )
    return found


def check_loss(model: keras.Model, given: Any, loss: Any) -> None:
    """Raises ValueError if a loss of logits or probabilities does not match the model's outputs.

    Logits in place of probabilities, or the reverse, still give a loss, but the learner learns
    badly. If the user has `given` the name of a cross-entropy, that means probabilities, so the
    model must end in a softmax or sigmoid. An object is rejected only if it is known to be wrong.
    """
    wants_logits, wants_probabilities = takes_logits(loss), takes_probabilities(loss)
    if not wants_logits and not wants_probabilities:
        return
    function, gives = loss_function(loss), last_activation(model)
    name = CROSS_ENTROPIES.get(function)
    probabilities = gives in _PROBABILITIES
    right = not probabilities if wants_logits else gives is not keras.activations.linear
    if isinstance(given, str) and name:
        right = right and probabilities
    if right:
        return
    if probabilities:
        cure = f"remove the model's {gives.__name__}"
    else:
        cure = f"end it with a {'sigmoid' if function in OF_YES_AND_NO else 'softmax'}"
    if name:
        cure = f"pass loss=keras.losses.{name}(from_logits={not wants_logits}), or {cure}"
    raise ValueError(
        f"`loss` must fit the model's outputs. Received: {function.__name__} of "
        f"{'logits' if wants_logits else 'probabilities'}, and the model {model.name!r}, which "
        f"{f'ends in {gives.__name__}' if gives else 'has an unknown last activation'}. "
        f"{cure[0].upper()}{cure[1:]}."
    )


def check_values(name: str, values: Any, predictions: Any) -> None:
    """Raises ValueError if the values of a loss or a metric are those of broadcast targets.

    A function `(y - predictions) ** 2` of y [S] and predictions [S, 1] returns values [S, S], whose
    mean says little. `name` is the name of the argument with the function.
    """
    given, wanted = (tf.TensorShape(getattr(t, "shape", ())) for t in (values, predictions))
    if given.rank is None or wanted.rank is None:
        return
    pairs = zip(given[1:], wanted[1:], strict=False)
    if len(given) > len(wanted) or any(w == 1 and g not in (1, None) for g, w in pairs):
        raise ValueError(
            f"`{name}` must return at most one value for each prediction. Received: values of "
            f"shape {tuple(given)} for predictions of shape {tuple(wanted)}. Targets of another "
            "shape were broadcast: give them an axis, y[..., None], or compare predictions[..., 0]."
        )


def check_nothing_ignored(algorithm: Any, loss: Any) -> None:
    """Raises ValueError if a loss ignores a class and the algorithm uses the labels directly."""
    if ignored_class(loss) is not None:
        raise ValueError(
            f"`loss` must not ignore a class for {type(algorithm).__name__}, which builds its "
            "classifier from all examples of the support set. Received: "
            f"ignore_class={loss.ignore_class!r}. Leave it out, or use an algorithm that learns "
            "by the gradient of the loss, such as MAML."
        )


def last_activation(model: Any) -> Any:
    """The last activation of a model; None if it is unknown.

    `keras.activations.linear` means that there is none.
    """
    layer = model
    while isinstance(layer, keras.Model):
        if isinstance(layer, keras.Sequential):
            layer = next((one for one in reversed(layer.layers) if not _only_casts(one)), None)
        else:
            layer = _last_layer(getattr(layer, "output", None))
    if isinstance(layer, keras.layers.Softmax):
        return keras.activations.softmax
    activation = getattr(layer, "activation", None)
    if activation is keras.activations.linear:
        # A layer derived from one of Keras can have a softmax of its own.
        known = type(layer).call.__module__.startswith(("keras.", "meta_tf."))
        return activation if known else None
    return activation


def _last_layer(output: Any) -> Any:
    """The layer that computes the output of a Functional model; None for several outputs."""
    while isinstance(output, keras.KerasTensor):
        layer, node, _ = output._keras_history
        if not _only_casts(layer):
            return layer
        output = layer._inbound_nodes[node].input_tensors[0]
    return None


def _only_casts(layer: Any) -> bool:
    """Whether a layer has no effect, such as a last `Activation("linear", dtype="float32")`."""
    is_activation = isinstance(layer, keras.layers.Activation)
    return is_activation and layer.activation is keras.activations.linear
