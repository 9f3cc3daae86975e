"""Two replicas of one process, and two workers, learn what one device does."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conformance import two_devices
from tests.learners import make_batch, make_learner
from tests.marks import few_slow
from tests.replicas import TRAININGS, end, start_workers, train


def assert_same(learned, expected):
    assert len(learned) == len(expected)
    for one, other in zip(learned, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)


# "7 tasks" has dropout as well. Clipping on two replicas: tests/learner/test_learner.py.
FEW = ("7 tasks", "batch norm")
REST = tuple(name for name in TRAININGS if name not in FEW)


@pytest.mark.parametrize("name", few_slow(TRAININGS, *FEW))
def test_two_replicas_learn_what_one_device_does(name):
    assert_same(train(name, two_devices()), train(name))


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(("7 tasks",), id="few", marks=pytest.mark.slow),
        pytest.param(("batch norm", *REST), id="rest", marks=pytest.mark.exhaustive),
    ],
)
def test_two_workers_learn_what_one_process_does(names, tmp_path):
    path = tmp_path / "learned.npz"
    workers = start_workers(["-m", "tests.replicas", path, *names])
    try:
        for worker in workers:
            out, err = worker.communicate(timeout=600)
            assert worker.returncode == 0, out + err
    finally:
        end(workers)
    with np.load(path) as file:
        for name in names:
            learned = [file[key] for key in file.files if key.startswith(f"{name}/")]
            assert_same(learned, train(name))


def test_what_tensorflow_cannot_do_on_several_replicas_is_refused():
    x, y = make_batch(4)
    with two_devices().scope():
        several = make_learner(steps_per_execution=3)
        gathered = make_learner(optimizer=keras.optimizers.SGD(gradient_accumulation_steps=2))
        learner = make_learner()
    with pytest.raises(ValueError, match=r"`steps_per_execution` must be 1.*Received: 3.*placeh"):
        several.fit(x, y, verbose=0)
    with pytest.raises(ValueError, match=r"`steps_per_execution` must be 1"):
        several.evaluate(x, y, verbose=0)
    with pytest.raises(ValueError, match=r"`gradient_accumulation_steps` must be None"):
        gathered.fit(x, y, verbose=0)
    alone = tf.data.Dataset.from_tensor_slices((x, y)).batch(1, drop_remainder=True)
    with pytest.raises(ValueError, match=r"one task for each .* batches of 1 tasks"):
        learner.fit(alone, verbose=0)
