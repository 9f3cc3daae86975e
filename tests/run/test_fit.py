"""A run without flags: its settings are a dataclass."""

import dataclasses

import keras
import pytest

import meta_tf
from meta_tf.command.made_with import MadeWith
from meta_tf.evaluation.metrics_csv import read_metrics
from meta_tf.run.checkpoints import find_checkpoints, find_start
from meta_tf.run.fit import fit
from meta_tf.run.lock import claimed
from meta_tf.run.settings import Training


def test_a_program_of_ones_own_trains_and_goes_on(tmp_path):
    training = Training(workdir=tmp_path, iterations=2, checkpoint_every=1, meta_batch_size=2)
    tasks = meta_tf.tasks.Sinusoid(shots=2)
    learner = meta_tf.MetaLearner(meta_tf.models.mlp(hidden=[2]), meta_tf.MAML(), loss="mse")
    learner.compile(keras.optimizers.Adam(), jit_compile=False)
    with claimed(tmp_path):
        fit(training, learner, tasks.train, tasks.valid)
    assert [row["iteration"] for row in read_metrics(tmp_path)] == [1, 2]
    start = find_start(training)
    assert start.iteration == 2
    more = dataclasses.replace(training, iterations=3)
    fit(more, keras.models.load_model(start.path), tasks.train, tasks.valid, start)
    assert [checkpoint.iteration for checkpoint in find_checkpoints(tmp_path)] == [3, 2]


def test_every_epoch_is_validated_on_the_same_number_of_tasks(tmp_path):
    # Calls of two steps, and of one in the last epoch. A validation has 200 tasks, two batches.
    tasks = meta_tf.tasks.Sinusoid(shots=2)
    training = Training(
        workdir=tmp_path,
        iterations=3,
        checkpoint_every=2,
        meta_batch_size=100,
        steps_per_execution=2,
    )
    learner = meta_tf.MetaLearner(meta_tf.models.mlp(hidden=[2]), meta_tf.MAML(), loss="mse")
    learner.compile(keras.optimizers.Adam(0.1), jit_compile=False)
    fit(training, learner, tasks.train, tasks.valid)
    batches = tasks.valid.batches(100, seed=training.seed + 1).take(2)
    expected = sum(learner.test_on_batch(*batch) for batch in batches) / 2
    assert read_metrics(tmp_path)[-1]["val_loss"] == pytest.approx(expected, rel=1e-6)


def test_a_run_is_the_same_if_what_may_not_change_is(tmp_path):
    training = Training(workdir=tmp_path)
    settings = {"width": ("3", "2"), "device": ("cpu", "auto"), "rate": ("none", "none")}
    made = MadeWith(training, settings, free=frozenset({"device"}), others=("task.noise=1",))
    text = made.text()
    assert text == "--width=3\n--device=cpu\n--set=task.noise=1\n"
    (tmp_path / "flags.txt").write_text(text)
    (tmp_path / "metrics.csv").write_text("iteration,loss\n1,0.5\n")
    made.check_same_run()
    dataclasses.replace(made, settings={**settings, "device": ("gpu", "auto")}).check_same_run()
    for other in (
        dataclasses.replace(made, settings={**settings, "width": ("2", "2")}),
        dataclasses.replace(made, settings={**settings, "rate": ("0.1", "none")}),
        dataclasses.replace(made, others=()),
    ):
        with pytest.raises(ValueError, match="to continue that run"):
            other.check_same_run()
        restart = dataclasses.replace(training, restart=True)
        dataclasses.replace(other, training=restart).check_same_run()
        assert other.of_another_run(made.texts())
    assert not made.of_another_run(made.texts()) and not made.of_another_run({})
