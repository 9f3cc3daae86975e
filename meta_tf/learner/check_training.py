"""Checks before training: the arguments of `compile`, and what `fit` needs."""

from __future__ import annotations

from typing import Any

import keras

from meta_tf.batch.spread import check_replicas
from meta_tf.checks import check_choice, check_integer, check_switch


def check_compile(
    optimizer: Any, loss: Any, loss_weights: Any, jit_compile: Any, options: dict[str, Any]
) -> None:
    """Raises ValueError unless `MetaLearner.compile` takes these arguments."""
    for name, value in {"loss": loss, "loss_weights": loss_weights}.items():
        if value is not None:
            raise ValueError(
                f"`{name}` is not an argument of `MetaLearner.compile`: adaptation needs the "
                "loss without `compile` too. Pass it to the constructor: "
                f"MetaLearner(model, algorithm, loss=...). Received: {value!r}."
            )
    _check_optimizer(optimizer)
    if jit_compile is not None:
        check_choice("jit_compile", jit_compile, ("auto", True, False))
    check_integer("steps_per_execution", options.get("steps_per_execution", 1), at_least=1)
    for name in ("run_eagerly", "auto_scale_loss"):
        check_switch(name, options.get(name, False))


def check_fit(learner: Any, steps: int | None) -> None:
    """Raises ValueError unless a `MetaLearner` can train, with `steps` per epoch if given."""
    if learner.optimizer is None:
        raise ValueError("`optimizer` must be given for `fit`. Received: compile(optimizer=None).")
    if not learner.trainable_variables:
        raise ValueError(
            f"`model` must have trainable weights for `fit`. Received: {learner.model.name!r}, "
            "which is frozen. `adapt` and `evaluate` do not need `fit`. To train, set "
            "`trainable = True` on the layers to learn."
        )
    per_call = learner.steps_per_execution
    if steps is not None and steps % per_call:
        raise ValueError(
            "`steps_per_epoch` must be a multiple of `steps_per_execution`, because each call into "
            f"TensorFlow takes that many batches. Received: steps_per_epoch={steps} and "
            f"steps_per_execution={per_call}. Choose another number, or compile with another "
            "`steps_per_execution`."
        )
    check_replicas(learner)


def _check_optimizer(optimizer: Any) -> None:
    try:
        if optimizer is not None:  # as for `evaluate`
            keras.optimizers.get(optimizer)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            "`optimizer` must be a Keras optimizer or the name of one, such as 'adam'. "
            f"Received: {optimizer!r}."
        ) from error
