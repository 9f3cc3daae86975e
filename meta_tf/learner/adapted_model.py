"""`AdaptedModel`: a network that has learned one task, as a Keras model."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.eager.record import could_possibly_record  # there is no public name

from meta_tf import gaussian
from meta_tf.algorithms import Algorithm
from meta_tf.batch.exact_steps import check_numbers, exactly
from meta_tf.calibration import Calibration
from meta_tf.checks import check_number, check_text
from meta_tf.data_checks.batch import check_inputs, check_ranges, right_inputs
from meta_tf.data_checks.finite import require_finite
from meta_tf.files import write_json_beside
from meta_tf.forks import check_not_forked
from meta_tf.layers import strangeness
from meta_tf.layers.strangeness import Judged
from meta_tf.learner.calibrate import probabilities_of
from meta_tf.learner.compiled import (
    TaskFunctions,
    check_unchanged,
    predictions_and_losses,
    task_functions,
)
from meta_tf.learner.input_range import check_range
from meta_tf.learner.keras_file import (
    Parts,
    check_keras_file,
    copied,
    read_batch_with,
    read_parts,
    write_batch_with,
    write_parts,
)
from meta_tf.learner.query_batch import depends_on_batch, in_batch
from meta_tf.learner.read_pictures import picture_input, read_inputs
from meta_tf.learner.standardize import columns_of
from meta_tf.learner.task_values import TaskValues
from meta_tf.network.layer_state import (
    load_layer_assets,
    load_layers,
    prepare_layers,
    save_layer_assets,
    save_layers,
    tables_of,
)
from meta_tf.network.losses import chooses_class, is_gaussian, loss_name, takes_logits
from meta_tf.network.masks import unpacked
from meta_tf.network.network import Network
from meta_tf.parts import AT_ONCE, in_parts, joined, map_parts, number_of
from meta_tf.tasks.columns import Columns
from meta_tf.tasks.images.picture_input import PictureInput
from meta_tf.types import Examples, Tensors, Weights


@keras.saving.register_keras_serializable("meta_tf")
class AdaptedModel(keras.Model):
    """A Keras model for one task, returned by `MetaLearner.adapt`.

    It computes `algorithm.predict(network, weights, x)` with its own weights: what the
    learner predicts for a query set `x`. Dropout and similar layers stay off, even if you
    train it further. In the batch-norm mode `transductive`, predictions use the statistics of
    the current batch. Then either predict many examples of all classes at once, with
    `fitted.predict(x, batch_size=len(x))`, because `predict` splits `x` into batches of 32 by
    default, or one by one, each with the support set: `fitted.predict_one_by_one(x, support_x)`.

    A model of pictures predicts files, folders, PIL pictures and arrays of uint8 of any size too:
    `fitted.predict_names("new.jpg")`. They become inputs as `pictures` describes.

    It creates its Keras variables when they are first needed, by `weights`, `fit`, `save`
    and so on. Until then it holds plain tensors and costs almost nothing.

    Args:
      network: the model and its loss; only its structure is used.
      algorithm: the algorithm that predicts.
      weights: the adapted weights.
      functions: `task_functions(network, algorithm)`, if several models share them; if None, the
        model compiles its own.
      class_names: the names of the classes, in the order of their numbers, if they have names.
      classes: the number of outputs of a prediction: the network's first ones; all if None.
      pictures: how files and PIL pictures become inputs; if None, they are stretched to the size
        that the model takes.
      batch_with: inputs [S, ...], such as the support set, that share the batch of each input in
        `predict_one_by_one` and `predict_names` unless others are passed. `save` keeps them.
      calibration: the learner's; None if it has none.
      temperature: what logits are divided by in `predict_proba`.
      threshold: the strangeness above which an input is none of the classes.
      largest_input: the largest absolute value of pictures in training; 0 if unknown.
      support: the support set, if the strangeness is yet to be measured: when somebody first asks
        for it, or saves the model.

    Example:
      >>> fitted = learner.adapt(support_x, support_y)
      >>> fitted.predict(tf.zeros([7, 1]), verbose=0).shape
      (7, 1)
    """

    network: Network
    algorithm: Algorithm
    class_names: tuple[str, ...]
    classes: int | None
    calibration: Calibration | None
    temperature: float
    threshold: float
    largest_input: float
    batch_with: Tensors | None
    _pictures: PictureInput | None
    _functions: TaskFunctions
    _values: TaskValues
    _has_own_model: bool  # False: `network.model` is the learner's
    _creating = threading.RLock()
    _options: dict[str, Any] | None = None  # for Keras; None once they are used

    def __init__(
        self,
        network: Network,
        algorithm: Algorithm,
        weights: Weights,
        functions: TaskFunctions | None = None,
        class_names: Sequence[str] = (),
        classes: int | None = None,
        pictures: PictureInput | None = None,
        batch_with: Tensors | None = None,
        calibration: Calibration | None = None,
        temperature: float = 1.0,
        threshold: float = 0.0,
        largest_input: float = 0.0,
        support: Examples | None = None,
        **options: Any,
    ):
        functions = functions or task_functions(network, algorithm)
        measure = None if support is None else lambda now: functions.measure(now, support)
        self.__dict__.update(  # past Keras, see `__getattr__`
            network=network,
            algorithm=algorithm,
            class_names=tuple(class_names),
            classes=classes,
            calibration=calibration,
            temperature=temperature,
            threshold=threshold,
            largest_input=largest_input,
            batch_with=batch_with,
            _pictures=pictures,
            _functions=functions,
            _values=TaskValues(weights, self, measure),
            _has_own_model=False,
            _options={"dtype": network.model.dtype_policy, **options},
        )

    def __new__(cls, *args: Any, **options: Any) -> AdaptedModel:
        del args, options
        return object.__new__(cls)

    def __getattr__(self, name: str) -> Any:
        """Lets Keras create its attributes when the first of them is used.

        This takes as long as several inner steps, and predictions do not need it.
        """
        with self._creating:
            if self._options is not None:
                options, self.__dict__["_options"] = self._options, None
                super().__init__(autocast=False, **options)
                self.built = True
        return object.__getattribute__(self, name)  # with the error of a property that fails

    def call(self, inputs: Tensors, training: bool = False) -> Tensors:
        """Predictions [B, ...] for the inputs [B, ...]."""
        del training
        check_not_forked()
        check_inputs(self.algorithm, self.network, "inputs", inputs, axes=1)
        eagerly = tf.executing_eagerly()
        if eagerly:
            require_finite({"inputs": inputs}, axes=1)
            self._check_ranges("inputs", inputs)
        if not eagerly or could_possibly_record():
            # So that larger graphs follow changes of the weights, and gradients reach them.
            self._make_variables()
        weights = self.weights_now
        if eagerly:
            predictions, losses = self._functions.predict(weights, inputs)
        else:
            predictions, losses = predictions_and_losses(
                self.network, self.algorithm, weights, inputs
            )
        if losses:
            self.add_loss(losses)
        return self._of_task(unpacked(predictions))

    @property
    def facts(self) -> dict[str, Any]:
        """What is known about the task besides its weights, as arguments of the constructor."""
        names = ("class_names", "classes", "calibration", "temperature", "threshold")
        return {name: getattr(self, name) for name in (*names, "largest_input")}

    @property
    def columns(self) -> Columns | None:
        """The columns of the table that the learner was trained on; see `MetaLearner.columns`."""
        return columns_of(self.network)

    @property
    def pictures(self) -> PictureInput | None:
        """How files and PIL pictures become inputs; None if the model does not take pictures."""
        return self._pictures or picture_input(self.network)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """Predicts as `keras.Model.predict` does; arrays take a shortcut.

        They skip Keras's input pipeline and its compilation, which take many times longer for
        each task than a small model takes to predict.
        """
        check_numbers({"batch_size": batch_size, "steps": steps})
        x = read_inputs(self.network, self._pictures, "x", x)
        arrays = number_of(x) is not None
        if arrays:  # Keras would number an example within its batch of 32
            x = self._as_some(x)
        if not arrays or steps is not None or callbacks:
            with exactly(self, "predict", steps):
                return super().predict(x, batch_size, verbose, steps, callbacks)
        return map_parts(self._arrays, x, batch_size or AT_ONCE, verbose)

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
        **options: Any,
    ) -> Any:
        """Works as `keras.Model.evaluate`, with as many batches as requested.

        `options` are those that Keras's `fit` passes for its validation.
        """
        check_numbers({"batch_size": batch_size, "steps": steps})
        with exactly(self, "test", steps):
            return super().evaluate(
                x, y, batch_size, verbose, sample_weight, steps, callbacks, return_dict, **options
            )

    def predict_on_batch(self, x: Any) -> Any:
        """Predictions [B, ...] for the inputs [B, ...], as arrays."""
        check_not_forked()
        return self._arrays(self._as_inputs("x", x))

    def predict_one_by_one(self, x: Any, batch_with: Any = None) -> Any:
        """Predicts each input independently of the others.

        In the batch-norm mode `transductive`, an input is normalised by the statistics of its
        batch. A single picture has poor statistics; together with the support set, they are
        similar to those in training. In the other modes, and without batch norm, the result is
        the same as from `predict`.

        Args:
          x: the inputs, [B, ...].
          batch_with: inputs [S, ...] that share the batch of each input, such as the support set
            that the model learned from; the model's own `batch_with` if None. If it has none, each
            input has a batch of its own.

        Returns:
          Predictions [B, ...], as arrays.

        Example:
          >>> fitted = learner.adapt(support_x, support_y)
          >>> fitted.predict_one_by_one(tf.zeros([7, 1]), batch_with=support_x).shape
          (7, 1)
        """
        return self._independently(self._arrays, x, batch_with)

    def predict_proba(self, x: Any, batch_with: Any = None) -> np.ndarray:
        """The probability of each class for each input, [B, N], float64.

        softmax(logits / T), with the temperature T of a calibrated learner for this number of
        classes and support examples, and 1 without a calibration.

        Args:
          x: the inputs, [B, ...].
          batch_with: as in `predict_one_by_one`.

        Raises:
          ValueError: if the model does not classify.

        Example:
          >>> body = meta_tf.models.mlp(1, outputs=None)
          >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
          >>> protonet = meta_tf.MetaLearner(body, meta_tf.ProtoNet(ways=5), loss)
          >>> fitted = protonet.adapt(tf.constant([[0.0], [1.0]]), ["low", "high"])
          >>> probabilities = fitted.predict_proba(tf.constant([[0.1], [0.2], [0.9]]))
          >>> probabilities.shape, probabilities.sum(-1).round(6)
          ((3, 2), array([1., 1., 1.]))
        """
        return self._probabilities(self.predict_one_by_one(x, batch_with))

    def predict_with_strangeness(
        self, x: Any, batch_with: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The probabilities of `predict_proba`, and how unlike all classes each input is.

        The strangeness is above 0 for an input that is none of the classes: by its distance from
        the class means in the embedding (see `meta_tf.layers.strangeness`), or for a learner
        without embeddings by its energy, -log Σ_n exp(logit_n). 0 is the threshold of
        `MetaLearner.calibrate`.

        Args:
          x: the inputs, [B, ...].
          batch_with: as in `predict_one_by_one`.

        Returns:
          Probabilities [B, N] and strangeness [B], float64.

        Raises:
          ValueError: if the model does not classify, or its learner was not calibrated.
        """
        if self.calibration is None:
            raise ValueError(
                "What is none of the classes needs a calibrated learner. Received: a model of a "
                "learner without a calibration. Call learner.calibrate(tasks.valid), then "
                "learner.adapt(support_x, support_y)."
            )
        judged = self.judged(x, batch_with)
        strange = judged.strangeness(self.calibration.spread) - self.threshold
        return self._probabilities(judged.logits), strange

    def predict_names(
        self, x: Any, batch_with: Any = None, unknown: str | None = None
    ) -> np.ndarray:
        """The name of the most likely class of each input, [B]; see `predict_one_by_one`.

        Args:
          x: the inputs, [B, ...].
          batch_with: as in `predict_one_by_one`.
          unknown: the name of inputs that are none of the classes, such as `"none of these"`; if
            None, every input gets the name of a class. It needs a calibrated learner.

        Raises:
          ValueError: if the classes have no names, or `unknown` is given and the learner was not
            calibrated.
        """
        if not self.class_names:
            raise ValueError(
                "`predict_names` needs class names. Received: a model that learned class numbers. "
                "Pass names to adapt(support_x, support_y, class_names=[...])."
            )
        names = np.array(self.class_names)
        if unknown is None:
            return names[self.predict_one_by_one(x, batch_with)[..., : len(names)].argmax(-1)]
        check_text("unknown", unknown, "none of these")
        probabilities, strange = self.predict_with_strangeness(x, batch_with)
        return np.where(strange > 0, unknown, names[probabilities[..., : len(names)].argmax(-1)])

    def judged(self, x: Any, batch_with: Any = None) -> Judged:
        """The predictions of `predict_one_by_one`, and the distances from the classes.

        There are no distances if the learner was not calibrated, or has no embeddings.
        """

        def judge(batch: Tensors) -> list[np.ndarray]:
            found = self._functions.judge(self._values.measured(), batch)
            return [self._of_task(t.numpy()) for t in found if t is not None]

        logits, *apart = self._independently(judge, x, batch_with)
        if not apart:
            return Judged(logits)
        return Judged(logits, apart[0], np.asarray(self.weights_now.meta[strangeness.WITHIN]))

    def _probabilities(self, outputs: np.ndarray) -> np.ndarray:
        loss = self.network.loss
        if not chooses_class(loss) or np.ndim(outputs) != 2:
            raise ValueError(
                "Probabilities need a learner that classifies: one with the loss "
                "keras.losses.SparseCategoricalCrossentropy. Received: a model learned with "
                f"{loss_name(loss)}."
            )
        return probabilities_of(loss, outputs, self.temperature)

    def predict_interval(self, x: Any, level: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """The central interval of each target, in the unit of the targets.

        It holds a new measurement, with its noise, with probability `level` if the learner's
        distributions are right; `meta_tf.evaluate` says how many targets their intervals hold.

        Args:
          x: the inputs, [B, ...].
          level: the probability, between 0 and 1.

        Returns:
          Lower and upper ends, [B, ..., D] each, as arrays.

        Raises:
          ValueError: if `level` is not between 0 and 1, or the learner's loss is not
            `meta_tf.GaussianLoss`.

        Example:
          >>> body = meta_tf.models.mlp(1, 16)
          >>> learner = meta_tf.MetaLearner(body, meta_tf.ALPaCA(), meta_tf.GaussianLoss())
          >>> fitted = learner.adapt(tf.zeros([5, 1]), tf.zeros([5, 1]))
          >>> lower, upper = fitted.predict_interval(tf.ones([3, 1]))
          >>> lower.shape, bool((lower < upper).all())
          ((3, 1), True)
        """
        if not is_gaussian(self.network.loss):
            raise ValueError(
                "`predict_interval` needs predictions of means and scales. Received: a model "
                f"learned with the loss {loss_name(self.network.loss)}. Train a learner with "
                "meta_tf.GaussianLoss, such as ALPaCA or InContext(answer='gaussian')."
            )
        check_number("level", level, above=0, below=1)
        lower, upper = gaussian.interval(tf.constant(self.predict(x, verbose=0)), level)
        return lower.numpy(), upper.numpy()

    def make_predict_function(self, force: bool = False) -> None:
        self._without_compiling(super().make_predict_function, force)

    def make_test_function(self, force: bool = False) -> None:
        self._without_compiling(super().make_test_function, force)

    def export(
        self,
        filepath: Any,
        format: str = "tf_saved_model",
        verbose: Any = None,
        input_signature: Any = None,
        **options: Any,
    ) -> None:
        """Exports as `keras.Model.export` does, with the inputs that the model declares.

        JSON files in `assets.extra` of a SavedModel, or `FILE.NAME.json` beside other files, hold
        `class_names`, if there are any; `columns`, what rows of a table are in numbers; and
        `temperature`, by which to divide the logits of a calibrated learner.
        """
        from meta_tf.export.specs import input_specs  # it stands above the learner

        if input_signature is None:
            input_signature = [input_specs(self.algorithm, self.network, None)]
        self._tables = tables_of(self.network.model)  # TensorFlow finds them as an attribute
        super().export(filepath, format, verbose, input_signature, **options)
        divided = self.calibration is not None and takes_logits(self.network.loss)
        for name, content in {
            "class_names": list(self.class_names) or None,
            "columns": self.columns and self.columns.described(),
            "temperature": self.temperature if divided else None,
        }.items():
            write_json_beside(Path(filepath), name, content)

    def compute_output_spec(self, inputs: Tensors, training: bool = False) -> Tensors:
        spec = self.algorithm.output_spec(self.network, inputs)
        if self.classes is None:
            return spec
        return keras.KerasTensor((*spec.shape[:-1], self.classes), dtype=spec.dtype)

    @property
    def input_shape(self) -> Any:
        """The shape of the inputs, [None, ...], in the model's structure."""
        return keras.tree.map_structure(lambda t: tuple(t.shape), self._declared_inputs())

    @property
    def output_shape(self) -> Any:
        """The shape of the predictions, [None, ...]."""
        outputs = self.compute_output_spec(self._declared_inputs())
        return keras.tree.map_structure(lambda t: tuple(t.shape), outputs)

    def summary(self, *args: Any, print_fn: Any = None, **options: Any) -> None:
        """Prints what was learned, and the layers as `keras.Model.summary` does.

        The shapes and sizes of the layers are those of the adapted model; its values differ from
        the learner's.
        """
        (print_fn or print)(
            f"Adapted model {self.name!r}: one task, learned by {type(self.algorithm).__name__} "
            f'(batch_norm="{self.network.batch_norm}")'
            + (f", classes {', '.join(self.class_names)}" if self.class_names else "")
        )
        self.network.model.summary(*args, print_fn=print_fn, **options)

    def _declared_inputs(self) -> Any:
        inputs = self.algorithm.input_spec(self.network)
        if inputs is None:
            raise AttributeError(
                f"The model {self.network.model.name!r} declares no inputs, as it is subclassed, "
                "so it has no shapes before it is called."
            )
        return inputs

    @property
    def variables(self) -> list[keras.Variable]:
        self._make_variables()
        return super().variables

    @property
    def weights(self) -> list[keras.Variable]:
        self._make_variables()
        return super().weights

    def set_weights(self, weights: list[Any]) -> None:
        super().set_weights(weights)
        if self._has_own_model:
            self._prepare(prepare_layers)

    def save_own_variables(self, store: Any) -> None:
        check_unchanged(self.network)
        self._make_variables()
        super().save_own_variables(store)
        with keras.StatelessScope(state_mapping=list(self._values.of(self.network.model))):
            save_layers(self.network.model, store)

    def load_own_variables(self, store: Any) -> None:
        self._take_own_model()
        self._make_variables()
        kept = {name: store[name] for name in store.keys()}  # noqa: SIM118 - a store is not a dict
        super().load_own_variables({n: value for n, value in kept.items() if n.isdecimal()})
        self._prepare(lambda model: load_layers(model, kept))

    def save_assets(self, folder: str) -> None:
        """Writes files for Keras's `save`: `batch_with`, and those of layers (vocabularies)."""
        save_layer_assets(self.network.model, folder)
        write_batch_with(folder, self.batch_with)

    def load_assets(self, folder: str) -> None:
        """Reads the files that `save_assets` wrote, for Keras's loading."""
        load_layer_assets(self.network.model, folder)
        spec = self.algorithm.input_spec(self.network)
        if (batch_with := read_batch_with(folder, spec)) is not None:
            self.batch_with = batch_with
        self._take(self.network.model)

    @property
    def weights_now(self) -> Weights:
        """The weights, as tensors."""
        return self._values.now()

    def save(self, filepath: Any, overwrite: bool = True, **options: Any) -> None:
        """Saves to a `.keras` file, with the same checks as `MetaLearner.save`."""
        check_keras_file(filepath, self)
        super().save(filepath, overwrite=overwrite, **options)

    def save_weights(self, filepath: Any, overwrite: bool = True, **options: Any) -> None:
        """Saves only the weights, as `keras.Model.save_weights` does."""
        check_unchanged(self.network)  # before Keras opens the file, which empties an earlier one
        super().save_weights(filepath, overwrite=overwrite, **options)

    def get_config(self) -> dict[str, Any]:
        check_unchanged(self.network)
        parts = Parts(self.network, self.algorithm, self.calibration, self._pictures)
        return {
            **super().get_config(),
            **self.facts,
            **write_parts(parts),
            "class_names": list(self.class_names),
            "meta": {
                name: [value.shape.as_list(), value.dtype.name]
                for name, value in self._values.measured().meta.items()
            },
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> AdaptedModel:
        del custom_objects
        config = dict(config)
        network, algorithm, calibration, pictures = read_parts(config)
        if calibration:
            config.setdefault("threshold", calibration.threshold(1, 1))  # missing in older files
        meta = {n: tf.zeros(shape, dtype) for n, (shape, dtype) in config.pop("meta").items()}
        weights = network.weights._replace(meta=meta)
        config |= {"calibration": calibration, "pictures": pictures}
        adapted = cls(network, algorithm, weights, **config)
        adapted._has_own_model = True
        return adapted

    def quantize(self, mode: Any = None, **options: Any) -> None:
        self._make_variables()  # Keras does not allow more of them after this
        raise ValueError(
            "An adapted model cannot be quantised: its layers are the learner's. Received: "
            f"mode={mode!r}. Call learner.quantize({mode!r}), then learner.adapt(support_x, "
            "support_y)."
        )

    def _of_task(self, predictions: Tensors) -> Tensors:
        """Predictions without the outputs for classes that the task does not have."""
        return predictions if self.classes is None else predictions[..., : self.classes]

    def _as_inputs(self, name: str, x: Any) -> Tensors:
        """Arrays or pictures as tensors, after checking that they are inputs [B, ...]."""
        x = read_inputs(self.network, self._pictures, name, x)
        x = right_inputs(self.algorithm, self.network, name, x)
        self._check_ranges(name, x)
        return x

    def _check_ranges(self, name: str, x: Tensors) -> None:
        """Raises ValueError if pictures do not have the range of values of training."""
        check_ranges(self.algorithm, self.network, name, x, in_steps=False)
        check_range(self.largest_input, name, x)

    def _arrays(self, x: Tensors) -> Any:
        """Predictions [B, ...] for checked inputs, as arrays."""
        (predictions, *_), _ = self._functions.predict(self.weights_now, x)
        return self._of_task(keras.tree.map_structure(lambda p: p.numpy(), predictions))

    def _as_some(self, x: Any) -> Tensors:
        """`_as_inputs`, and not empty."""
        check_not_forked()
        x = self._as_inputs("x", x)
        if number_of(x) == 0:
            raise ValueError("`x` must hold at least one input. Received: an empty array.")
        return x

    def _independently(self, function: Callable[[Tensors], Any], x: Any, batch_with: Any) -> Any:
        """The arrays that `function` of a batch returns, for each input as if it were alone.

        If others of its batch matter, it follows the inputs `batch_with`.
        """
        x = self._as_some(x)
        if not depends_on_batch(self.network):
            return map_parts(function, x)
        batch_with = self.batch_with if batch_with is None else batch_with
        if batch_with is not None:
            batch_with = self._as_inputs("batch_with", batch_with)
        found = []
        for one in in_parts(x, 1):
            of_batch = function(in_batch(one, batch_with))
            found.append(keras.tree.map_structure(lambda p: p[-1:], of_batch))
        return joined(found)

    def _make_variables(self) -> None:
        """Replaces the learned tensors by Keras variables, once."""
        self._values.make_variables(self.network.model, lambda: check_unchanged(self.network))

    def _take_own_model(self) -> None:
        """Copies the learner's model, whose layers loading a file must not change."""
        if self._has_own_model:
            return
        check_unchanged(self.network)
        self._take(copied(self.network.model))
        self._has_own_model = True

    def _prepare(self, prepare: Callable[[keras.Model], Any]) -> None:
        """Gives the own model the current weights, and lets its layers prepare themselves."""
        for variable, value in self._values.of(self.network.model):
            variable.assign(value)
        prepare(self.network.model)
        self._take(self.network.model)

    def _take(self, model: keras.Model) -> None:
        """Uses this model, in its current state, from now on."""
        self.network = Network(model, self.network.loss, self.network.batch_norm)
        self._functions = task_functions(self.network, self.algorithm)
        if self.train_function is not None:  # Keras's; `fit` may be running it
            self.make_train_function(force=True)

    def _without_compiling(self, make: Callable[[bool], None], force: bool) -> None:
        check_not_forked()
        # Keras would compile for each model separately; the function for all is compiled already.
        eagerly, self.run_eagerly = super().run_eagerly, True
        try:
            make(force)
        finally:
            self.run_eagerly = eagerly
