"""The exported functions of a learner: named tensors in, named tensors out."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from meta_tf.algorithms import Algorithm
from meta_tf.data_checks.values import with_right_targets
from meta_tf.layers import strangeness
from meta_tf.learner import MetaLearner
from meta_tf.learner.calibrate import classifies
from meta_tf.learner.distances import adapt_and_measure, embeds, predict_and_measure
from meta_tf.learner.embedded import embeds_separately, head_of
from meta_tf.types import Examples, Tensor, Weights

Tensors = dict[str, Any]  # by name
STRANGENESS = "strangeness"  # an output of calibrated learners
Place = tuple[str, Any]  # identifies a weight: ("model", 0), ("state", 2), ("meta", "inner_lr")


class Signatures:
    """Traces the exported functions; each takes and returns named tensors.

    Args:
      learner: a `MetaLearner`.
      inputs: `tf.TensorSpec` of a batch of inputs, [None, ...], in the model's structure.
      targets: likewise for the targets.
      support: S, the number of support examples; any if None.
      query: Q, the number of query examples; any if None.
    """

    def __init__(
        self,
        learner: MetaLearner,
        inputs: Any,
        targets: tf.TensorSpec,
        support: int | None = None,
        query: int | None = None,
    ):
        self.learner = learner
        self.network = learner.network
        self.algorithm = learner.algorithm
        self.inputs = inputs
        self.support = {
            **_named("support_x", inputs, support),
            "support_y": _renamed(targets, "support_y", support),
        }
        self.query = _named("query_x", inputs, query)
        self.made: list[Place] = []  # the weights that `adapt` changes
        self.adapted: list[Place] = []  # those of them that `predict` needs
        model = learner.model
        self._targets, self._counts = targets, (support, query)
        calibration = learner.calibration
        self._judges = calibration is not None and classifies(learner)
        self._spread: float | None = None  # unless the strangeness is a distance
        if calibration is not None and self._judges and embeds(self.network, self.algorithm):
            self._spread = calibration.spread
        self.head: Signatures | None = None  # of the learner of embeddings; keeps its variables
        self.paths: dict[Place, str] = {
            **{("model", i): v.path for i, v in enumerate(model.trainable_variables)},
            **{("state", i): v.path for i, v in enumerate(model.non_trainable_variables)},
        }

    def three(self) -> dict[str, Any]:
        """`adapt_and_predict`, `adapt` and `predict`, as concrete functions."""
        adapt, predict = self._adapt_and_predict_apart()
        whole = _trace(self.adapt_and_predict, {**self.support, **self.query})
        return {"adapt_and_predict": whole, "adapt": adapt, "predict": predict}

    def on_embeddings(self) -> dict[str, Any]:
        """`embed`, `adapt_embedded` and `predict_embedded`, for a network that does not adapt.

        `embed` is for one example in a call if the number of queries is fixed. Empty if examples
        are not embedded independently of each other.
        """
        if not embeds_separately(self.learner):
            return {}
        size = self.learner.model.output_shape[-1]
        embeddings = tf.TensorSpec([None, size], keras.config.floatx())
        self.head = Signatures(head_of(self.learner), embeddings, self._targets, *self._counts)
        adapt, predict = self.head._adapt_and_predict_apart()
        embed = _trace(self.embed, _named("x", self.inputs, 1 if self._counts[1] else None))
        return {"embed": embed, "adapt_embedded": adapt, "predict_embedded": predict}

    def all(self) -> dict[str, Any]:
        """All the concrete functions by name."""
        functions = {**self.three(), **self.on_embeddings()}
        functions["serving_default"] = functions["adapt_and_predict"]
        if self._initial() is not None:
            functions["initial"] = _trace(self.initial, self.query)
        if self.algorithm.with_rate(tf.constant(1.0)) is not None:
            run_time = {
                "inner_steps": tf.TensorSpec([], tf.int32, "inner_steps"),
                "inner_lr": tf.TensorSpec([], tf.float32, "inner_lr"),
            }
            functions["adapt_steps_and_predict"] = _trace(
                self.adapt_steps_and_predict, {**self.support, **self.query, **run_time}
            )
        return functions

    def _adapt_and_predict_apart(self) -> tuple[Any, Any]:
        """`adapt` and `predict`; `adapt` returns exactly the weights that `predict` needs."""
        _trace(self._find_adapted, self.support)
        while True:
            adapt = _trace(self.adapt, self.support)
            weights = {n: _renamed(t, n) for n, t in adapt.structured_outputs.items()}
            predict = _trace(self.predict, {**self.query, **weights})
            # For example, batch normalisation with batch statistics needs no moving averages.
            needed = _inputs_that_matter(predict)
            kept = [place for name, place in self._names().items() if name in needed]
            if len(kept) == len(self.adapted):
                return adapt, predict
            self.adapted = kept

    def _find_adapted(self, **given: Any) -> Tensors:
        before = self.learner.weights_now
        after = _by_place(self._adapted(self.algorithm, before, given))
        unchanged = {id(t) for t in tf.nest.flatten(before)}
        self.adapted = [place for place, t in after.items() if id(t) not in unchanged]
        self.made = self.adapted
        return {}

    def adapt(self, **given: Any) -> Tensors:
        after = _by_place(self._adapted(self.algorithm, self.learner.weights_now, given))
        return {n: tf.identity(after[p]) for n, p in self._names().items()}

    def adapt_and_predict(self, **given: Any) -> Tensors:
        adapted = self._adapted(self.algorithm, self.learner.weights_now, given)
        return self._predictions(self.algorithm, adapted, given)

    def embed(self, **given: Any) -> Tensors:
        weights = self.learner.weights_now
        x = self.algorithm.model_inputs(weights, _packed("x", self.inputs, given))
        return {"embeddings": tf.cast(self.network(weights, x), keras.config.floatx())}

    def adapt_steps_and_predict(self, *, inner_steps: Any, inner_lr: Any, **given: Any) -> Tensors:
        # In the type of the weights, for algorithms that multiply by it directly.
        algorithm = self.algorithm.with_rate(tf.cast(inner_lr, self.learner.model.variable_dtype))
        assert algorithm is not None  # otherwise `all` leaves this function out
        adapted = self._adapted(algorithm, self.learner.weights_now, given, inner_steps)
        return self._predictions(algorithm, adapted, given)

    def predict(self, **given: Any) -> Tensors:
        changed = {place: given[name] for name, place in self._names().items()}
        weights = _exchanged(self.learner.weights_now, changed)
        return self._predictions(self.algorithm, weights, given)

    def initial(self, **given: Any) -> Tensors:
        initial = self._initial()
        assert initial is not None  # otherwise `all` leaves this function out
        query_x = _packed("query_x", self.inputs, given)
        return {"predictions": self.algorithm.predict(self.network, initial, query_x)}

    def _initial(self) -> Weights | None:
        """The weights before any task; None if `predict` needs the result of a support set."""
        initial = self.algorithm.initial(self.network, self.learner.weights_now)
        made = {name for kind, name in self.made if kind == "meta"} - strangeness.FITTED
        return None if initial is None or made - initial.meta.keys() else initial

    def _adapted(
        self, algorithm: Algorithm, weights: Weights, given: Tensors, steps: Tensor | None = None
    ) -> Weights:
        labels = {"support_y": given["support_y"]}
        # Outside of this library, nothing else reports a label beyond the ways.
        y = with_right_targets(algorithm, self.network, labels, given["support_y"])
        support = Examples(_packed("support_x", self.inputs, given), y)
        if self._spread is None:
            return algorithm.adapt(self.network, weights, support, steps=steps)
        return adapt_and_measure(self.network, algorithm, weights, support, steps)

    def _predictions(self, algorithm: Algorithm, adapted: Any, given: Tensors) -> Tensors:
        query_x = _packed("query_x", self.inputs, given)
        predictions, apart = predict_and_measure(self.network, algorithm, adapted, query_x)
        if not self._judges:
            return {"predictions": predictions}
        if apart is None or self._spread is None:
            strange = strangeness.energy(predictions)
        else:
            strange = strangeness.log_distance(adapted.meta, apart, self._spread)
        return {"predictions": predictions, STRANGENESS: strange}

    def _names(self) -> dict[str, Place]:
        """The places of the adapted weights by name: `conv1_kernel` for `conv1/kernel`."""
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
    """The weights with those in `changed` replaced."""
    merged = {**_by_place(weights), **changed}
    return Weights(
        [merged["model", i] for i in range(len(weights.model))],
        [merged["state", i] for i in range(len(weights.state))],
        {name: w for (kind, name), w in merged.items() if kind == "meta"},
    )


def _names_of(prefix: str, inputs: Any) -> list[str]:
    """`prefix` for a single input; otherwise `prefix` followed by each input's key or number."""
    return [
        "_".join([prefix, *(re.sub(r"\W", "_", str(key)) for key in keys)])
        for keys, _ in keras.tree.flatten_with_path(inputs)
    ]


def _named(prefix: str, inputs: Any, count: int | None) -> dict[str, tf.TensorSpec]:
    pairs = zip(_names_of(prefix, inputs), keras.tree.flatten(inputs), strict=True)
    return {name: _renamed(spec, name, count) for name, spec in pairs}


def _packed(prefix: str, inputs: Any, given: Tensors) -> Any:
    return keras.tree.pack_sequence_as(inputs, [given[n] for n in _names_of(prefix, inputs)])


def _renamed(spec: Any, name: str, count: int | None = None) -> tf.TensorSpec:
    """The spec with another name, and for `count` examples if given."""
    shape = spec.shape if count is None else [count, *spec.shape[1:]]
    return tf.TensorSpec(shape, spec.dtype, name)


def _inputs_that_matter(function: Any) -> set[str]:
    """The names of a concrete function's inputs that any of its outputs depends on.

    A called function counts as using all of its inputs.
    """
    waiting = [t.op for t in function.outputs]
    seen = set(waiting)
    while waiting:
        op = waiting.pop()
        new = {t.op for t in op.inputs} - seen
        seen |= new
        waiting += new
    return {t.op.name for t in function.inputs if t.op in seen}
