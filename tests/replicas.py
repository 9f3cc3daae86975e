"""Trainings of 20 steps that must not depend on the number of replicas, and a worker for them.

    TF_CONFIG=... python -m tests.replicas FILE.npz [NAME ...]

trains all of them as one of the workers that `TF_CONFIG` names; the first writes what it learned.
"""

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import meta_tf
from benchmarks.harness.addresses import free_addresses
from meta_tf.run.cluster import tolerate_silence
from tests.conformance import conv, images, mlp, mlp_with_dropout, sinusoid

ROOT = Path(__file__).resolve().parents[1]
STEPS = 20


MAML = meta_tf.MAML(0.05, inner_steps=2)


@dataclasses.dataclass(frozen=True)
class Training:
    """A learner, its optimiser, and how many tasks there are in a batch."""

    algorithm: meta_tf.Algorithm = MAML
    optimizer: Callable[[], keras.optimizers.Optimizer] = lambda: keras.optimizers.Adam(0.001)
    model: Callable[[], keras.Model] = mlp
    source: Callable[[], meta_tf.tasks.Source] = sinusoid
    batch_norm: str = "transductive"
    tasks: int = 4
    floatx: str = "float32"

    def learner(self):
        keras.utils.set_random_seed(0)
        of_classes = self.source is images
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True) if of_classes else "mse"
        learner = meta_tf.MetaLearner(
            self.model(), self.algorithm, loss, batch_norm=self.batch_norm, name="learner"
        )
        learner.compile(self.optimizer(), metrics=["accuracy"] if of_classes else ["mae"])
        return learner


def sgd(**clipping):
    return lambda: keras.optimizers.SGD(0.02, **clipping)


TRAININGS = {
    "plain": Training(),
    "clipnorm": Training(optimizer=sgd(clipnorm=0.1)),
    "global_clipnorm": Training(optimizer=sgd(global_clipnorm=0.1)),
    "clipvalue": Training(optimizer=sgd(clipvalue=0.05)),
    # In float64: this one is chaotic. Weights that begin 1e-7 of their size apart are 4e-3 apart
    # after 20 steps in float32, on one device.
    "batch norm": Training(
        meta_tf.MAML(0.05),
        sgd(),
        model=conv,
        source=images,
        batch_norm="running",
        floatx="float64",
    ),
    "dropout": Training(model=mlp_with_dropout),
    "meta-sgd": Training(meta_tf.MetaSGD(inner_lr=0.05, inner_steps=2)),
    "7 tasks": Training(model=mlp_with_dropout, tasks=7),
}


def train(name, strategy=None):
    """What a training has learned after 20 steps, in two epochs with validation; and its logs."""
    keras.backend.clear_session(free_memory=False)
    training = TRAININGS[name]
    keras.config.set_floatx(training.floatx)
    with (strategy or tf.distribute.get_strategy()).scope():
        learner = training.learner()
    source = training.source()
    history = learner.fit(
        source.train.batches(training.tasks, seed=0),
        steps_per_epoch=STEPS // 2,
        epochs=2,
        # One that ends, with batches that two replicas cannot share equally.
        validation_data=source.valid.batches(11, seed=1).take(1).unbatch().batch(4),
        shuffle=False,
        verbose=0,
    ).history
    learned = [v.numpy() for v in (*learner.trainable_variables, *learner.non_trainable_variables)]
    logs = [np.array(values) for _, values in sorted(history.items())]
    return [*learned, *logs]


def start_workers(program, count=2, started=None):
    """Starts the same program as each worker of a cluster on this machine, or as the first ones."""
    addresses = free_addresses(count)
    return [
        subprocess.Popen(
            [sys.executable, *map(str, program)],
            cwd=ROOT,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "CUDA_VISIBLE_DEVICES": "-1",
                "TF_CPP_MIN_LOG_LEVEL": "2",
                "TF_CONFIG": json.dumps(
                    {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
                ),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(started or count)
    ]


def end(workers):
    """Ends processes that may have ended."""
    for worker in workers:
        worker.kill()
        worker.communicate()


def main():
    tolerate_silence(300)  # a machine that tests is busy
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    learned = {}
    for name in sys.argv[2:] or TRAININGS:
        for i, values in enumerate(train(name, strategy)):
            learned[f"{name}/{i}"] = values
    if strategy.cluster_resolver.task_id == 0:
        np.savez(sys.argv[1], **learned)


if __name__ == "__main__":
    main()
