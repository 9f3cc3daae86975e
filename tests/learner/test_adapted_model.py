"""`AdaptedModel`: what `MetaLearner.adapt` returns."""

import json
from decimal import Decimal

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_tf
from meta_tf.learner.support_set import read_support_set
from tests.learners import CE, classifier, make_batch, make_learner
from tests.marks import exhaustive


def test_what_adapt_returns_is_a_model_of_its_own(tmp_path):
    x, y = make_batch()
    support, query = (x["support_x"][0], x["support_y"][0]), x["query_x"][0]
    learner = make_learner(algorithm=meta_tf.MetaSGD(inner_lr=0.1))
    fitted = learner.adapt(*support)
    before = fitted.predict(query, verbose=0)
    assert "_trainable" not in vars(fitted)  # Keras's constructor takes longer than to predict
    assert isinstance(fitted, keras.Model) and fitted.built and fitted.trainable
    np.testing.assert_allclose(before, learner.predict(x, verbose=0)[0], rtol=1e-5, atol=1e-6)
    learner.fit(x, y, epochs=2, verbose=0)
    np.testing.assert_array_equal(fitted.predict(query, verbose=0), before)
    fitted.save(tmp_path / "fitted.keras")
    loaded = keras.models.load_model(tmp_path / "fitted.keras")
    np.testing.assert_array_equal(loaded.predict(query, verbose=0), before)
    fitted.compile("sgd", CE, metrics=["accuracy"])
    assert len(fitted.evaluate(query, y[0], verbose=0)) == 2
    history = fitted.fit(query, y[0], validation_data=(query, y[0]), verbose=0).history
    after = fitted.evaluate(query, y[0], verbose=0, return_dict=True)
    assert {name: history[f"val_{name}"] for name in after} == {n: [v] for n, v in after.items()}
    assert not np.array_equal(fitted.predict(query, verbose=0), before)


def test_all_adapted_models_share_one_program():
    x, y = make_batch()
    learner, query = make_learner(), x["query_x"][0]
    alone = meta_tf.MetaLearner(learner.model, learner.algorithm, CE)
    for task in range(3):
        support = x["support_x"][task % 2], x["support_y"][task % 2]
        fitted = learner.adapt(*support)
        at_once = fitted.predict(query, verbose=0)
        np.testing.assert_allclose(at_once, alone.adapt(*support)(query), rtol=1e-6)
        np.testing.assert_array_equal(fitted.predict_on_batch(query), at_once)
        np.testing.assert_array_equal(fitted(query), at_once)
        fitted.compile("sgd", CE)
        fitted.evaluate(query, y[task % 2], verbose=0)
    assert learner._adapt.function.experimental_get_tracing_count() == 1
    assert learner._functions.predict.function.experimental_get_tracing_count() == 1


def test_tables_and_arrays_of_objects_are_their_numbers():
    pandas = pytest.importorskip("pandas")
    learner, numbers = make_learner(), np.array([[0.5, 2, 1], [1.5, 3, 0]])
    table = pandas.DataFrame(numbers, columns=list("abc")).astype({"b": int, "c": bool})
    expected = learner.adapt(numbers, [0, 1]).predict(numbers, verbose=0)
    numpy = np.array([[np.float32(v) for v in row] for row in numbers], object)
    numpy[:, 2] = np.bool_(True), np.bool_(False)
    decimals = np.vectorize(Decimal, otypes=[object])(numbers)
    for same in (table, numbers.astype(object), numpy, decimals):
        fitted = learner.adapt(same, [0, 1])
        np.testing.assert_array_equal(fitted.predict(same, verbose=0), expected)
        np.testing.assert_array_equal(fitted.predict_one_by_one(same), expected)
    with pytest.raises(ValueError, match=r"`x` must be an array of numbers.* types str"):
        fitted.predict(table.assign(b="new"))
    norm = [keras.Input([3]), keras.layers.BatchNormalization(), keras.layers.Dense(2)]
    network = make_learner(keras.Sequential(norm), compiled=False).network
    for x in (table, numbers):  # only pictures stay with the model, for its predictions
        assert read_support_set(learner.algorithm, network, None, x, [0, 1]).batch_with is None


def test_support_and_query_sets_of_any_size_take_two_traces():
    learner = make_learner()
    x, y = np.random.default_rng(0).normal(size=[9, 3]).astype("float32"), np.arange(9) % 2
    for size in (2, 5, 9, 4, 7):
        fitted = learner.adapt(x[:size], y[:size])
        assert fitted.predict(x[: size - 1], verbose=0).shape == (size - 1, 2)
    assert learner._adapt.function.experimental_get_tracing_count() == 2
    assert learner._functions.predict.function.experimental_get_tracing_count() == 2


def test_functions_that_are_to_run_eagerly_do():
    symbolic = []
    look = keras.layers.Lambda(lambda x: symbolic.append(tf.is_symbolic_tensor(x)) or x)
    model = keras.Sequential([keras.Input([3]), look, keras.layers.Dense(2, name="head")])
    learner, (x, _) = make_learner(model, compiled=False), make_batch()
    symbolic.clear()
    tf.config.run_functions_eagerly(True)
    try:
        fitted = learner.adapt(x["support_x"][0], x["support_y"][0])
        fitted.predict(x["query_x"][0], verbose=0)
    finally:
        tf.config.run_functions_eagerly(False)
    assert symbolic and not any(symbolic)


def test_many_examples_are_predicted_without_compiling_for_each_task(capsys):
    learner, x = make_learner(), np.random.default_rng(0).normal(size=[70, 3]).astype("float32")
    fitted = learner.adapt(x[:4], [0, 1, 0, 1])
    np.testing.assert_allclose(fitted.predict(x), fitted(x), rtol=1e-6, atol=1e-7)
    assert "3/3" in capsys.readouterr().out  # batches of 32, with a progress bar
    assert fitted.predict_function is None  # Keras's own, which it compiles


@pytest.mark.parametrize("batch_size", [None, 2])
def test_predictions_do_not_depend_on_how_they_are_asked_for(batch_size):
    x, _ = make_batch()
    fitted = make_learner().adapt(x["support_x"][0], x["support_y"][0])
    query = np.random.default_rng(0).normal(size=[5, *x["query_x"].shape[2:]])
    expected = fitted(tf.constant(query, "float32"))
    for one in (query, tf.constant(query), tf.data.Dataset.from_tensors(query), query.tolist()):
        if isinstance(one, list):
            one = np.array(one)
        got = fitted.predict(
            one, batch_size=None if isinstance(one, tf.data.Dataset) else batch_size, verbose=0
        )
        assert isinstance(got, np.ndarray)
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-7)


def test_the_graph_of_a_larger_model_follows_the_weights():
    x, y = make_batch()
    fitted = make_learner().adapt(x["support_x"][0], x["support_y"][0])
    query = x["query_x"][0]
    inputs = keras.Input(query.shape[1:])
    larger = keras.Model(inputs, keras.layers.Softmax()(fitted(inputs)))
    compiled = tf.function(fitted)
    before, learned = compiled(query), larger.predict(query, verbose=0)
    np.testing.assert_allclose(learned, tf.nn.softmax(before), rtol=1e-6)
    larger.compile("sgd", "sparse_categorical_crossentropy")
    larger.fit(query, y[0], verbose=0)
    after = fitted.predict(query, verbose=0)
    assert not np.allclose(after, before)
    np.testing.assert_allclose(compiled(query), after, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(larger(query), tf.nn.softmax(after), rtol=1e-6)


def test_gradients_reach_the_weights_of_an_adapted_model():
    x, y = make_batch()
    fitted = make_learner().adapt(x["support_x"][0], x["support_y"][0])
    with tf.GradientTape() as tape:
        loss = CE(y[0], fitted(x["query_x"][0]))
    assert all(g is not None for g in tape.gradient(loss, fitted.trainable_variables))


def test_adapt_takes_any_number_of_steps():
    model, (x, _) = classifier(), make_batch()
    learner = make_learner(model, compiled=False)
    support, query = (x["support_x"][0], x["support_y"][0]), x["query_x"][0]
    plain = model.predict(query, verbose=0)
    np.testing.assert_allclose(learner.adapt(*support, steps=0)(query), plain, rtol=1e-6)
    at_once = learner.adapt(*support, steps=5)(query)
    learner.model.set_weights(learner.adapt(*support, steps=2).get_weights()[:5])
    np.testing.assert_allclose(learner.adapt(*support, steps=3)(query), at_once, rtol=1e-5)


def test_an_adapted_model_is_exported_by_keras(tmp_path):
    learner = meta_tf.MetaLearner(meta_tf.models.mlp(), loss="mse")
    x = np.linspace(-1, 1, 6, dtype="float32")[:, None]
    fitted = learner.adapt(x, x)
    fitted.export(str(tmp_path / "model"), verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    np.testing.assert_allclose(loaded.serve(x), fitted(x), rtol=1e-6, atol=1e-7)


def test_class_names_are_saved_with_an_adapted_model(tmp_path):
    x, _ = make_batch()
    support_x, query = x["support_x"][0], x["query_x"][0]
    numbers = np.asarray(x["support_y"][0])
    learner = make_learner()
    by_number = learner.adapt(support_x, numbers)
    expected = np.array(["owl", "ant"])[by_number.predict(query, verbose=0).argmax(-1)]
    assert len(set(expected)) == 2  # so that a mix-up would be seen
    named = learner.adapt(support_x, numbers, class_names=["owl", "ant"])
    texts = np.array(["owl", "ant"])[numbers]
    for fitted in (named, learner.adapt(support_x, texts.tolist(), class_names=["owl", "ant"])):
        assert fitted.class_names == ("owl", "ant")
        np.testing.assert_array_equal(fitted.predict_names(query), expected)
    alphabetical = learner.adapt(support_x, texts)
    assert alphabetical.class_names == ("ant", "owl")
    turned = learner.adapt(support_x, 1 - numbers)
    np.testing.assert_array_equal(alphabetical(query), turned(query))
    named.save(tmp_path / "named.keras")
    loaded = keras.models.load_model(tmp_path / "named.keras")
    np.testing.assert_array_equal(loaded.predict_names(query), expected)
    named.export(tmp_path / "named", verbose=False)
    told = (tmp_path / "named" / "assets.extra" / "class_names.json").read_text()
    assert json.loads(told) == ["owl", "ant"]
    with pytest.raises(ValueError, match=r"learned class numbers.*class_names"):
        by_number.predict_names(query)


@pytest.mark.parametrize(
    ("labels", "names", "message"),
    [
        ([0, 1], ["a"], "a name for every class number.*1 names.*largest label of 1"),
        ([0, 1], ["a", "a"], "must be a list of distinct names"),
        ([0, 1], "ab", "must be a list of distinct names"),
        (["a", "b"], ["a", "b", "c"], "at most 2 classes.*Received: 3, .* never predict c"),
        (["a", "c"], ["a", "b"], "`class_names`, 'a', 'b'. Received: 'c'"),
    ],
)
def test_names_that_do_not_fit_are_refused(labels, names, message):
    support_x = np.zeros([2, 3], "float32")
    with pytest.raises(ValueError, match=message):
        make_learner().adapt(support_x, labels, class_names=names)


def test_a_regression_has_no_names():
    learner = meta_tf.MetaLearner(meta_tf.models.mlp(1), meta_tf.MAML(), loss="mse")
    with pytest.raises(ValueError, match="does not classify"):
        learner.adapt([[1.0]], [[1.0]], class_names=["a"])


@pytest.mark.parametrize(
    "algorithm",
    [
        meta_tf.ProtoNet(6),
        meta_tf.ProtoMAML(0.1, head="dense"),
        *(
            exhaustive(algorithm)
            for algorithm in (
                meta_tf.MatchingNet(6),
                meta_tf.R2D2(6),
                meta_tf.LogisticRegression(6),
                meta_tf.InContext(6, width=4, blocks=1, heads=1, answer="votes"),
            )
        ),
    ],
    ids=lambda algorithm: type(algorithm).__name__,
)
def test_only_the_classes_of_the_task_have_outputs(algorithm, tmp_path):
    # Of the 6 ways the task has 3: the rest of the batch's predictions is what no query is.
    model = keras.Sequential([keras.Input([3]), keras.layers.Dense(6, name="dense")])
    learner = make_learner(model, algorithm)
    (x, _), names = make_batch(), ["a", "b", "c"]
    support, query = x["support_x"][0], x["query_x"][0]
    labels = np.array([2, 0, 2, 1, 1])
    batch = {"support_x": support[None], "support_y": labels[None], "query_x": query[None]}
    whole = learner.predict(batch, verbose=0)[0]
    assert whole.shape == (6, 6) and whole[:, 3:].max() < whole[:, :3].min() - 100
    fitted = learner.adapt(support, labels, class_names=names)
    fitted.save(tmp_path / "fitted.keras")
    loaded = keras.models.load_model(tmp_path / "fitted.keras")
    for one in (fitted, loaded):
        for found in (
            one.predict(query, verbose=0),
            one.predict(query, batch_size=2, verbose=0),
            one.predict_one_by_one(query),
            one(tf.constant(query)),
            tf.function(one)(tf.constant(query)),
        ):
            np.testing.assert_allclose(found, whole[:, :3], rtol=1e-5, atol=1e-5)
        assert one.compute_output_spec(keras.KerasTensor((None, 3))).shape == (None, 3)
        assert one.output_shape == (None, 3)
    assert set(fitted.predict_names(query)) <= set(names)
    # Names may be of more classes than have examples, labels of fewer than the highest one.
    assert learner.adapt(support, labels % 2, class_names=names).predict(query).shape == (6, 3)
    assert learner.adapt(support, labels * 2).predict(query).shape == (6, 5)
    assert learner.adapt(support, labels + 3).predict(query).shape == (6, 6)


def test_a_network_with_outputs_of_its_own_keeps_them():
    x, _ = make_batch()
    fitted = make_learner().adapt(x["support_x"][0], [0] * 5)
    assert fitted.predict(x["query_x"][0]).shape == (6, 2)
    config = fitted.get_config()
    del config["classes"]  # as earlier files have it
    assert type(fitted).from_config(config).classes is None
