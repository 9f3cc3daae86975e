"""What could not be loaded again is refused when it is saved."""

import dataclasses

import keras
import pytest
import tensorflow as tf

import meta_tf
from tests.learners import classifier, make_learner


@dataclasses.dataclass(frozen=True)
class Unregistered(meta_tf.Algorithm):
    def adapt(self, network, weights, support, *, steps=None, training=False):
        return weights


@keras.saving.register_keras_serializable("tests")
@dataclasses.dataclass(frozen=True)
class Around(meta_tf.Algorithm):
    """An algorithm that holds another one."""

    inner: meta_tf.Algorithm
    names: tuple = ("a", "b")

    def adapt(self, network, weights, support, *, steps=None, training=False):
        return self.inner.adapt(network, weights, support, steps=steps, training=training)


class UnregisteredLayer(keras.layers.Dense):
    pass


@keras.saving.register_keras_serializable("tests")
class RegisteredLayer(keras.layers.Dense):
    pass


def unregistered_loss(y, predictions):
    return tf.square(y - predictions)


def _learner(algorithm=None, loss="mse", layer=keras.layers.Dense):
    model = keras.Sequential([keras.Input([3]), layer(2, name="head")])
    return meta_tf.MetaLearner(model, algorithm, loss)


def test_an_algorithm_that_is_not_registered_is_refused_by_name(tmp_path):
    learner = _learner(Unregistered())
    with pytest.raises(ValueError, match=r"`algorithm`.*'Unregistered'.*register_keras_serializ"):
        learner.save(tmp_path / "learner.keras")
    with pytest.raises(ValueError, match=r"`algorithm`.*'Unregistered'"):
        learner.adapt(tf.ones([2, 3]), tf.ones([2, 2])).save(tmp_path / "adapted.keras")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": unregistered_loss}, "`loss`.*the function 'unregistered_loss'"),
        ({"loss": lambda y, p: tf.abs(y - p)}, "`loss`.*a lambda"),
        ({"layer": UnregisteredLayer}, "`model`.*the class 'UnregisteredLayer' of .*test_saving"),
        ({"algorithm": Around(Unregistered())}, "`algorithm`.*the class 'Unregistered'"),
    ],
)
@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`")
def test_so_is_a_loss_a_layer_and_an_algorithm_within_another(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        _learner(**options).save(tmp_path / "learner.keras")


@pytest.mark.parametrize("name", ["m.h5", "m.hdf5"])
def test_an_h5_file_is_refused_with_the_reason(tmp_path, name):
    for model in (_learner(), _learner().adapt(tf.ones([2, 3]), tf.ones([2, 2]))):
        with pytest.raises(ValueError, match=r"\.keras.*algorithm.*m\.h.*'m\.keras'"):
            model.save(str(tmp_path / name))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "loss",
    [
        "mse",
        keras.losses.CategoricalCrossentropy(from_logits=True),
        keras.losses.mean_squared_error,
    ],
)
def test_what_is_registered_is_saved_and_loaded(tmp_path, loss):
    learner = _learner(Around(meta_tf.ANIL(inner_lr=0.3)), loss, RegisteredLayer)
    learner.save(tmp_path / "learner.keras")
    loaded = keras.models.load_model(tmp_path / "learner.keras")
    assert loaded.algorithm.inner == meta_tf.ANIL(inner_lr=0.3)  # an algorithm, not a dict
    assert tuple(loaded.algorithm.names) == ("a", "b")
    x = tf.random.stateless_normal([2, 3], [1, 2])
    adapted = [m.adapt(x, tf.ones([2, 2]))(x) for m in (learner, loaded)]
    tf.debugging.assert_equal(*adapted)


def test_an_algorithm_of_other_steps_takes_its_place_at_once():
    learner = make_learner(classifier())
    x, y = tf.ones([2, 3]), tf.constant([0, 1])
    before = learner.adapt(x, y)(x)
    learner.algorithm = dataclasses.replace(learner.algorithm, eval_steps=0)
    # Not to the last bit: in a graph a processor may add up in another order.
    tf.debugging.assert_near(learner.adapt(x, y)(x), learner.model(x), rtol=1e-6, atol=0.0)
    assert float(tf.reduce_max(tf.abs(before - learner.model(x)))) > 1e-3


def test_training_takes_the_new_algorithm_too_and_one_that_learns_more_is_refused():
    learner = make_learner(classifier())
    x = tf.random.stateless_normal([1, 4, 3], [1, 2])
    y = tf.constant([[0, 1, 0, 1]])
    batch = {"support_x": x, "support_y": y, "query_x": x}
    before = float(learner.test_on_batch(batch, y))
    learner.algorithm = meta_tf.MAML(0.1, inner_steps=20)
    assert float(learner.test_on_batch(batch, y)) < before  # the query set is the support set
    with pytest.raises(ValueError, match=r"`algorithm` must learn the same.*nothing.*MetaLearner"):
        learner.algorithm = meta_tf.MetaSGD(inner_lr=0.1)
    with pytest.raises(ValueError, match=r"`algorithm` must be an object.*Received: 5"):
        learner.algorithm = 5
