"""The end of a run calibrates a classifier on validation tasks."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

import meta_tf
from meta_tf.command import build, finish
from meta_tf.command.main import read

RNG = np.random.default_rng(0)
LABELS = np.arange(400) % 40
X = (RNG.normal(size=[40, 4])[LABELS] + 0.5 * RNG.normal(size=[400, 4])).astype("float32")
TASKS = meta_tf.tasks.from_arrays(X, LABELS, ways=3, shots=2, queries=4)


class Few:
    """Seven tasks of a split."""

    def batches(self, tasks, seed=0):
        return TASKS.valid.batches(tasks, seed=seed).take(7)


@pytest.fixture(scope="module")
def learner():
    keras.utils.set_random_seed(0)
    body = keras.Sequential([keras.Input([4]), keras.layers.Dense(3)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return meta_tf.MetaLearner(body, meta_tf.ProtoNet(ways=3), loss)


def test_it_says_what_it_found_and_never_looks_at_test_tasks(learner):
    said = finish._calibrated(learner, TASKS.valid, seed=5)
    kept = learner.calibration
    assert kept == learner.calibrate(TASKS.valid, seed=5)
    assert said == (
        f"Calibrated on 100 validation tasks: temperature {kept.temperatures[3, 2]:.2f}; "
        "5 % of their queries count as none of the classes."
    )


def test_a_part_with_few_tasks_does_not_stop_the_end_of_a_run(learner):
    learner.calibration = None
    said = finish._calibrated(learner, Few(), seed=0)
    assert said.startswith("Not calibrated: ") and "ends after 7 tasks" in said
    assert learner.calibration is None


def test_a_task_is_drawn_if_it_consists_of_pictures_whatever_sizes_the_model_takes(tmp_path):
    layers = keras.layers
    words = ["--task=images", f"--data_dir={tmp_path}", f"--workdir={tmp_path}"]
    train, evaluation = read("train", words), SimpleNamespace(settings={})
    any_size = keras.Sequential(
        [keras.Input([None, None, 1]), layers.Conv2D(2, 3), layers.GlobalMaxPooling2D()]
    )
    flat = keras.Sequential([keras.Input([5, 5, 2]), layers.Flatten()])
    for body, channels, drawn in ((any_size, 1, {"task"}), (flat, 2, set())):
        x = RNG.uniform(size=[100, 5, 5, channels]).astype("float32")
        tasks = meta_tf.tasks.from_arrays(x, np.arange(100) % 20, ways=2)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        learner = meta_tf.MetaLearner(body, meta_tf.ProtoNet(ways=2), loss)
        assert {*finish._figures(train, learner, tasks, evaluation)} == drawn


@pytest.mark.parametrize(("task", "invert"), [("omniglot", "light"), ("images", "no")])
def test_a_learner_of_omniglot_reads_ink_on_paper(task, invert, tmp_path):
    words = [f"--task={task}", f"--data_dir={tmp_path}", "--algorithm=protonet", "--image_size=28"]
    train = read("train", words if task == "images" else words[:-1])
    x = RNG.uniform(size=[100, 28, 28, 1]).astype("float32")
    tasks = meta_tf.tasks.from_arrays(x, np.arange(100) % 20, ways=2)
    learner = build.build_learner(train, tasks, build.build_algorithm(train, tasks))
    assert learner.pictures.invert == invert
