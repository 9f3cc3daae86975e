"""`check_algorithm` finds what is wrong with an algorithm, and nothing wrong with a right one."""

import dataclasses

import keras
import pytest
import tensorflow as tf

import meta_tf
from meta_tf.testing import check_algorithm
from meta_tf.testing.check_algorithm import _source
from tests.marks import exhaustive, slow


@keras.saving.register_keras_serializable("check_algorithm")
@dataclasses.dataclass(frozen=True)
class NearestMean(meta_tf.Algorithm):
    """Classes by the nearest mean of their support embeddings."""

    ways: int = 2
    scale: float = 1.0

    def prediction_size(self, network):
        return self.ways

    def initial(self, network, weights):
        return None

    def adapt(self, network, weights, support, *, steps=None, training=False):
        embeddings, _ = network.support_outputs(weights, support.x, training=training)
        weights = network.store_statistics(weights, support.x, training=training)
        members = tf.one_hot(support.y, self.ways, axis=0, dtype=embeddings.dtype)
        means = members @ embeddings / tf.reduce_sum(members, 1, keepdims=True)
        return weights._replace(meta={**weights.meta, "means": means})

    def predict(self, network, adapted, query_x):
        apart = network(adapted, query_x)[:, None] - adapted.meta["means"]
        return -self.scale * tf.reduce_sum(apart**2, -1)


@keras.saving.register_keras_serializable("check_algorithm")
@dataclasses.dataclass(frozen=True)
class Stopped(NearestMean):
    """Its meta-gradient lacks what goes through the support set."""

    def adapt(self, network, weights, support, **options):
        adapted = super().adapt(network, weights, support, **options)
        return adapted._replace(meta={"means": tf.stop_gradient(adapted.meta["means"])})


@keras.saving.register_keras_serializable("check_algorithm")
@dataclasses.dataclass(frozen=True)
class Counting(NearestMean):
    """It writes into the model."""

    def adapt(self, network, weights, support, **options):
        network.model.trainable_variables[0].assign_add(
            tf.ones_like(network.model.trainable_variables[0])
        )
        return super().adapt(network, weights, support, **options)


@keras.saving.register_keras_serializable("check_algorithm")
@dataclasses.dataclass(frozen=True)
class Forgetful(NearestMean):
    """It loses a setting."""

    def get_config(self):
        return {"ways": self.ways}


@keras.saving.register_keras_serializable("check_algorithm")
@dataclasses.dataclass(frozen=True)
class Stored(NearestMean):
    """It predicts by the moving averages in every mode."""

    def predict(self, network, adapted, query_x):
        embeddings = network.model(query_x, training=False)
        return -tf.reduce_sum((embeddings[:, None] - adapted.meta["means"]) ** 2, -1)


@pytest.mark.slow
def test_an_algorithm_without_an_inner_loop_passes():
    check_algorithm(NearestMean(), batch_norm="support", quick=True)


@pytest.mark.parametrize(
    ("algorithm", "mode"),
    [
        slow(NearestMean(3), "running"),
        exhaustive(NearestMean(3), None),
        exhaustive(meta_tf.MAML(0.1, inner_steps=2), None),
    ],
    ids=["own, one", "own", "maml"],
)
def test_right_algorithms_have_every_property_in_every_mode(algorithm, mode):
    check_algorithm(algorithm, batch_norm=mode)


@pytest.mark.parametrize(
    ("algorithm", "named"),
    [
        pytest.param(
            Stopped(), "has_exact_meta_gradients.*finite differences", marks=pytest.mark.slow
        ),
        pytest.param(
            Counting(), "must change no variable. model/dense/kernel", marks=pytest.mark.slow
        ),
        pytest.param(Forgetful(scale=2.0), "same settings", marks=pytest.mark.slow),
        (Stored(), "use the support set's statistics"),
    ],
    ids=["stopped", "counting", "forgetful", "stored"],
)
def test_what_is_wrong_is_named(algorithm, named):
    with pytest.raises(AssertionError, match=named):
        check_algorithm(algorithm, batch_norm="support", quick=True)
    assert keras.config.floatx() == "float32"  # as before


@pytest.mark.slow
def test_a_model_and_tasks_of_ones_own_are_taken():
    def without_norm():
        return keras.Sequential([keras.Input([4]), keras.layers.Dense(3, "tanh")])

    check_algorithm(NearestMean(), without_norm, lambda: _source(2), "running", quick=True)
