"""`MetaLearner` as a Keras model: fit, evaluate, predict, adapt, save, and its errors."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_tf
from tests.conformance import two_devices
from tests.learners import CE, as_dataset, classifier, make_batch, make_learner
from tests.marks import exhaustive, slow

layers = keras.layers


def _weights(model):
    return [v.numpy() for v in model.trainable_variables]


def _assert_close(ours, theirs, **tolerance):
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, **tolerance)


def test_fit_evaluate_and_predict_take_arrays_and_datasets():
    (x, y), options = make_batch(8), {"metrics": ["accuracy"]}
    learner = make_learner(**options)
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # also that of Keras's own default, `shuffle=True`
        of_data = learner.fit(data, validation_data=data, epochs=2, verbose=0).history
    again = make_learner(**options)
    of_arrays = again.fit(x, y, batch_size=4, shuffle=False, epochs=2, verbose=0).history
    np.testing.assert_allclose(of_data["loss"], of_arrays["loss"], rtol=1e-5)
    _assert_close(_weights(learner), _weights(again), rtol=1e-4, atol=1e-6)
    predictions = learner.predict(x, batch_size=4, verbose=0)
    assert predictions.shape == (8, 6, 2)
    # The loss and the accuracy that evaluate reports are those of the predictions.
    loss, accuracy = learner.evaluate(x, y, batch_size=4, verbose=0)
    log_p = predictions - np.log(np.sum(np.exp(predictions), -1, keepdims=True))
    np.testing.assert_allclose(
        loss, -np.mean(np.take_along_axis(log_p, y[..., None], -1)), rtol=1e-5
    )
    np.testing.assert_allclose(accuracy, np.mean(predictions.argmax(-1) == y), rtol=1e-5)
    np.testing.assert_allclose(of_data["val_loss"][-1], loss, rtol=1e-5)


def test_a_summed_loss_is_that_of_a_task_in_training_and_evaluation():
    x, y = make_batch()
    summed = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")
    # With one task or four the same in the mean; each has six queries.
    mean = make_learner(loss=CE, algorithm=meta_tf.MAML(0.1, inner_steps=0)).evaluate(
        x, y, verbose=0
    )
    total = make_learner(loss=summed, algorithm=meta_tf.MAML(0.1, inner_steps=0))
    np.testing.assert_allclose(total.evaluate(x, y, verbose=0), 6 * mean, rtol=1e-5)


@pytest.mark.slow
def test_training_helps():
    tasks = meta_tf.tasks.Sinusoid(shots=10)
    learner = meta_tf.MetaLearner(meta_tf.models.mlp(), meta_tf.MAML(0.01), "mse")
    learner.compile(keras.optimizers.Adam(1e-3), steps_per_execution=20)
    history = learner.fit(tasks.train.batches(10), steps_per_epoch=100, epochs=3, verbose=0)
    losses = history.history["loss"]
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize(
    "options",
    [
        exhaustive({"steps_per_execution": 2}),
        exhaustive({"jit_compile": True}),
        slow({"run_eagerly": True}),
        slow({"steps_per_execution": 2, "jit_compile": True}),
    ],
    ids=str,
)
def test_how_a_step_is_run_does_not_change_it(options):
    x, y = make_batch(8)
    plain, other = make_learner(), make_learner(**options)
    for learner in (plain, other):
        learner.fit(x, y, batch_size=4, shuffle=False, epochs=2, verbose=0)
    _assert_close(_weights(plain), _weights(other), rtol=1e-4, atol=1e-6)


def test_callbacks_of_keras_work(tmp_path):
    x, y = make_batch()
    path = tmp_path / "best.keras"
    learner = make_learner(
        optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.1, 9))
    )
    history = learner.fit(
        x,
        y,
        validation_data=(x, y),
        epochs=3,
        verbose=0,
        callbacks=[
            keras.callbacks.ModelCheckpoint(path),
            keras.callbacks.EarlyStopping("val_loss", patience=0, min_delta=1e9),
            keras.callbacks.CSVLogger(tmp_path / "log.csv"),
            keras.callbacks.TerminateOnNaN(),
        ],
    )
    assert len(history.epoch) == 2 and len((tmp_path / "log.csv").read_text().split()) == 3
    loaded = keras.models.load_model(path)
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), learner.predict(x, verbose=0))


@pytest.mark.parametrize(
    "clipping",
    [
        slow({"global_clipnorm": 0.01}),
        exhaustive({"clipnorm": 0.01}),
        exhaustive({"clipvalue": 0.01}),
    ],
    ids=str,
)
def test_clipping_acts_on_the_mean_over_all_tasks(clipping):
    # With SGD of rate 1 the weights move by the clipped gradient.
    (x, y), moved = make_batch(), []
    for scope in (tf.distribute.get_strategy().scope, two_devices().scope):
        with scope():
            learner = make_learner(
                optimizer=keras.optimizers.SGD(1.0, **clipping), jit_compile=False
            )
        before = _weights(learner)
        learner.fit(x, y, batch_size=4, verbose=0)
        moved.append([a - b for a, b in zip(_weights(learner), before, strict=True)])
    _assert_close(*moved, rtol=1e-3, atol=1e-6)
    if "global_clipnorm" in clipping:
        norm = np.sqrt(sum(np.sum(m**2) for m in moved[0]))
        np.testing.assert_allclose(norm, 0.01, rtol=1e-3)


@pytest.mark.parametrize("policy", [slow("mixed_bfloat16"), "mixed_float16"])
def test_mixed_precision_applies_the_unscaled_gradient(policy):
    # One step of SGD against the same in float32; the two differ by the low precision alone.
    (x, y), after = make_batch(), []
    for name in ("float32", policy):
        keras.config.set_dtype_policy(name)
        learner = make_learner(jit_compile=False)
        before = _weights(learner)
        loss = learner.train_on_batch(x, y)
        assert np.isfinite(loss)
        after.append(
            np.concatenate(
                [np.ravel(a - b) for a, b in zip(_weights(learner), before, strict=True)]
            )
        )
    assert isinstance(learner.optimizer, keras.optimizers.LossScaleOptimizer) == (
        policy == "mixed_float16"
    )
    assert np.linalg.norm(after[1] - after[0]) < 0.05 * np.linalg.norm(after[0])


class Subclassed(keras.Model):
    """Has no declared inputs."""

    def __init__(self, **options):
        super().__init__(**options)
        self.body = layers.Dense(4, "tanh")
        self.head = layers.Dense(2)

    def call(self, x):
        return self.head(self.body(x))


def _subclassed():
    model = Subclassed()
    model(tf.zeros([1, 3]))
    return model


def _nested():
    return keras.Sequential([keras.Input([3]), classifier(name="inside"), layers.Dense(2)])


def _functional():
    x = keras.Input([3])
    return keras.Model(x, layers.Dense(2)(layers.Concatenate()([x, layers.Dense(2)(x)])))


@pytest.mark.parametrize("build", [_subclassed, slow(_nested), slow(_functional)])
def test_any_kind_of_model_learns(build):
    x, y = make_batch()
    learner = make_learner(build())
    before = _weights(learner)
    learner.fit(x, y, epochs=2, verbose=0)
    assert all(not np.array_equal(a, b) for a, b in zip(before, _weights(learner), strict=True))
    fitted = learner.adapt(x["support_x"][0], x["support_y"][0])
    assert fitted(x["query_x"][0]).shape == (6, 2)
    if build is _subclassed:
        with pytest.raises(AttributeError, match="'subclassed' declares no inputs"):
            _ = fitted.input_shape


def test_a_model_may_have_several_inputs():
    a, b = keras.Input([3], name="a"), keras.Input([2], name="b")
    model = keras.Model({"a": a, "b": b}, layers.Dense(2)(layers.Concatenate()([a, b])))
    (x, y), rng = make_batch(), np.random.default_rng(1)
    for name, count in (("support_x", 5), ("query_x", 6)):
        x[name] = {"a": x[name], "b": rng.normal(size=[4, count, 2]).astype("float32")}
    learner = make_learner(model)
    learner.fit(x, y, verbose=0)
    first = {name: x["support_x"][name][0] for name in "ab"}
    fitted = learner.adapt(first, x["support_y"][0])
    query = {name: x["query_x"][name][0] for name in "ab"}
    together = learner.predict(x, verbose=0)[0]
    np.testing.assert_allclose(fitted.predict(query, verbose=0), together, rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match=r"a dict of 'a', 'b'. Received: no dict"):
        learner.predict({**x, "query_x": x["query_x"]["a"]}, verbose=0)


def test_inside_a_larger_model_the_encoder_in_front_learns():
    # d loss / d kernel of the encoder, through the adaptation, against finite differences.
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    x, y = make_batch(2)
    learner = make_learner(
        meta_tf.models.mlp(3, 1, (4,), "tanh", "glorot_normal"), loss="mse", compiled=False
    )
    support, query = keras.Input([5, 3]), keras.Input([6, 3])
    labels, encoder = keras.Input([5, 1]), layers.Dense(3, use_bias=False)
    predictions = learner(
        {"support_x": encoder(support), "support_y": labels, "query_x": encoder(query)}
    )
    model = keras.Model([support, labels, query], predictions)
    assert model.output_shape == (None, 6, 1)
    arrays = [
        tf.constant(a, tf.float64)
        for a in (x["support_x"], x["support_y"][..., None], x["query_x"])
    ]

    @tf.function(autograph=False)
    def loss():
        return tf.reduce_mean((model(arrays) - y[..., None]) ** 2)

    with tf.GradientTape() as tape:
        value = loss()
    gradient = tape.gradient(value, encoder.kernel.value)
    direction, start, h = np.random.default_rng(0).normal(size=[3, 3]), encoder.kernel.numpy(), 1e-5
    sides = []
    for sign in (1, -1):
        encoder.kernel.assign(start + sign * h * direction)
        sides.append(float(loss()))
    np.testing.assert_allclose(
        (sides[0] - sides[1]) / (2 * h), np.sum(gradient * direction), rtol=1e-7
    )


@pytest.mark.slow
def test_meta_learned_rates_are_weights_of_the_learner():
    learner = make_learner(algorithm=meta_tf.MetaSGD(inner_lr=0.1))
    assert len(learner.trainable_variables) == 8
    before = _weights(learner)
    learner.train_on_batch(*make_batch())
    assert all(not np.array_equal(a, b) for a, b in zip(before, _weights(learner), strict=True))


def test_a_frozen_layer_stays_and_the_rest_learns():
    model = classifier()
    model.get_layer("body").trainable = False
    learner, kept = make_learner(model), model.get_layer("body").get_weights()
    learner.fit(*make_batch(), verbose=0)
    for a, b in zip(kept, model.get_layer("body").get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    learner.trainable = False
    with pytest.raises(ValueError, match="no trainable weight to adapt"):
        learner.adapt(np.zeros([2, 3]), [0, 1])


def test_a_synchronized_batch_norm_is_refused_on_several_devices():
    with two_devices().scope():
        model = keras.Sequential(
            [keras.Input([3]), layers.BatchNormalization(synchronized=True), layers.Dense(2)]
        )
        learner = make_learner(model, jit_compile=False)
    with pytest.raises(ValueError, match="synchronized=True"):
        learner.fit(as_dataset(*make_batch()), verbose=0)
