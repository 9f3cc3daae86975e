"""A run whose disk fails at any of its operations goes on to the same weights afterwards.

In the way of SQLite's tests: the n-th write, rename, removal or fsync fails, for every n. The
steps of this run are a formula, so that the whole of it takes a moment; everything that touches
the disk is the product's own.
"""

import shutil
import sys

import keras
import numpy as np
import pytest

import meta_tf
from meta_tf.evaluation.metrics_csv import read_metrics
from meta_tf.files import write_text
from meta_tf.run.checkpoints import clear_way, epoch_of, find_start
from meta_tf.run.lock import claimed
from meta_tf.run.log import RunLog
from meta_tf.run.settings import Training
from tests.failing_disk import FailingDisk

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
ITERATIONS = 4


def train(folder):
    """Goes on with the run in the folder to its end: its weights and the rows of its csv."""
    flags = Training(workdir=folder)
    with claimed(folder):
        start = find_start(flags)
        learner = keras.models.load_model(start.path) if start else new_learner()
        clear_way(flags, start)
        done, epoch = (start.iteration, epoch_of(start.path)) if start else (0, {})
        log = RunLog(folder, done, epoch=epoch)
        log.set_model(learner)
        log.set_params({"steps": 1})
        while log.iteration < ITERATIONS:
            log.on_epoch_begin(log.iteration)
            step(learner, log.iteration)
            log.on_epoch_end(log.iteration, {"loss": 1 / (1 + log.iteration)})
        write_text(folder / "results.json", "{}")
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in read_metrics(folder)]
    return [np.array(v) for v in learner.variables], rows


def new_learner():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input([1]), keras.layers.Dense(1, name="dense")], name="m")
    learner = meta_tf.MetaLearner(model, meta_tf.MAML(), loss="mse", name="learner")
    learner.compile(keras.optimizers.SGD(0.1))
    return learner


def step(learner, iteration):
    for variable in learner.trainable_variables:
        variable.assign(0.5 * variable + iteration + 1)
    learner.optimizer.iterations.assign_add(1)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The run that nothing happens to, and how many operations it makes."""
    root = tmp_path_factory.mktemp("disk").resolve()
    disk = FailingDisk(root)
    with disk.failing():
        result = train(root / "run")
    return result, disk.count


def assert_goes_on(folder, expected, what):
    weights, rows = train(folder)
    for value, wanted in zip(weights, expected[0], strict=True):
        np.testing.assert_array_equal(value, wanted, err_msg=what)
    assert rows == expected[1], what


KINDS = {  # fails for good, loses what was not synced
    "one operation": (False, False),
    "all from then on": (True, False),
    "the power": (True, True),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("every", [37, pytest.param(1, marks=pytest.mark.exhaustive)])
def test_whatever_fails_nothing_is_lost(tmp_path, expected, kind, every):
    result, operations = expected
    for_good, loses = KINDS[kind]
    assert operations > 100
    failed = 0
    for n in range(1, operations + 1, every):
        root = (tmp_path / str(n)).resolve()
        root.mkdir()
        disk = FailingDisk(root, n, for_good)
        try:
            with disk.failing():
                train(root / "run")
        except OSError as error:
            failed += 1
            assert error.filename, f"operation {n}: the error does not tell the path"
        if loses:
            disk.lose_what_was_not_synced()
        assert_goes_on(root / "run", result, f"operation {n} of {operations}")
        shutil.rmtree(root)
    # The removal of what is not there any more may fail without harm.
    assert failed > 0.8 * n / every
