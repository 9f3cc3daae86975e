"""`MetaLearner`: a Keras model whose forward pass learns a task."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from meta_tf.algorithms import MAML, Algorithm
from meta_tf.algorithms.embedding import EmbeddingLearner
from meta_tf.batch.exact_steps import exactly
from meta_tf.batch.map_tasks import TASK_MODES, map_tasks
from meta_tf.batch.sizes import (
    cut,
    how_to_run,
    padded,
)
from meta_tf.batch.spread import check_replicas, spec_of_share, spread
from meta_tf.batch.whole_executions import WholeExecutions
from meta_tf.calibration import Calibration
from meta_tf.checks import check_choice, check_integer, check_kind
from meta_tf.data_checks.batch import check_batch
from meta_tf.data_checks.finite import check_trained
from meta_tf.data_checks.metrics import check_metrics, found_metric
from meta_tf.data_checks.targets import check_predictions
from meta_tf.data_checks.values import (
    checked_call,
    forget_functions,
    right_batch,
)
from meta_tf.forks import check_not_forked
from meta_tf.learner.adapted_model import AdaptedModel
from meta_tf.learner.calibrate import calibrated, size_of
from meta_tf.learner.check_adapted import not_finite
from meta_tf.learner.check_steps import check_steps
from meta_tf.learner.check_training import check_compile, check_fit
from meta_tf.learner.compiled import (
    compiled_adapt,
    compiled_trajectory,
    task_functions,
)
from meta_tf.learner.distances import measures_later
from meta_tf.learner.embedded import adapt_in_parts, passes_in_parts
from meta_tf.learner.input_range import InputRange, check_range
from meta_tf.learner.keras_file import Parts, check_keras_file, read_parts, write_parts
from meta_tf.learner.query_batch import BATCH_WITH
from meta_tf.learner.read_pictures import picture_input
from meta_tf.learner.standardize import columns_of, standardized
from meta_tf.learner.support_set import read_support_set
from meta_tf.learner.training import test, train, whole_executions
from meta_tf.network.finite import nan_unless_finite
from meta_tf.network.layer_state import ExactState, prepare_layers
from meta_tf.network.masks import packed, unpacked
from meta_tf.network.network import Network
from meta_tf.network.seeds import load_seeds
from meta_tf.tasks.columns import Columns
from meta_tf.tasks.images.picture_input import PictureInput
from meta_tf.tasks.split import Split
from meta_tf.types import Examples, Tensor, Tensors, Weights


@keras.saving.register_keras_serializable("meta_tf")
class MetaLearner(keras.Model):
    """Makes a Keras model learn new tasks from a few examples.

    Wraps a built model, an algorithm and a loss. For each task of a batch, a call
    adapts the model to the support set and predicts the query set:

        predictions[t] = predict(adapt(weights, support[t]), query_x[t])

    `fit` learns weights for which this works well. It needs an optimiser, set by
    `compile`, and batches `(x, y)` with

        x = {"support_x": [T, S, ...], "support_y": [T, S, ...], "query_x": [T, Q, ...]}
        y = query_y [T, Q, ...]

    Tasks of different sizes are padded to one shape, and x also contains the number of real
    examples of each: `"support_size": [T]` and `"query_size": [T]`, integers. Whatever the padding
    holds, each task gives the same result as alone and without padding; its predictions are
    padded with zeros. The loss, and metrics that are means, are means over tasks of the means over
    real queries.

    Everything else (callbacks, metrics, schedules, clipping, `tf.distribute`, saving)
    works as in Keras. In a larger model, this model acts as a layer: gradients flow
    through the adaptation, to its weights and to its inputs.

    Args:
      model: any built `keras.Model`; its weights become this model's.
      algorithm: how a task is learned; `MAML()` by default.
      loss: a Keras loss, its name, or a function `(y_true, y_pred) -> values`, averaged
        over the examples of one task. It is an argument of the constructor and not of
        `compile`, because adaptation also needs it after loading and export.
      batch_norm: which statistics batch normalisation uses, in the inner loop and
        for the query set: `"transductive"` (those of the current set, as in
        published results), `"support"` (the query set uses the support set's, so
        each query is predicted independently) or `"running"` (moving averages
        outside of training).
      task_parallelism: how the tasks of a batch run in parallel: `"auto"`,
        `"parallel"` or `"vectorized"` (see `meta_tf.batch.map_tasks.map_tasks`). The tasks of
        a padded batch run in parallel, without XLA.

    Raises:
      ValueError: if the model is not built, the loss is unknown, or the algorithm cannot work
        with the model or the loss; for example, an algorithm with inner steps needs trainable
        weights, and one that classifies needs a loss of class numbers.

    Example:
      >>> learner = MetaLearner(meta_tf.models.mlp(), MAML(inner_lr=0.01), loss="mse")
      >>> learner.compile(optimizer="adam")
      >>> tasks = meta_tf.tasks.Sinusoid(shots=10)
      >>> history = learner.fit(tasks.train.batches(25), steps_per_epoch=2, verbose=0)
      >>> fitted = learner.adapt(tf.zeros([10, 1]), tf.zeros([10, 1]))
      >>> fitted.predict(tf.zeros([3, 1]), verbose=0).shape
      (3, 1)
    """

    train_function: Any

    def __init__(
        self,
        model: keras.Model,
        algorithm: Algorithm | None = None,
        loss: Any = None,
        batch_norm: str = "transductive",
        task_parallelism: str = "auto",
        **options: Any,
    ):
        algorithm = MAML() if algorithm is None else algorithm
        _check_algorithm(algorithm)
        check_choice("task_parallelism", task_parallelism, TASK_MODES)
        network = Network(model, loss, batch_norm)
        algorithm.check(network)
        check_predictions(algorithm, network)
        # The model casts its inputs itself: targets must not lose precision before.
        options.setdefault("dtype", model.dtype_policy)
        super().__init__(autocast=False, **options)
        self.model = model
        self._algorithm = algorithm
        self.network = network
        self._range = InputRange(network)
        self._pictures: PictureInput | None = None
        self.task_parallelism = task_parallelism
        self._meta = self._variables(algorithm.meta_weights(network))
        self._moving = self._variables(algorithm.moving(network), trainable=False)
        self._exact = ExactState(lambda: self.model)
        self._calibration: Calibration | None = None
        self._jit = "auto"
        self._compile_for_use()
        self.built = True

    @property
    def algorithm(self) -> Algorithm:
        """How a task is learned. You can replace it by one that learns the same weights."""
        return self._algorithm

    @algorithm.setter
    def algorithm(self, algorithm: Algorithm) -> None:
        _check_algorithm(algorithm)
        algorithm.check(self.network)
        check_predictions(algorithm, self.network)
        if not self._learns_the_same(algorithm, self.network):
            own = {**algorithm.meta_weights(self.network), **algorithm.moving(self.network)}
            raise ValueError(
                "`algorithm` must learn the same values besides the weights as before: "
                f"{', '.join(self._besides) or 'nothing'}. Received: {algorithm!r}, which learns "
                f"{', '.join(own) or 'nothing'}. Build a new MetaLearner for it."
            )
        self._algorithm = algorithm
        self._calibration = None
        self._compile_for_use()

    @property
    def calibration(self) -> Calibration | None:
        """What `calibrate` found; None before, and after `fit`, which changes the weights."""
        return self._calibration

    @calibration.setter
    def calibration(self, calibration: Calibration | None) -> None:
        if calibration is not None:
            check_kind("calibration", calibration, Calibration, "a Calibration or None")
            # The same for all tasks of a size: found once, as it takes longer than to predict.
            self._at_size = functools.cache(calibration.at_size)
        before, self._calibration = self._calibration, calibration
        if (before is None) != (calibration is None) and isinstance(
            self.algorithm, EmbeddingLearner
        ):  # `adapt` differs
            self._compile_for_use()

    @property
    def pictures(self) -> PictureInput | None:
        """How `adapt` turns files and PIL pictures into inputs; None without picture inputs.

        By default, they are stretched to the size that the model takes. To change this:
        `learner.pictures = dataclasses.replace(learner.pictures, crop=True)`.
        """
        return self._pictures or picture_input(self.network)

    @pictures.setter
    def pictures(self, pictures: PictureInput | None) -> None:
        self._pictures = pictures

    @property
    def weights_now(self) -> Weights:
        """The current weights, as tensors."""
        meta = {name: tf.convert_to_tensor(v.value) for name, v in self._besides.items()}
        return self.network.weights._replace(meta=meta)

    def standardize(self, split: Split, targets: bool = True) -> None:
        """Makes the learner accept inputs and targets in their own units.

        Computes the mean and the standard deviation of each input over `split`, and for regression
        also of each target, and stores them in the model: as `keras.layers.Rescaling` at its inputs
        and outputs, or inside an algorithm that computes the predictions itself. Files and exports
        contain them too. `adapt`, `predict` and `evaluate` then take raw rows and return
        predictions in the unit of the targets. Losses are in standard units, so that inner learning
        rates mean the same for every table; metrics such as `"mse"` are in the unit of the targets.

        The layers and their weights stay the same. The model that you passed is not changed.

        Args:
          split: the tasks that the learner will be trained on, such as `tasks.train`. A split of
            groups (`from_table`, `from_groups`) contributes all examples, other splits a sample.
          targets: whether to standardize the targets of a regression too. Set it to False if the
            loss does not depend only on the difference between target and prediction.

        Raises:
          ValueError: if the learner is already standardized, the examples are not floats, `loss`
            changes its meaning with the units, the model's inputs are not the examples, or a layer
            takes these in their own units, such as `Masking` or `Normalization`.

        Example:
          >>> patient = np.arange(300) % 30
          >>> celsius = np.random.default_rng(0).normal(37, 0.5, [300, 1])
          >>> pulse = 70 + 9 * (celsius[:, 0] - 37) + patient
          >>> tasks = meta_tf.tasks.from_groups(celsius, pulse, patient)
          >>> learner = MetaLearner(meta_tf.models.mlp(1), meta_tf.MAML(), loss="mse")
          >>> learner.standardize(tasks.train)
          >>> [layer.name for layer in learner.model.layers]
          ['standardize', 'dense1', 'dense2', 'head', 'restore_units']
        """
        network = standardized(self.algorithm, self.network, split, targets)
        self.algorithm.check(network)
        self._calibration = None
        self.network, self.model = network, network.model
        self._compile_for_use()
        forget_functions(self)

    @property
    def columns(self) -> Columns | None:
        """The columns of the table that the learner was trained on; None for other tasks.

        `columns.rows(table)` makes inputs of the rows of a `pandas.DataFrame`, and
        `columns.targets(table)` their targets.
        """
        return columns_of(self.network)

    @property
    def _besides(self) -> dict[str, keras.Variable]:
        """Variables besides the model's weights that are learned or updated in training."""
        return {**self._meta, **self._moving}

    def _learns_the_same(self, algorithm: Algorithm, network: Network) -> bool:
        own = {**algorithm.meta_weights(network), **algorithm.moving(network)}
        return {n: v.shape for n, v in own.items()} == {
            n: v.shape for n, v in self._besides.items()
        }

    def _get_ready(self) -> None:
        """Runs before every use of the compiled functions."""
        check_not_forked()
        self._follow_the_model()

    def _follow_the_model(self) -> None:
        """Compiles again if layers were frozen, quantised, given LoRA or loaded since.

        Raises:
          ValueError: if the values that the algorithm learns no longer fit the weights.
        """
        changed = self.network.structure.changes()
        if not changed:
            return
        network = Network(self.model, self.network.loss, self.network.batch_norm)
        self.algorithm.check(network)
        if not self._learns_the_same(self.algorithm, network):
            raise ValueError(
                f"{type(self.algorithm).__name__} learns something for each weight that adapts, so "
                "these must be the same as when the learner was made. Received: the model "
                f"{self.model.name!r}, which has changed at: {', '.join(changed[:4])}. Undo the "
                "change, or change the model first and then make the learner: "
                "MetaLearner(model, ...)."
            )
        self.network = network
        self._compile_for_use()

    def compile(
        self,
        optimizer: Any = "adam",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        *,
        jit_compile: Any = "auto",
        **options: Any,
    ) -> None:
        """Prepares for `fit`, as `keras.Model.compile` does.

        Args:
          optimizer: the outer optimiser, a Keras optimiser or its name.
          loss: must be None: adaptation needs the loss without `compile` too, so it is an
            argument of the constructor.
          loss_weights: must be None.
          metrics: metrics for `fit` and `evaluate`, or their names.
          jit_compile: whether XLA compiles the step over a batch of tasks; `"auto"`
            compiles where measurements showed a gain. XLA is never used where its
            second derivatives are wrong (max-pooling).
          **options: `steps_per_execution`, `run_eagerly` and so on.
        """
        check_compile(optimizer, loss, loss_weights, jit_compile, options)
        self._follow_the_model()
        super().compile(optimizer, metrics=metrics, jit_compile=False, **options)
        given = [m for m in (metrics, options.get("weighted_metrics")) if m is not None]
        found = [found_metric(metric) for metric in keras.tree.flatten(given)]
        # Not in a list attribute: Keras would add those metrics to this model's.
        self._check_metrics = lambda *shapes: check_metrics("metrics", found, *shapes)
        if self.optimizer is not None:
            # Build now: the slots then have the same order as in a saved learner when it is loaded.
            with self.distribute_strategy.scope():
                self.optimizer.build(self.trainable_variables)
        self._jit = jit_compile

    def get_compile_config(self) -> dict[str, Any] | None:
        config = super().get_compile_config()
        if config:
            config["jit_compile"] = self._jit
        return config

    def compile_from_config(self, config: dict[str, Any]) -> None:
        config = keras.saving.deserialize_keras_object(config)
        self.compile(**config)

    def call(self, inputs: dict[str, Tensors], training: bool = False) -> Tensors:
        """Adapts to the support set of each task and predicts its query set.

        Args:
          inputs: `{"support_x": [T, S, ...], "support_y": [T, S, ...],
            "query_x": [T, Q, ...]}`, and the sizes if the tasks are padded.
          training: whether layers such as dropout act as in training.

        Returns:
          The predictions, [T, Q, ...], zeros for padding.
        """
        self._get_ready()
        tasks = right_batch(self.algorithm, self.network, inputs)
        weights = self.weights_now

        def learn(task: dict[str, Tensors]) -> Tensors:
            real = cut(task)
            support = Examples(real["support_x"], real["support_y"])
            adapted = self.algorithm.adapt(self.network, weights, support, training=training)
            predictions = self.algorithm.predict(self.network, adapted, real["query_x"])
            return padded(nan_unless_finite(adapted, packed(predictions)), task)

        options = how_to_run(tasks, self.task_parallelism, jit=False)
        return unpacked(map_tasks(learn, tasks, **options))

    def compute_output_spec(self, inputs: dict[str, Tensors], training: bool = False) -> Tensors:
        check_batch(self.algorithm, self.network, inputs)
        query = inputs["query_x"]
        one = keras.tree.map_structure(
            lambda t: keras.KerasTensor((None, *t.shape[2:]), dtype=t.dtype), query
        )
        lead = keras.tree.flatten(query)[0].shape[:2]
        return keras.tree.map_structure(
            lambda o: keras.KerasTensor((*lead, *o.shape[1:]), dtype=o.dtype),
            self.algorithm.output_spec(self.network, one),
        )

    @checked_call
    def fit(self, x: Any = None, **options: Any) -> keras.callbacks.History:
        """Trains as `keras.Model.fit` does.

        With `steps_per_execution` above 1 and an endless `tf.data.Dataset` of batches of one
        shape, all steps of a call run as one program if XLA compiles the tasks. Padded batches
        are an exception.

        Under a `tf.distribute` strategy, each replica takes some of the tasks of every batch. With
        several workers, each of them must call `fit` with the same `tf.data.Dataset`s.
        """
        self._assert_compile_called("fit")
        check_fit(self, options.get("steps_per_epoch"))
        self.calibration = None
        self._get_ready()
        if isinstance(x, tf.data.Dataset):
            options.setdefault("shuffle", False)  # Keras warns about its own default
        self.make_train_function()
        if isinstance(self.train_function, WholeExecutions):
            x = self.train_function.stacked(x)
        strategy = self.distribute_strategy
        x, options = spread(strategy, x, options, "steps_per_epoch")
        if "validation_data" in options:
            data, options = spread(
                strategy, options["validation_data"], options, "validation_steps"
            )
            options = {**options, "validation_data": data}
        history = super().fit(x, **options)
        check_trained(self.weights_now)
        return history

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        # Keras's version adds up the replicas' shares of a batch, which only works for equal
        # shares, and fails with several workers.
        if iterator is not None and self.distribute_strategy.num_replicas_in_sync > 1:
            data_batch = spec_of_share(iterator)
            iterator = None
        super()._maybe_symbolic_build(iterator, data_batch)

    def make_test_function(self, force: bool = False) -> None:
        self._get_ready()
        super().make_test_function(force)

    def make_predict_function(self, force: bool = False) -> None:
        self._get_ready()
        super().make_predict_function(force)

    def make_train_function(self, force: bool = False) -> None:
        self._get_ready()
        if self.train_function is not None and not force:
            return
        super().make_train_function(force)
        self.train_function = whole_executions(self)

    def train_step(self, data: Any) -> dict[str, Tensor]:
        return train(self, data)[0]

    def test_step(self, data: Any) -> dict[str, Tensor]:
        """One batch of `evaluate`. The loss is the tasks' own, without regularisers."""
        return test(self, data)

    @checked_call
    def evaluate(self, x: Any = None, **options: Any) -> Any:
        """Works as `keras.Model.evaluate`; the loss is that of `test_step`."""
        check_replicas(self)
        x, options = spread(self.distribute_strategy, x, options, "steps")
        with exactly(self, "test", options.get("steps")):
            return super().evaluate(x, **options)

    @checked_call
    def predict(self, x: Any, **options: Any) -> Any:
        """Works as `keras.Model.predict`."""
        with exactly(self, "predict", options.get("steps")):
            return super().predict(x, **options)

    # Keras's methods, with one-sentence errors.
    train_on_batch = checked_call(keras.Model.train_on_batch)
    test_on_batch = checked_call(keras.Model.test_on_batch)
    predict_on_batch = checked_call(keras.Model.predict_on_batch)

    def adapt(
        self,
        support_x: Any,
        support_y: Any = None,
        steps: int | None = None,
        class_names: Sequence[str] | None = None,
    ) -> AdaptedModel:
        """Learns one new task and returns a Keras model for it.

        Args:
          support_x: inputs of the support set, [S, ...] (no task axis). A model of pictures also
            takes a list of paths, PIL pictures or arrays of uint8 of any size, which become
            inputs as `pictures` describes; or, without `support_y`, a folder with a subfolder of
            pictures for each class, or a dict of class names to pictures.
          support_y: its targets or labels, [S, ...]. Class names [S] are numbered in
            alphabetical order.
          steps: inner steps; the algorithm's `eval_steps` if None.
          class_names: the class names in the order of their numbers, if this is not the
            alphabetical order or if labels are numbers. `predict_names` returns them. A learner
            of a table knows those of its target, whose numbers are the same in all tasks.

        Returns:
          A `keras.Model` from [B, ...] to predictions [B, ...], with its own weights. It
          predicts, evaluates, trains and is saved like any other model, and does not follow
          later changes of this learner. If the algorithm never predicts a class without a
          support example (such as ProtoNet), the model has outputs only for the classes of
          the task, up to the last one of `support_y` or `class_names`.

        Raises:
          ValueError: if the two do not fit each other or the model, contain values that are
            not finite or labels beyond the model's outputs, or if the inner loop diverges.
        """
        self._get_ready()
        network, algorithm = self.network, self.algorithm
        task = read_support_set(
            algorithm, network, self._pictures, support_x, support_y, class_names
        )
        support, largest = task.examples, self._range.largest
        check_range(largest, "support_x", support.x)
        if steps is not None:
            check_integer("steps", steps, at_least=0)
            steps = int(steps)  # NumPy's integers would become tensors
        adapted = self._learned(support, steps)
        calibration = self.calibration
        return AdaptedModel(
            network,
            algorithm,
            adapted,
            self._functions,
            task.names,
            task.classes(algorithm, network),
            pictures=task.pictures,
            batch_with=task.batch_with,
            calibration=calibration,
            largest_input=largest,
            support=support if calibration and measures_later(network, algorithm) else None,
            # The same name for all: TensorFlow would prepare all operations again for a new name.
            name=f"{self.model.name}_adapted",
            **(self._at_size(*size_of(support.y)) if calibration else {}),
        )

    def _learned(self, support: Examples, steps: int | None) -> Weights:
        """The adapted weights, which are finite."""
        if passes_in_parts(self, support):
            return adapt_in_parts(self, support, steps)
        # Trace for each rank: one trace for both [S, 1] and [S] would have an unknown rank.
        ranks = tuple(t.shape.rank for t in tf.nest.flatten(support))
        adapted, finite = self._adapt(support, steps, ranks)
        if not finite:
            raise not_finite(self.algorithm, self.network, self.weights_now, support, steps)
        return adapted

    def calibrate(
        self,
        *splits: Any,
        tasks_number: int | None = None,
        false_alarms: float = 0.05,
        seed: int = 0,
    ) -> Calibration:
        """Finds how sure the learner may be, and from where on inputs are none of the classes.

        For each number of classes and of support examples per class that occurs in the tasks, it
        finds the temperature T for which softmax(logits / T) has the smallest cross-entropy on
        the query sets. Then it finds the threshold that a fraction `false_alarms` of the queries
        exceeds, all of which are of known classes: of that size, and of the nearest sizes too if
        there are fewer than 500 of it. Models that `adapt` returns afterwards use both:
        `predict_proba`, `predict_with_strangeness` and `predict_names(x, unknown=...)`. The
        logits of `predict` stay the same.

        Use tasks that the learner was not trained on, such as `tasks.valid`. `fit` removes the
        calibration, as it changes the weights. It is saved with the learner.

        Args:
          *splits: splits of task sources. Several splits, such as tasks with one, five and ten
            examples per class, count the same. Sizes between them are interpolated.
          tasks_number: tasks of each split, the first ones of `split.batches(…, seed)`. If None,
            100 tasks. A learner that predicts each query alone, as with transductive batch norm,
            takes long: for it, None means as many tasks as contain 1000 queries, but at least 5.
          false_alarms: the fraction of inputs of known classes to refuse, between 0 and 1.
          seed: chooses the tasks.

        Returns:
          The calibration, also as `learner.calibration`.

        Raises:
          ValueError: if the learner does not classify, there is no split, or a split has too few
            tasks.

        Example:
          >>> from meta_tf import tasks
          >>> x, y = np.random.default_rng(0).normal(size=[480, 3]), np.arange(480) % 24
          >>> source = tasks.from_arrays(x, y, ways=3, shots=2, queries=4)
          >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
          >>> body = meta_tf.models.mlp(3, outputs=None)
          >>> protonet = meta_tf.MetaLearner(body, meta_tf.ProtoNet(ways=3), loss)
          >>> sorted(protonet.calibrate(source.valid, tasks_number=20).temperatures)
          [(3, 2)]
        """
        self.calibration = calibrated(self, splits, tasks_number, false_alarms, seed)
        return self.calibration

    def trajectory(
        self, x: dict[str, Tensors], steps: int | None = None, batch_with: str = "queries"
    ) -> Tensors:
        """Predictions for the query sets of a batch after 0, 1, … `steps` inner steps.

            predictions[t, k] = predict(adapt(weights, support[t], steps=k), query_x[t])

        Args:
          x: `{"support_x": [T, S, ...], "support_y": [T, S, ...], "query_x": [T, Q, ...]}`, and
            the sizes if the tasks are padded.
          steps: the last number of inner steps; if None, the algorithm's `eval_steps`, or else
            its `inner_steps`; 0 for an algorithm without inner steps.
          batch_with: which examples share a query's batch, which matters for batch norm in the
            mode `transductive`: `"queries"`, the other queries of its task; `"support"`, the
            support set; `"none"`, no others.

        Returns:
          The predictions, [T, steps + 1, Q, ...], zeros for padding. Dropout is off, and no
          variable changes.

        Raises:
          ValueError: if `steps` is not a whole number of at least 0, `x` is not a batch, or
            `batch_with` is unknown.

        Example:
          >>> x, _ = next(iter(meta_tf.tasks.Sinusoid(shots=10).test.batches(2)))
          >>> learner.trajectory(x, steps=3).shape
          TensorShape([2, 4, 10, 1])
        """
        steps = self.algorithm.steps_to_evaluate() if steps is None else steps
        check_integer("steps", steps, at_least=0)
        check_choice("batch_with", batch_with, BATCH_WITH)
        self._get_ready()
        tasks = right_batch(self.algorithm, self.network, x)
        check_steps(self.algorithm, self.network, tasks["query_x"], int(steps))
        return unpacked(self._trajectory(tasks, int(steps), batch_with))

    def export(
        self,
        filepath: Any,
        format: str = "tf_saved_model",
        verbose: Any = None,
        input_signature: Any = None,
        target_signature: Any = None,
        *,
        ways: int | None = None,
        shots: int | None = None,
        queries: int | None = None,
        float16: bool = False,
        int8: bool = False,
    ) -> None:
        """Writes files that learn new tasks without this library, and often without TensorFlow.

            adapt_and_predict(support_x, support_y, query_x) -> predictions
            adapt(support_x, support_y) -> the weights that changed, by name
            predict(query_x, those weights) -> predictions

        `"tf_saved_model"` is a folder that takes sets of any size and has two more signatures.
        `serving_default` is the first signature above:

            initial(query_x) -> predictions before any task, unless the support set is needed
            adapt_steps_and_predict(support_x, support_y, query_x, inner_steps, inner_lr)

        The last one takes the number of inner steps (int32) and the inner learning rate
        (float32) at run time; it is absent if rates are learned. `assets.extra/meta_tf.json`
        records the algorithm and the batch-norm mode. If the network does not change when it
        learns a task, and embeds each example by itself, each format also has

            embed(x) -> embeddings, adapt_embedded(support_x, support_y) -> weights,
            predict_embedded(query_x, weights) -> predictions

        of which the last two take embeddings. `"litert"` is one file (`.tflite`) for
        phones, microcomputers and web pages; `"onnx"` is a folder with one file per signature.
        `export` runs both formats and compares them with TensorFlow before it completes.

        With the predictions, a calibrated learner's functions return `strangeness` [Q]: above a
        threshold, a query is none of the classes. The thresholds and the temperature are in
        `meta_tf.json`, or in `FILE.thresholds.json` and `FILE.temperature.json` beside the other
        formats. `adapt` then returns, and `predict` takes, what `strangeness` needs.

        A model with several inputs has `support_x_a`, `support_x_b`, …, named after the
        inputs' keys or numbers.

        Args:
          filepath: where to write. An earlier export there stays in place until the new
            one is complete.
          format: `"tf_saved_model"`, `"litert"` or `"onnx"`; the last two need the extra
            with the same name: `pip install '.[litert]'` in a checkout.
          verbose: whether to print what was written.
          input_signature: `tf.TensorSpec` of a batch of the model's inputs, [None, ...];
            needed only for a subclassed model.
          target_signature: the same for the targets; needed if they are neither labels of
            the sparse cross-entropy nor of the shape of the outputs.
          ways: classes in a task, for support sets of a fixed size, `ways × shots`. A size
            that is None is chosen at each call, which some learners and runtimes do not
            support: the error says so. A SavedModel takes sets of any size, and accepts
            neither this argument nor the next two.
          shots: support examples of a class; 1 if only `ways` is given. If only `shots` is
            given, `ways` is the number of classes of the learner, 1 for regression.
          queries: the number of queries in one call, of all classes together.
          float16: whether to store weights in half of the bytes. Rounding them changes
            predictions a little. Only for LiteRT.
          int8: whether to store those of layers that do not adapt in a quarter of the bytes, and
            to compute with them in int8. Changes predictions more. Only for LiteRT, and not
            together with `float16`.

        Raises:
          ImportError: if the extra of the format is not installed.
          ValueError: if the inputs or the format are unknown, the format does not have a
            setting, `filepath` contains something else, the format cannot express the
            learner, or the results of the file differ from TensorFlow's by more than 1e-4.

        Example:
          >>> learner.export("run/saved_model")                          # doctest: +SKIP
          >>> loaded = tf.saved_model.load("run/saved_model")            # doctest: +SKIP
          >>> learn = loaded.signatures["adapt_and_predict"]             # doctest: +SKIP
          >>> learn(support_x=x, support_y=y, query_x=new)["predictions"]  # doctest: +SKIP
        """
        from meta_tf.export import formats  # it stands above the learner
        from meta_tf.export.request import Request

        self._follow_the_model()
        request = Request(ways, shots, queries, float16, int8)
        said = formats.save(self, filepath, format, request, input_signature, target_signature)
        if verbose:
            print(said)

    def save(self, filepath: Any, overwrite: bool = True, **options: Any) -> None:
        """Saves to a `.keras` file, as `keras.Model.save` does: weights, optimiser and seeds.

        Raises:
          ValueError: if the file name does not end in `.keras`, or if Keras could not find a
            part of the model, the loss or the algorithm when loading.
        """
        check_keras_file(filepath, self)
        super().save(filepath, overwrite=overwrite, **options)

    def get_config(self) -> dict[str, Any]:
        self._follow_the_model()
        parts = Parts(self.network, self.algorithm, self.calibration, self._pictures)
        return {
            **super().get_config(),
            **write_parts(parts),
            "task_parallelism": self.task_parallelism,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> MetaLearner:
        del custom_objects
        config = dict(config)
        network, algorithm, calibration, pictures = read_parts(config)
        learner = cls(network.model, algorithm, network.loss, network.batch_norm, **config)
        learner.pictures, learner.calibration = pictures, calibration
        return learner

    def save_own_variables(self, store: Any) -> None:
        super().save_own_variables(store)
        self._range.save(store)

    def set_weights(self, weights: list[Any]) -> None:
        super().set_weights(weights)
        prepare_layers(self.model)

    def load_own_variables(self, store: Any) -> None:
        super().load_own_variables(self._range.load(load_seeds(self.model, store)))

    def _variables(
        self, values: dict[str, Tensor], trainable: bool = True
    ) -> dict[str, keras.Variable]:
        return {
            name: self.add_weight(
                name=name.replace("/", "_"),
                shape=value.shape,
                initializer=lambda shape, dtype=None, value=value: tf.cast(value, dtype),
                trainable=trainable,
                autocast=False,
            )
            for name, value in values.items()
        }

    def _compile_for_use(self) -> None:
        """Creates the functions that TensorFlow compiles; see `compiled`."""
        of, weights = (self.network, self.algorithm), lambda: self.weights_now
        distances = self._calibration is not None and isinstance(self.algorithm, EmbeddingLearner)
        self._adapt = compiled_adapt(*of, weights, distances)
        self._trajectory = compiled_trajectory(*of, weights, self.task_parallelism)
        self._functions = task_functions(*of)
        for name in ("train", "test", "predict"):  # Keras's; `fit` may be running one of them
            if getattr(self, f"{name}_function") is not None:
                getattr(self, f"make_{name}_function")(force=True)


def _check_algorithm(algorithm: Any) -> None:
    if not isinstance(algorithm, Algorithm):
        raise ValueError(
            "`algorithm` must be an object such as meta_tf.MAML(inner_lr=0.1). "
            f"Received: {algorithm!r}."
        )
