"""Export: a SavedModel that still learns new tasks, and needs TensorFlow alone to do so."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from meta_tf.types import Examples, Weights

Tensors = dict[str, Any]


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
    path = Path(os.path.realpath(path))  # where a link leads to
    _check_replaceable(path)
    inputs = input_specs(learner.model, input_signature)
    targets = _target_spec(learner, inputs, target_signature)
    signatures = _Signatures(learner, inputs, targets).all()
    module = tf.Module()
    module.learned = [v.value for v in learner.variables]
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        tf.saved_model.save(module, str(unfinished), signatures)
        _describe(learner, unfinished)
        _put_in_place(unfinished, path)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
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
        self.adapted: list[tuple[str, Any]] = []  # places of the weights that adaptation changes
        model = learner.model
        self.paths = {
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
        classifies = self.algorithm.outputs(self.network) is None
        if classifies and self._initial() is not None:
            functions["initial"] = _trace(self.initial, self.query)
        if self._rate_is_free():
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
        algorithm = dataclasses.replace(self.algorithm, inner_lr=inner_lr)
        adapted = self._adapted(algorithm, self.learner.weights_now, given, inner_steps)
        return self._predictions(algorithm, adapted, given)

    def predict(self, **given: Any) -> Tensors:
        changed = {place: given[name] for name, place in self._names().items()}
        weights = _exchanged(self.learner.weights_now, changed)
        return self._predictions(self.algorithm, weights, given)

    def initial(self, **given: Any) -> Tensors:
        query_x = _packed("query_x", self.inputs, given)
        return {"predictions": self.network(self._initial(), query_x)}

    def _initial(self):
        return self.algorithm.initial(self.network, self.learner.weights_now)

    def _adapted(self, algorithm, weights, given, steps=None):
        support = Examples(_packed("support_x", self.inputs, given), given["support_y"])
        return algorithm.adapt(self.network, weights, support, steps=steps)

    def _predictions(self, algorithm, adapted, given):
        query_x = _packed("query_x", self.inputs, given)
        return {"predictions": algorithm.predict(self.network, adapted, query_x)}

    def _names(self):
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

    def _rate_is_free(self):
        """Whether the algorithm has a rate that is a plain number, not learned ones."""
        fields = {f.name for f in dataclasses.fields(self.algorithm)}
        learned = self.algorithm.meta_weights(self.network)
        return "inner_lr" in fields and not any(name.startswith("inner_lr") for name in learned)


def _trace(function: Callable[..., Tensors], specs: Tensors) -> Any:
    return tf.function(function, autograph=False).get_concrete_function(**specs)


def _by_place(weights):
    """The weights by place: ("model", 0), …, ("state", 0), …, ("meta", name), …."""
    return {
        **{("model", i): w for i, w in enumerate(weights.model)},
        **{("state", i): w for i, w in enumerate(weights.state)},
        **{("meta", name): w for name, w in weights.meta.items()},
    }


def _exchanged(weights, changed):
    """The weights with others at some places."""
    merged = {**_by_place(weights), **changed}
    return Weights(
        [merged["model", i] for i in range(len(weights.model))],
        [merged["state", i] for i in range(len(weights.state))],
        {name: w for (kind, name), w in merged.items() if kind == "meta"},
    )


def _names_of(prefix, inputs):
    """`prefix` itself for a single input, else with the input's key or number behind."""
    return [
        "_".join([prefix, *(re.sub(r"\W", "_", str(key)) for key in keys)])
        for keys, _ in keras.tree.flatten_with_path(inputs)
    ]


def _named(prefix, inputs):
    pairs = zip(_names_of(prefix, inputs), keras.tree.flatten(inputs), strict=True)
    return {name: _renamed(spec, name) for name, spec in pairs}


def _packed(prefix, inputs, given):
    return keras.tree.pack_sequence_as(inputs, [given[n] for n in _names_of(prefix, inputs)])


def _renamed(spec, name):
    return tf.TensorSpec(spec.shape, spec.dtype, name)


def input_specs(model, signature):
    """The inputs of a Keras model as `tf.TensorSpec`, for any number of examples."""
    if signature is None:
        try:
            declared = model.inputs[0] if len(model.inputs) == 1 else model.input
        except (AttributeError, ValueError, TypeError) as error:
            raise ValueError(
                "`input_signature` is needed for a model that declares no inputs. Received: the "
                f"model {model.name!r} of type {type(model).__name__}, and None. Say what a batch "
                "looks like: learner.export(path, input_signature=tf.TensorSpec([None, 28, 28, 1], "
                "tf.float32))."
            ) from error
        signature = keras.tree.map_structure(lambda t: tf.TensorSpec(t.shape, t.dtype), declared)

    def any_number(spec):
        if not isinstance(spec, tf.TensorSpec) or not spec.shape.rank:
            raise ValueError(
                "`input_signature` must be tf.TensorSpec of a batch, [None, ...], in the "
                f"structure of the model's inputs. Received: {spec!r}."
            )
        return tf.TensorSpec([None, *spec.shape[1:]], spec.dtype)

    return keras.tree.map_structure(any_number, signature)


def _target_spec(learner, inputs, signature):
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


def _describe(learner, folder):
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


def _check_replaceable(path):
    if not path.exists():
        return
    if not path.is_dir() or (any(path.iterdir()) and not (path / "saved_model.pb").exists()):
        raise ValueError(
            "`filepath` must be a new folder, an empty one or an earlier export, which is "
            f"replaced. Received: {str(path)!r}, which holds something else."
        )


def _put_in_place(new, path):
    """Renames the folder `new` to `path`; what was there goes only after that."""
    if not path.exists():
        os.rename(new, path)
        return
    old = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    os.rename(path, old)
    try:
        os.rename(new, path)
    except OSError:
        os.rename(old, path)
        raise
    shutil.rmtree(old)
