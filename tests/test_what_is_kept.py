"""What a learner holds survives being saved, loaded, copied, cloned and exported.

The models hold every kind of state that is no trainable weight, several kinds at a time.
"""

import copy
import os
import pickle
import threading
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_tf
from meta_tf.network.standardized_loss import StandardizedLoss
from tests.learners import CE, classifier, make_batch, make_learner
from tests.marks import exhaustive, slow

layers = keras.layers
X = np.random.default_rng(0).normal(3, 2, [6, 2, 2, 1]).astype("float32")
Y = (np.arange(6) % 2).astype("int32")
WORDS = tf.constant([["a b", "b"], ["c", "d a"], ["b", "b"], ["a", "d"], ["c c", "a"], ["d", "b"]])


@keras.saving.register_keras_serializable("tests")
class Scaled(layers.Layer):
    """Holds a constant tensor."""

    def __init__(self, by=2.0, **options):
        super().__init__(**options)
        self.by = by
        self.constant = tf.constant(by)

    def call(self, x):
        return x * self.constant

    def get_config(self):
        return {**super().get_config(), "by": self.by}


def numbers():
    """Means, a constant, seeds, spectral norms, moving averages, int8 and LoRA."""
    normalization = layers.Normalization(axis=None)
    normalization.adapt(X)
    model = keras.Sequential(
        [
            keras.Input([2, 2, 1]),
            layers.RandomFlip(seed=1),
            normalization,
            Scaled(2.0),
            layers.Flatten(),
            layers.SpectralNormalization(layers.Dense(3)),
            layers.BatchNormalization(),
            layers.Dropout(0.3, seed=1),
            layers.Dense(3, "tanh", name="eight_bits"),
            layers.Dense(4, "tanh", name="thin"),
            layers.Dense(2, name="head"),
        ],
        name="numbers",
    )
    model.get_layer("eight_bits").quantize("int8")
    model.get_layer("thin").enable_lora(1, lora_alpha=3)
    _off_their_initial_values(model)
    return model, X


def words():
    """Three kinds of vocabularies."""
    names, texts = layers.StringLookup(), layers.TextVectorization(output_mode="tf_idf")
    names.adapt(WORDS)
    texts.adapt(tf.reshape(WORDS, [-1]))
    numbers = layers.IntegerLookup()
    numbers.adapt(np.arange(1, 5))
    x = keras.Input([2], dtype="string")
    embedded = layers.Flatten()(layers.Embedding(9, 2)(numbers(names(x))))
    text = texts(x[:, 0])
    outputs = layers.Dense(2, name="head")(layers.Concatenate()([embedded, text]))
    return keras.Model(x, outputs, name="words"), WORDS


def _off_their_initial_values(model):
    rng = np.random.default_rng(1)
    for v in model.trainable_variables:
        v.assign(0.3 * rng.standard_normal(v.shape))
    for v in model.non_trainable_variables:
        if "moving" in v.path:
            v.assign(rng.uniform(0.5, 1.5, v.shape))


def _learner(model):
    learner = meta_tf.MetaLearner(model, meta_tf.MAML(0.1), CE, batch_norm="running")
    learner.compile(keras.optimizers.Adam(0.1), jit_compile=False)
    return learner


def _before_and_after(learner, x):
    return np.stack([learner.model(x, training=False), learner.adapt(x, Y)(x)])


def saved(model, another, folder):
    model.save(folder / "model.keras")
    return keras.models.load_model(folder / "model.keras")


def weights_saved(model, another, folder):
    model.save_weights(folder / "model.weights.h5")
    another.load_weights(folder / "model.weights.h5")
    return another


def pickled(model, another, folder):
    return pickle.loads(pickle.dumps(model))


def deep_copied(model, another, folder):
    return copy.deepcopy(model)


def cloned(model, another, folder):
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    return clone


def within_another(model, another, folder):
    if isinstance(model, meta_tf.MetaLearner):
        pytest.skip("its inputs are tasks")
    x = keras.Input(model.input_shape[1:], dtype=model.network.model.inputs[0].dtype)
    larger = saved(keras.Model(x, model(x)), None, folder)
    return larger.layers[-1]


WAYS = (saved, weights_saved, cloned, pickled, deep_copied, within_another)


@pytest.mark.parametrize(
    ("way", "make"),
    [
        (saved, numbers),
        (saved, words),
        *(slow(way, numbers) for way in WAYS[1:]),
        *(exhaustive(way, words) for way in WAYS[1:]),
    ],
)
def test_a_learner_and_what_it_learned_predict_the_same_afterwards(way, make, tmp_path):
    if way is cloned and make is words:
        pytest.skip("a clone has no vocabularies, in Keras as well")
    model, x = make()
    learner = _learner(model)
    fitted = learner.adapt(x, Y)
    expected, learned = _before_and_after(learner, x), fitted(x)
    # The other one has learned something else, and its programs are compiled already.
    another = _learner(make()[0])
    another_fitted = another.adapt(x, 1 - Y, steps=3)
    assert not np.allclose(another_fitted(x), learned)
    copied = way(fitted, another_fitted, tmp_path)
    np.testing.assert_array_equal(copied(x), learned)
    if way is not within_another:
        got = _before_and_after(way(learner, another, tmp_path), x)
        np.testing.assert_array_equal(got, expected)
    assert np.abs(expected[0] - expected[1]).max() > 0.01
    np.testing.assert_array_equal(_before_and_after(learner, x), expected)


@pytest.mark.parametrize("make", [numbers, words])
@pytest.mark.slow
def test_exports_predict_the_same(make, tmp_path):
    model, x = make()
    learner = _learner(model)
    fitted = learner.adapt(x, Y)
    fitted.export(str(tmp_path / "fitted"), verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "fitted"))
    np.testing.assert_array_equal(loaded.serve(x), fitted(x))
    learner.export(str(tmp_path / "learner"))
    loaded = tf.saved_model.load(str(tmp_path / "learner"))
    learn = loaded.signatures["adapt_and_predict"]
    given = learn(support_x=tf.constant(x), support_y=tf.constant(Y), query_x=tf.constant(x))
    np.testing.assert_allclose(given["predictions"], fitted(x), rtol=1e-6, atol=1e-6)


@pytest.mark.slow
def test_training_goes_on_bit_for_bit_with_lora_and_seeds(tmp_path):
    model, x = numbers()
    learner = _learner(model)
    batch, y = {"support_x": x[None], "support_y": Y[None], "query_x": x[None]}, Y[None]
    learner.train_on_batch(batch, y)
    loaded = saved(learner, None, tmp_path)
    for one in (learner, loaded):
        one.train_on_batch(batch, y)
    for ours, theirs in zip(loaded.variables, learner.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
def test_constants_of_the_learner_that_are_loaded_later_do_not_reach_what_it_had_learned(tmp_path):
    learner, other = _learner(numbers()[0]), _learner(numbers()[0])
    fitted = learner.adapt(X, Y)
    learned = fitted.predict(X, verbose=0)
    normalization = other.model.layers[1]
    normalization.adapt(10 * X)
    other.save_weights(tmp_path / "other.weights.h5")
    learner.load_weights(tmp_path / "other.weights.h5")
    np.testing.assert_array_equal(learner.adapt(X, Y)(X), other.adapt(X, Y)(X))
    np.testing.assert_array_equal(fitted.predict(X, verbose=0), learned)  # compiled before
    with pytest.raises(ValueError, match=r"quantised or loaded at: .*normalization.*adapt"):
        fitted.predict(X[:3], verbose=0)


# --- the loss ---


@keras.saving.register_keras_serializable("tests")
class Forgetful(keras.losses.Huber):
    """Does not say in its config what it was given."""

    def __init__(self, width=1.0, name="forgetful", reduction="sum_over_batch_size"):
        super().__init__(width, reduction, name)


def _mlp_learner(loss):
    return meta_tf.MetaLearner(meta_tf.models.mlp(1, 1, (2,)), meta_tf.MAML(), loss)


def _in_a_larger_model(learner):
    inputs = {n: keras.Input([3, 1], name=n) for n in ("support_x", "support_y", "query_x")}
    return keras.Model(inputs, keras.layers.Rescaling(2.0)(learner(inputs)))


COPIES = {
    "save_model": lambda m, path: keras.saving.save_model(m, path) or keras.models.load_model(path),
    "pickle": lambda m, path: pickle.loads(pickle.dumps(m)),
    "deepcopy": lambda m, path: copy.deepcopy(m),
    "clone_model": lambda m, path: keras.models.clone_model(m),
    "larger": lambda m, path: saved(_in_a_larger_model(m), None, path.parent).get_layer(m.name),
    "adapted": lambda m, path: saved(m.adapt([[1.0]], [[1.0]]), None, path.parent),
}


@pytest.mark.parametrize("way", COPIES)
def test_settings_of_a_loss_survive_every_way_of_copying(way, tmp_path):
    # Huber of an error e beyond delta: delta (e - delta / 2).
    copied = COPIES[way](_mlp_learner(keras.losses.Huber(0.1)), tmp_path / "m.keras")
    error_of_one = copied.network.mean_loss(tf.ones([1, 1]), tf.zeros([1, 1]))
    np.testing.assert_allclose(error_of_one, 0.1 * (1 - 0.1 / 2), rtol=1e-6)


@pytest.mark.parametrize("way", COPIES)
def test_a_loss_that_forgets_a_setting_is_refused_by_all_of_them(way, tmp_path):
    with pytest.raises(ValueError, match=r"`loss`.*Forgetful does not save.*'delta'.*delta=0\.1"):
        COPIES[way](_mlp_learner(Forgetful(0.1)), tmp_path / "m.keras")


@pytest.mark.parametrize(
    ("loss", "name", "value"),
    [
        (keras.losses.CosineSimilarity(axis=0), "axis", 0),
        (keras.losses.Huber(delta=0.3), "delta", 0.3),
        (StandardizedLoss(keras.losses.Huber(delta=0.3), [0.0], [2.0]), "delta", 0.3),
        (keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.2), "axis", -1),
    ],
)
def test_settings_of_other_losses_survive_copying(loss, name, value):
    config = _mlp_learner(loss).get_config()
    assert meta_tf.MetaLearner.from_config(config).network.loss._fn_kwargs[name] == value


def test_an_earlier_file_stays_whole_where_saving_is_refused(tmp_path):
    path = tmp_path / "m.keras"
    path.write_text("earlier")
    learner = _mlp_learner(Forgetful(0.1))
    for model in (learner, learner.adapt([[1.0]], [[1.0]])):
        with pytest.raises(ValueError, match="Forgetful"):
            model.save(path)
    assert path.read_text() == "earlier"


# --- a model that changes after its learner was made ---


def _freeze(model):
    model.get_layer("body").trainable = False


def _freeze_norm_without_weights(model):
    model.get_layer("norm").trainable = False


def _enable_lora(model):
    model.get_layer("body").enable_lora(1)


def _quantize(model):
    model.quantize("int8")


def _with_norm():
    model = keras.Sequential(
        [
            keras.Input([3]),
            layers.Dense(4, "tanh", name="body"),
            layers.BatchNormalization(center=False, scale=False, name="norm"),
            layers.Dense(2, name="head"),
        ],
        name="with_norm",
    )
    return model


not_all_are_quantised = pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`")
CHANGES = [
    pytest.param(change, marks=() if change is _freeze else pytest.mark.slow)
    for change in (_freeze, _freeze_norm_without_weights, _enable_lora, _quantize)
]


@pytest.mark.parametrize("change", CHANGES)
@not_all_are_quantised
def test_a_learner_follows_its_model(change, tmp_path):
    x, y = make_batch(tasks=1)
    learner = make_learner(_with_norm(), meta_tf.MAML(0.5, 2))
    old = learner.adapt(x["support_x"][0], y := x["support_y"][0])
    learned = old.predict(x["query_x"][0], verbose=0)
    learner.predict(x, verbose=0)
    change(learner.model)
    expected = meta_tf.MetaLearner(learner.model, learner.algorithm, CE).adapt(
        x["support_x"][0], y
    )(x["query_x"][0])
    assert not np.allclose(expected, learned)
    for predictions in (
        learner.adapt(x["support_x"][0], y)(x["query_x"][0]),
        learner.predict(x, verbose=0)[0],
        learner.trajectory(x)[0, -1],
        learner(x)[0],
    ):
        np.testing.assert_allclose(predictions, expected, rtol=1e-5, atol=1e-6)
    # What had been learned before predicts by what was compiled before, or says what is wrong.
    np.testing.assert_array_equal(old.predict(x["query_x"][0], verbose=0), learned)
    for use in (
        lambda: old.predict(x["query_x"][0][:2], verbose=0),
        lambda: old.get_weights(),
        lambda: old.save(tmp_path / "never.keras"),
        lambda: old.save_weights(tmp_path / "never.weights.h5"),
        lambda: old.compile("sgd", CE) or old.fit(x["support_x"][0], y, verbose=0),
    ):
        with pytest.raises(ValueError, match=r"'with_norm', which was frozen.*(body|norm).*adapt"):
            use()
    assert not list(tmp_path.iterdir())


def test_an_adapted_model_works_again_when_the_change_is_undone(tmp_path):
    x, _ = make_batch(tasks=1)
    learner, query = make_learner(), x["query_x"][0]
    old = learner.adapt(x["support_x"][0], x["support_y"][0])
    learned = old.predict(query, verbose=0)
    for trainable in (False, True):
        learner.model.get_layer("body").trainable = trainable
        learner.adapt(x["support_x"][0], x["support_y"][0])
    assert len(old.trainable_variables) == 4
    np.testing.assert_array_equal(saved(old, None, tmp_path).predict(query, verbose=0), learned)


@pytest.mark.slow
def test_a_callback_may_freeze_a_layer_while_fit_runs():
    x, y = make_batch()
    learner = make_learner()
    body = learner.model.get_layer("body")
    seen = []

    class Freeze(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            body.trainable = epoch == 0
            learner.evaluate(x, y, verbose=0)  # notices it

        def on_epoch_end(self, epoch, logs=None):
            seen.append([v.numpy() for v in (body.kernel, learner.model.get_layer("head").kernel)])

    learner.fit(x, y, epochs=2, batch_size=4, verbose=0, callbacks=[Freeze()])
    np.testing.assert_array_equal(seen[0][0], seen[1][0])
    assert not np.array_equal(seen[0][1], seen[1][1])


@pytest.mark.parametrize(
    "algorithm",
    [
        meta_tf.MAMLPlusPlus(),
        meta_tf.MetaSGD(),
        meta_tf.MetaCurvature(),
        meta_tf.MAML(learned_lr="tensor_step"),
    ],
    ids=lambda algorithm: type(algorithm).__name__,
)
@pytest.mark.parametrize("change", [_freeze, _enable_lora])
def test_an_algorithm_that_learns_for_each_weight_rejects_other_weights(algorithm, change):
    learner = make_learner(classifier(), algorithm, compiled=False)
    change(learner.model)
    for use in (
        lambda: learner.compile("adam"),
        lambda: learner.adapt([[0.0] * 3], [0]),
        lambda: learner.save("never.keras"),
        lambda: learner.predict(make_batch()[0], verbose=0),
    ):
        with pytest.raises(
            ValueError, match=r"learns something for each weight.*body.*MetaLearner"
        ):
            use()


@not_all_are_quantised
def test_float8_and_quantising_an_adapted_model_are_rejected():
    learner = make_learner(compiled=False)
    fitted = learner.adapt([[0.0] * 3], [0])
    with pytest.raises(ValueError, match=r"cannot be quantised.*'int8'.*learner\.quantize"):
        fitted.quantize("int8")
    assert len(fitted.get_weights()) == len(learner.get_weights())
    learner.quantize("float8")
    with pytest.raises(ValueError, match=r"`model`.*float8.*'body' of 'classifier'"):
        learner.adapt([[0.0] * 3], [0])


# --- what an adapted model is as a Keras model ---


def test_one_step_of_fit_is_one_inner_step_with_all_regularisers():
    model = keras.Sequential(
        [
            keras.Input([3]),
            layers.Dense(4, kernel_regularizer="l2", activity_regularizer="l1", name="body"),
            layers.Dense(2, bias_regularizer=keras.regularizers.L1(0.3), name="head"),
        ]
    )
    _off_their_initial_values(model)
    learner = make_learner(model, meta_tf.MAML(0.2, inner_steps=1), compiled=False)
    x, _ = make_batch(tasks=1)
    x, y = x["support_x"][0], x["support_y"][0]
    start = learner.adapt(x, y, steps=0)
    body, bias, head, head_bias = start.get_weights()
    # Keras's "l1" and "l2" weigh 0.01; it takes the mean over the examples of an activity.
    added = 0.01 * np.abs(x @ body + bias).sum() / len(x)
    regularisers = added + 0.01 * (body**2).sum() + 0.3 * np.abs(head_bias).sum()
    plain = CE(y, start(x))
    np.testing.assert_allclose(sum(start.losses), regularisers, rtol=1e-5)
    start.compile(keras.optimizers.SGD(0.2), CE)
    np.testing.assert_allclose(start.evaluate(x, y, verbose=0), plain + regularisers, rtol=1e-5)
    start.train_on_batch(x, y)
    for ours, expected in zip(start.get_weights(), learner.adapt(x, y).get_weights(), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)
    assert head.shape == (4, 2)


def test_an_adapted_model_says_what_it_is():
    fitted = make_learner(compiled=False).adapt([[0.0] * 3, [1.0] * 3], ["ant", "owl"])
    assert (fitted.input_shape, fitted.output_shape) == ((None, 3), (None, 2))
    lines = []
    fitted.summary(print_fn=lambda line, **_: lines.append(line))
    text = "\n".join(lines)
    assert "'classifier_adapted': one task, learned by MAML" in text
    assert "ant, owl" in text
    assert "body (Dense)" in text


# --- threads and processes ---


def test_other_threads_predict_while_variables_are_made(monkeypatch):
    x, _ = make_batch(tasks=1)
    query = x["query_x"][0]
    fitted = make_learner(compiled=False).adapt(x["support_x"][0], x["support_y"][0])
    learned, make, seen, counts = fitted.predict(query, verbose=0), fitted.add_weight, [], []

    def in_a_thread(function):
        thread = threading.Thread(target=function)
        thread.start()
        return thread

    def make_slowly(*args, **options):
        in_a_thread(lambda: seen.append(fitted.predict(query, verbose=0))).join()
        if not waiting:
            waiting.append(in_a_thread(lambda: counts.append(len(fitted.weights))))
            time.sleep(0.05)  # it would make variables of its own by now
        return make(*args, **options)

    waiting = []
    monkeypatch.setattr(fitted, "add_weight", make_slowly)
    assert len(fitted.weights) == 4
    waiting[0].join()
    assert counts == [4]
    assert len(seen) >= 4
    for predictions in seen:
        np.testing.assert_array_equal(predictions, learned)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs forks")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_raises_an_error_instead_of_waiting_for_ever():
    x, y = [[0.0] * 3], [0]
    learner = make_learner(compiled=False)
    fitted = learner.adapt(x, y)
    fitted.predict(np.zeros([1, 3]), verbose=0)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        for use in (lambda: learner.adapt(x, y), lambda: fitted.predict(np.zeros([1, 3]))):
            try:
                use()
            except RuntimeError as error:
                os.write(writing, f"{error}\n".encode())
        os._exit(0)
    os.close(writing)
    for _ in range(2000):  # 20 s
        if os.waitpid(child, os.WNOHANG)[0]:
            break
        time.sleep(0.01)
    else:
        os.kill(child, 9)
        os.waitpid(child, 0)
        pytest.fail("it waits")
    with os.fdopen(reading) as said:
        assert said.read().count(f"Received: process {child}, forked from {os.getpid()}") == 2
