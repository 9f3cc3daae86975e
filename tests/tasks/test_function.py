"""Tasks made by a function of the user's."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from meta_tf.tasks import from_function
from meta_tf.testing import check_source
from tests.tasks.random_walk import random_walk


def line(seed):
    slope, x = tf.split(tf.random.stateless_normal([8, 1], seed), [1, 7])
    return x[:3], slope * x[:3], x[3:], slope * x[3:]


def labelled(seed):
    x = tf.random.stateless_normal([6, 2], seed)
    y = tf.constant([0, 1, 2, 0, 1, 2], tf.int64)
    return x[:3], y[:3], x[3:], y[3:]


def test_tasks_are_those_of_the_function():
    source = from_function(line)
    assert (source.kind, source.shots, source.queries) == ("regression", 3, 4)
    x, query_y = next(iter(source.train.batches(20)))
    slopes = x["support_y"][:, :1] / x["support_x"][:, :1]
    np.testing.assert_allclose(query_y, slopes * x["query_x"], rtol=1e-4, atol=1e-6)
    assert len(np.unique(slopes)) == 20


def test_parts_have_seeds_of_their_own():
    source = from_function(line)
    drawn = [
        set(next(iter(part.batches(50)))[1].numpy().ravel())
        for part in (source.train, source.valid, source.test)
    ]
    assert not (drawn[0] & drawn[1] or drawn[0] & drawn[2] or drawn[1] & drawn[2])


def test_classification_needs_ways_and_gives_int32():
    source = from_function(labelled, ways=3)
    assert (source.kind, source.ways, source.shots, source.queries) == ("classification", 3, 1, 1)
    assert source.train.batches(2).element_spec[1].dtype == tf.int32


def test_inputs_may_be_structures_and_code_may_branch():
    def two_inputs(seed):
        x = tf.random.stateless_normal([5, 2], seed)
        if x[0, 0] > 0:
            x = -x
        inputs = {"left": x, "words": tf.cast(x * 100, tf.int64)}
        return inputs, x, inputs, x

    source = from_function(two_inputs)
    assert source.input_shape == {"left": (2,), "words": (2,)}
    x, _ = next(iter(source.train.batches(30)))
    assert x["support_x"]["words"].dtype == tf.int32
    assert (x["support_x"]["left"][:, 0, 0] <= 0).numpy().all()


def stateful(seed):
    x = tf.random.normal([4, 1])
    return x, x, x, x


def numpy_drawn(seed):
    x = np.random.default_rng(0).normal(size=[4, 1])
    return x, x, x, x


def numpy_on_tensor(seed):
    x = np.sort(seed)
    return x, x, x, x


def three(seed):
    x = tf.random.stateless_normal([4, 1], seed)
    return x, x, x


def only_the_seed(seed):
    return seed


def not_finite(seed):
    x = tf.random.stateless_normal([4, 1], seed)
    return x, x, x, x / 0.0


def unequal(seed):
    x = tf.random.stateless_normal([4, 1], seed)
    return x, x[:3], x, x


def unknown_size(seed):
    x = tf.random.stateless_normal([4, 1], seed)
    x = tf.boolean_mask(x, x[:, 0] > -100)
    return x, x, x, x


def strings(seed):
    x = tf.random.stateless_normal([4, 1], seed)
    return x, x, tf.as_string(x), x


def list_targets(seed):
    x = tf.random.stateless_normal([4, 1], seed)
    return x, [x, x], x, x


@pytest.mark.parametrize(
    ("fn", "ways", "message"),
    [
        (stateful, None, "The same seed gave two different tasks"),
        (numpy_drawn, None, "8 seeds gave the same task"),
        (numpy_on_tensor, None, "Compiling it failed with.*only TensorFlow operations"),
        (three, None, "It returned a tuple of 3"),
        (only_the_seed, None, "It returned SymbolicTensor"),
        (not_finite, None, "Its query_y contains NaN or infinity"),
        (unequal, None, "Its support set has different numbers"),
        (unknown_size, None, "Its support_x has no fixed shape"),
        (strings, None, "dtype string, not floats or integers"),
        (list_targets, None, "Its support_y is not a single tensor"),
        (labelled, None, "int32; for classification pass `ways`"),
        (labelled, 2, r"not class numbers 0 … 1"),
        (line, 3, r"not class numbers 0 … 2"),
        (line, 0, "`ways`"),
    ],
)
def test_errors_name_what_is_wrong(fn, ways, message):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        from_function(fn, ways=ways)


@pytest.fixture(scope="module")
def walks():
    return from_function(random_walk, numpy=True)


def test_a_function_of_numpy_makes_the_tasks(walks):
    check_source(walks)
    assert (walks.kind, walks.shots, walks.queries) == ("regression", 6, 3)
    assert walks.input_shape == {"number": (1,), "time": (1,)}
    x, query_y = next(iter(walks.train.batches(4)))
    assert (x["query_x"]["number"].dtype, query_y.dtype) == (tf.int32, tf.float32)
    np.testing.assert_array_equal(x["query_x"]["time"][:, :, 0], [[6, 7, 8]] * 4)


def test_workers_make_the_same_tasks(walks):
    shared = from_function(random_walk, numpy=True, workers=2)
    for one, other in zip(walks.train.batches(5), shared.train.batches(5).take(2), strict=False):
        tf.nest.map_structure(np.testing.assert_array_equal, one, other)


def odd_is_longer(seed):
    x = np.random.default_rng(seed).normal(size=[3 + seed[0] % 2, 1])
    return x, x, x, x


def high_is_longer(seed):  # higher than any seed that is tried first
    x = np.random.default_rng(seed).normal(size=[3 + int(seed[0] > 2**22), 1])
    return x, x, x, x


def high_fails(seed):
    assert seed[0] <= 2**22, "no root was found"
    return random_walk(seed)


def high_has_other_keys(seed):
    early, y, late, later = random_walk(seed)
    if seed[0] > 2**22:
        early = {"number": early["number"], "when": early["time"]}
    return early, y, late, later


def high_is_text(seed):
    early, y, late, later = random_walk(seed)
    return early, y.astype(str) if seed[0] > 2**22 else y, late, later


def high_is_whole(seed):
    early, y, late, later = random_walk(seed)
    return early, np.int64(np.round(y)) if seed[0] > 2**22 else y, late, later


@pytest.mark.parametrize(
    ("fn", "message"),
    [
        (high_is_longer, "same shapes for every seed"),
        (high_has_other_keys, "same keys for every seed"),
        (high_is_text, "same kind for every seed"),
        (high_fails, "no root was found"),
    ],
)
def test_a_fault_that_appears_later_is_shown(fn, message):
    source = from_function(fn, numpy=True)
    with pytest.raises(Exception, match=message):
        next(iter(source.train.batches(50)))


def test_integers_may_stand_for_floats():
    x, _ = next(iter(from_function(high_is_whole, numpy=True).train.batches(50)))
    whole = [np.array_equal(y, np.round(y)) for y in x["support_y"]]
    assert 0 < sum(whole) < 50


@pytest.mark.parametrize(
    ("fn", "options", "message"),
    [
        (lambda seed: random_walk(seed), {"numpy": True, "workers": 2}, "at the top of a module"),
        (random_walk, {"workers": 2}, "`workers` are for a function of NumPy"),
        (random_walk, {"numpy": True, "workers": -1}, "`workers` must be an integer"),
        (random_walk, {"numpy": 1}, "`numpy` must be True or False"),
        (random_walk, {}, "pass numpy=True"),
        (lambda seed: [1.0], {"numpy": True}, "It returned list"),
        (odd_is_longer, {"numpy": True}, "It returned other shapes for another seed"),
        (lambda seed: 1 / 0, {"numpy": True}, "Calling it failed with ZeroDivisionError"),
        (lambda seed: (np.ones([2, 1]),) * 4, {"numpy": True}, "8 seeds gave the same task"),
        (stateful, {"numpy": True}, "The same seed gave two different tasks"),
    ],
)
def test_errors_name_what_is_wrong_with_a_simulator(fn, options, message):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        from_function(fn, **options)


ENDED_BY_FORCE = """
import multiprocessing, os, pathlib, re, signal, time

def is_ready(worker):  # ignores Ctrl-C, which it does before its first task
    status = pathlib.Path(f"/proc/{worker}/status").read_text()
    return int(re.search("SigIgn:(.*)", status)[1], 16) & 1 << signal.SIGINT - 1

if __name__ == "__main__":
    from meta_tf.tasks import from_function
    from tests.tasks.random_walk import random_walk

    batches = iter(from_function(random_walk, numpy=True, workers=2).train.batches(4))
    next(batches)
    workers = [process.pid for process in multiprocessing.active_children()]
    while not all(map(is_ready, workers)):
        time.sleep(0.1)
    for worker in workers:  # as Ctrl-C in a terminal does
        os.kill(worker, signal.SIGINT)
    next(batches)
    print(*workers, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs Linux's /proc")
def test_workers_outlive_ctrl_c_but_not_their_parent(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(ENDED_BY_FORCE)
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    # The workers hold the pipe of the output: it ends when the last of them has ended.
    done = subprocess.run(
        [sys.executable, script], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert done.stdout.split()  # one or two: Python starts the second when the first is busy
