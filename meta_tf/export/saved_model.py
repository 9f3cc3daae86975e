"""Export: a SavedModel that still learns new tasks, and needs TensorFlow alone to do so."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from meta_tf.algorithms import Algorithm
from meta_tf.batch.check_values import with_right_labels
from meta_tf.export.custom_gradients import save_without_custom_gradients
from meta_tf.files import whole_folder
from meta_tf.network.network import Network
from meta_tf.types import Examples, Tensor, Weights

Tensors = dict[str, Any]  # by name
Place = tuple[str, Any]  # of a weight: ("model", 0), ("state", 2), ("meta", "inner_lr")


def save(
    learner: Any, path: str | Path, input_signature: Any = None, target_signature: Any = None
) -> list[str]:
    """Writes a learner as a SavedModel, in place of an earlier one only once it is complete.

    Args:
      learner: a `MetaLearner`; see its `export` for the signatures.
      path: the folder to write.
      input_signature: `tf.TensorSpec` of a batch of the model's inputs, [None, ...],
        in the model's structure; read off the model if None.
      target_signature: likewise of the targets; follows from the loss if None.

    Returns:
      The signatures' names.

    Raises:
      ValueError: if the inputs are unknown, or `path` holds something else.
    """
    path = Path(path)
    _check_replaceable(path)
    inputs = input_specs(learner.algorithm, learner.network, input_signature)
    targets = _target_spec(learner, inputs, target_signature)
    signatures = _Signatures(learner, inputs, targets).all()
    module = tf.Module()
    module.learned = [v.value for v in learner.variables]
    with whole_folder(path) as part:
        save_without_custom_gradients(module, part, signatures)
        _describe(learner, part)
    return list(signatures)


class _Signatures:
    """Traces what is exported; every function takes and gives tensors by name."""

    def __init__(self, learner: Any, inputs: Any, targets: tf.TensorSpec):
        self.learner = learner
        self.network = learner.network
        self.algorithm = learner.algorithm
        self.inputs = inputs
        self.support = {**_named("support_x", inputs), "support_y": _renamed(targets, "support_y")}
        self.query = _named("query_x", inputs)
        self.adapted: list[Place] = []  # places of the weights that adaptation changes
        model = learner.model
        self.paths: dict[Place, str] = {
            **{("model", i): v.path for i, v in enumerate(model.trainable_variables)},
            **{("state", i): v.path for i, v in enumerate(model.non_trainable_variables)},
        }

    def all(self) -> dict[str, Any]:
        """The concrete functions by name."""
        both = {**self.support, **self.query}
        adapt = _trace(self.adapt, self.support)  # first: finds out what adaptation changes
        weights = {n: _renamed(t, n) for n, t in adapt.structured_outputs.items()}
        whole = _trace(self.adapt_and_predict, both)
        functions = {
            "serving_default": whole,
            "adapt_and_predict": whole,
            "adapt": adapt,
            "predict": _trace(self.predict, {**self.query, **weights}),
        }
        if self._initial() is not None:
            functions["initial"] = _trace(self.initial, self.query)
        if self.algorithm.with_rate(tf.constant(1.0)) is not None:
            run_time = {
                "inner_steps": tf.TensorSpec([], tf.int32, "inner_steps"),
                "inner_lr": tf.TensorSpec([], tf.float32, "inner_lr"),
            }
            functions["adapt_steps_and_predict"] = _trace(
                self.adapt_steps_and_predict, {**both, **run_time}
            )
        return functions

    def adapt(self, **given: Any) -> Tensors:
        before = self.learner.weights_now
        after = _by_place(self._adapted(self.algorithm, before, given))
        unchanged = {id(t) for t in tf.nest.flatten(before)}
        self.adapted = [place for place, t in after.items() if id(t) not in unchanged]
        return {n: tf.identity(after[p]) for n, p in self._names().items()}

    def adapt_and_predict(self, **given: Any) -> Tensors:
        adapted = self._adapted(self.algorithm, self.learner.weights_now, given)
        return self._predictions(self.algorithm, adapted, given)

    def adapt_steps_and_predict(self, *, inner_steps: Any, inner_lr: Any, **given: Any) -> Tensors:
        algorithm = self.algorithm.with_rate(inner_lr)
        adapted = self._adapted(algorithm, self.learner.weights_now, given, inner_steps)
        return self._predictions(algorithm, adapted, given)

    def predict(self, **given: Any) -> Tensors:
        changed = {place: given[name] for name, place in self._names().items()}
        weights = _exchanged(self.learner.weights_now, changed)
        return self._predictions(self.algorithm, weights, given)

    def initial(self, **given: Any) -> Tensors:
        return self._predictions(self.algorithm, self._initial(), given)

    def _initial(self) -> Weights | None:
        return self.algorithm.initial(self.network, self.learner.weights_now)

    def _adapted(
        self, algorithm: Algorithm, weights: Weights, given: Tensors, steps: Tensor | None = None
    ) -> Weights:
        labels = {"support_y": given["support_y"]}
        # Outside of this library nothing else says that a label is beyond the ways.
        y = with_right_labels(algorithm, self.network, labels, given["support_y"])
        support = Examples(_packed("support_x", self.inputs, given), y)
        return algorithm.adapt(self.network, weights, support, steps=steps)

    def _predictions(self, algorithm: Algorithm, adapted: Any, given: Tensors) -> Tensors:
        query_x = _packed("query_x", self.inputs, given)
        return {"predictions": algorithm.predict(self.network, adapted, query_x)}

    def _names(self) -> dict[str, Place]:
        """The changed weights' places by name: `conv1_kernel` for `conv1/kernel`."""
        names = {}
        for place in self.adapted:
            name = first = re.sub(r"\W", "_", self.paths.get(place, str(place[1])))
            number = 1
            while name in names or name in self.query:
                number += 1
                name = f"{first}_{number}"
            names[name] = place
        return names


def _trace(function: Callable[..., Tensors], specs: Tensors) -> Any:
    return tf.function(function, autograph=False).get_concrete_function(**specs)


def _by_place(weights: Weights) -> dict[Place, Tensor]:
    """The weights by place: ("model", 0), …, ("state", 0), …, ("meta", name), …."""
    return {
        **{("model", i): w for i, w in enumerate(weights.model)},
        **{("state", i): w for i, w in enumerate(weights.state)},
        **{("meta", name): w for name, w in weights.meta.items()},
    }


def _exchanged(weights: Weights, changed: dict[Place, Tensor]) -> Weights:
    """The weights with others at some places."""
    merged = {**_by_place(weights), **changed}
    return Weights(
        [merged["model", i] for i in range(len(weights.model))],
        [merged["state", i] for i in range(len(weights.state))],
        {name: w for (kind, name), w in merged.items() if kind == "meta"},
    )


def _names_of(prefix: str, inputs: Any) -> list[str]:
    """`prefix` itself for a single input, else with the input's key or number behind."""
    return [
        "_".join([prefix, *(re.sub(r"\W", "_", str(key)) for key in keys)])
        for keys, _ in keras.tree.flatten_with_path(inputs)
    ]


def _named(prefix: str, inputs: Any) -> dict[str, tf.TensorSpec]:
    pairs = zip(_names_of(prefix, inputs), keras.tree.flatten(inputs), strict=True)
    return {name: _renamed(spec, name) for name, spec in pairs}


def _packed(prefix: str, inputs: Any, given: Tensors) -> Any:
    return keras.tree.pack_sequence_as(inputs, [given[n] for n in _names_of(prefix, inputs)])


def _renamed(spec: Any, name: str) -> tf.TensorSpec:
    return tf.TensorSpec(spec.shape, spec.dtype, name)


def input_specs(algorithm: Algorithm, network: Network, signature: Any) -> Any:
    """What examples look like, as `tf.TensorSpec` [None, ...], for any number of them."""
    if signature is None:
        declared, model = algorithm.input_spec(network), network.model
        if declared is None:
            raise ValueError(
                "`input_signature` is needed for a model that declares no inputs. Received: the "
                f"model {model.name!r} of type {type(model).__name__}, and None. Say what a batch "
                "looks like: learner.export(path, input_signature=tf.TensorSpec([None, 28, 28, 1], "
                "tf.float32))."
            )
        signature = keras.tree.map_structure(lambda t: tf.TensorSpec(t.shape, t.dtype), declared)

    def any_number(spec: Any) -> tf.TensorSpec:
        if not isinstance(spec, tf.TensorSpec) or not spec.shape.rank:
            raise ValueError(
                "`input_signature` must be tf.TensorSpec of a batch, [None, ...], in the "
                f"structure of the model's inputs. Received: {spec!r}."
            )
        return tf.TensorSpec([None, *spec.shape[1:]], spec.dtype)

    return keras.tree.map_structure(any_number, signature)


def _target_spec(learner: Any, inputs: Any, signature: Any) -> tf.TensorSpec:
    """The targets as a `tf.TensorSpec`: labels for the sparse loss, else like the outputs."""
    if signature is not None:
        return tf.TensorSpec([None, *signature.shape[1:]], signature.dtype)
    tensors = keras.tree.map_structure(
        lambda s: keras.KerasTensor(tuple(s.shape), dtype=s.dtype.name), inputs
    )
    shape = learner.algorithm.output_spec(learner.network, tensors).shape
    function = getattr(learner.network.loss, "fn", learner.network.loss)
    if function is keras.losses.sparse_categorical_crossentropy:
        return tf.TensorSpec([None, *shape[1:-1]], tf.int32)
    return tf.TensorSpec([None, *shape[1:]], keras.config.floatx())


def _describe(learner: Any, folder: Path) -> None:
    """Puts beside the model what it is: the settings that a reader cannot see in a graph."""
    algorithm = learner.algorithm
    about = {
        "algorithm": type(algorithm).__name__,
        "settings": algorithm.get_config(),
        "batch_norm": learner.network.batch_norm,
    }
    (folder / "assets.extra").mkdir()
    text = json.dumps(about, indent=2, default=str)
    (folder / "assets.extra" / "meta_tf.json").write_text(text + "\n", encoding="utf-8")


def _check_replaceable(path: Path) -> None:
    if not path.exists():
        return
    if not path.is_dir() or (any(path.iterdir()) and not (path / "saved_model.pb").exists()):
        raise ValueError(
            "`filepath` must be a new folder, an empty one or an earlier export, which is "
            f"replaced. Received: {str(path)!r}, which holds something else."
        )
