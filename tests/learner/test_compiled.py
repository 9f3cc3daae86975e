"""`Compiled` finds its trace by a few arguments, and passes all of them to it."""

import numpy as np
import pytest
import tensorflow as tf

from meta_tf.learner.compiled import Compiled
from meta_tf.types import Examples, Weights

SCALE = tf.Variable(10.0)


def make():
    def combine(weights, examples, steps):
        meta = weights.meta["b"] - 2 * weights.meta["a"]
        return {"z": weights.model[0] * SCALE, "y": meta + steps, "x": examples.x - examples.y}

    return Compiled(combine, lambda weights, examples, steps: (examples, steps))


def arguments(value, meta, steps=3):
    meta = {name: tf.convert_to_tensor(number) for name, number in meta.items()}
    weights = Weights([tf.constant(value)], [], meta)
    return weights, Examples(tf.constant([5.0, value]), tf.constant([value, 1.0])), steps


def test_every_tensor_reaches_its_place_in_later_calls_too():
    compiled = make()
    for value, meta in [(1.0, {"b": 7.0, "a": 2.0}), (4.0, {"a": 3.0, "b": 8.0})]:
        found = compiled(*arguments(value, meta))
        assert list(found) == ["z", "y", "x"]
        assert float(found["z"]) == 10 * value
        assert float(found["y"]) == meta["b"] - 2 * meta["a"] + 3
        np.testing.assert_array_equal(found["x"], [5 - value, value - 1])
    assert compiled.function.experimental_get_tracing_count() == 1


def test_another_number_is_another_trace():
    compiled = make()
    assert float(compiled(*arguments(1.0, {"a": 0.0, "b": 0.0}, 3))["y"]) == 3
    assert float(compiled(*arguments(1.0, {"a": 0.0, "b": 0.0}, 4))["y"]) == 4


def test_inputs_of_another_structure_do_not_take_the_place_of_others():
    # In the order of their names, `b` would be the first input and `x` the second.
    compiled = Compiled(lambda x: x["a"] - x["b"], lambda x: x)
    one, two = tf.constant(1.0), tf.constant(2.0)
    assert float(compiled({"a": one, "b": two})) == float(compiled({"b": two, "a": one})) == -1
    assert compiled.function.experimental_get_tracing_count() == 1
    for wrong in ({"x": one, "b": two}, [one, two], (one, two)):
        with pytest.raises((KeyError, TypeError)):
            compiled(wrong)


def test_gradients_pass_through_the_arguments_and_the_captured_variables():
    compiled = make()
    given = arguments(2.0, {"a": 1.0, "b": 1.0})
    compiled(*given)  # the trace exists
    with tf.GradientTape() as tape:
        tape.watch(given[0].model[0])
        z = compiled(*given)["z"]
    gradients = tape.gradient(z, [given[0].model[0], SCALE])
    assert [float(g) for g in gradients] == [10.0, 2.0]


def test_it_can_be_called_in_a_larger_graph():
    compiled = make()
    z = tf.function(lambda v: compiled(*arguments(2.0, {"a": v, "b": v}))["y"], autograph=False)
    assert float(z(tf.constant(4.0))) == -4 + 3
