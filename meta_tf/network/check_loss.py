"""Checks that a cross-entropy gets what it expects: logits or probabilities."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from meta_tf.gaussian import GaussianLoss

_CHOOSING = {  # one of several classes
    keras.losses.sparse_categorical_crossentropy: "SparseCategoricalCrossentropy",
    keras.losses.categorical_crossentropy: "CategoricalCrossentropy",
    keras.losses.categorical_focal_crossentropy: "CategoricalFocalCrossentropy",
}
_OF_YES_AND_NO = {
    keras.losses.binary_crossentropy: "BinaryCrossentropy",
    keras.losses.binary_focal_crossentropy: "BinaryFocalCrossentropy",
}
_CROSS_ENTROPIES = {**_CHOOSING, **_OF_YES_AND_NO}
_OF_DISTRIBUTIONS = (
    keras.losses.categorical_generalized_cross_entropy,
    keras.losses.kl_divergence,
)
_PROBABILITIES = (keras.activations.softmax, keras.activations.sigmoid)


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
    name = _CROSS_ENTROPIES.get(function)
    probabilities = gives in _PROBABILITIES
    right = not probabilities if wants_logits else gives is not keras.activations.linear
    if isinstance(given, str) and name:
        right = right and probabilities
    if right:
        return
    if probabilities:
        cure = f"remove the model's {gives.__name__}"
    else:
        cure = f"end it with a {'sigmoid' if function in _OF_YES_AND_NO else 'softmax'}"
    if name:
        cure = f"pass loss=keras.losses.{name}(from_logits={not wants_logits}), or {cure}"
    raise ValueError(
        f"`loss` must fit the model's outputs. Received: {function.__name__} of "
        f"{'logits' if wants_logits else 'probabilities'}, and the model {model.name!r}, which "
        f"{f'ends in {gives.__name__}' if gives else 'has an unknown last activation'}. "
        f"{cure[0].upper()}{cure[1:]}."
    )


def loss_function(loss: Any) -> Any:
    """The function that a Keras loss object wraps; other losses are returned unchanged."""
    return getattr(loss, "fn", loss)


def loss_name(loss: Any) -> str:
    """The name of a loss for a message."""
    function = loss_function(loss)
    return getattr(function, "__name__", type(function).__name__)


def takes_logits(loss: Any) -> bool | None:
    """Whether a Keras cross-entropy takes logits; None for any other loss."""
    if loss_function(loss) not in _CROSS_ENTROPIES:
        return None
    return isinstance(loss, keras.losses.Loss) and bool(loss.get_config().get("from_logits"))


def chooses_class(loss: Any) -> bool:
    """Whether a loss is a cross-entropy of Keras for classes, of which exactly one is right."""
    return loss_function(loss) in _CHOOSING


def takes_probabilities(loss: Any) -> bool:
    """Whether a loss of Keras takes probabilities, which sum to 1 or are separate."""
    return takes_logits(loss) is False or loss_function(loss) in _OF_DISTRIBUTIONS


def compares_probabilities(loss: Any) -> bool:
    """Whether a loss of Keras takes targets that are probabilities, such as one-hot vectors."""
    function = loss_function(loss)
    sparse = keras.losses.sparse_categorical_crossentropy
    return function in (*_CROSS_ENTROPIES, keras.losses.kl_divergence) and function is not sparse


def is_of_keras(loss: Any) -> bool:
    """Whether Keras defines what a loss computes."""
    return getattr(loss_function(loss), "__module__", "").startswith("keras.")


def is_gaussian(loss: Any) -> bool:
    """Whether a loss, perhaps in standard units, is that of means and scales."""
    return isinstance(loss_function(loss), GaussianLoss)


def ignored_class(loss: Any) -> int | None:
    """The class number that a Keras loss ignores (`ignore_class`); None if there is none."""
    return getattr(loss, "ignore_class", None)


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
