"""The end of a run: the evaluation, figures, the learner and its export."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import platform
import shlex
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

import meta_tf
from meta_tf.batch.map_tasks import cores
from meta_tf.command import build
from meta_tf.command.made_with import MadeWith
from meta_tf.command.settings import Train
from meta_tf.evaluation.metrics_csv import METRICS, read_metrics
from meta_tf.files import whole_file, write_text
from meta_tf.learner.calibrate import classifies, enough_tasks
from meta_tf.run import checkpoints, log
from meta_tf.run.checkpoints import EXPORT, LEARNER, RESULTS


def finish(
    train: Train,
    learner: meta_tf.MetaLearner,
    tasks: meta_tf.tasks.Source,
    made_with: MadeWith,
    iterations: int,
    writable: bool,
) -> None:
    """Calibrates a trained learner, evaluates it on new tasks, and writes all that a run leaves.

    Args:
      train: what was asked for.
      learner: the learner.
      tasks: their split `valid` is what it is calibrated on, and `test` what it is evaluated on.
      made_with: the settings of the run.
      iterations: the number of outer steps of the learner.
      writable: whether the run's folder can be written to; if not, the result is only shown.
    """
    workdir, seed = Path(train.training.workdir), train.training.seed
    if iterations != train.training.iterations:
        print(f"The validation loss was lowest at iteration {iterations}: that learner is taken.")
    if train.training.calibrate and classifies(learner):
        print(_calibrated(learner, tasks.valid, seed), flush=True)
    to_evaluate = build.to_evaluate(tasks, train.training.eval_tasks)
    baselines = tasks.train if train.training.baselines else False
    evaluation = meta_tf.evaluate(learner, *to_evaluate, seed=seed, baselines=baselines)
    if not writable:
        print(f"{evaluation}\nNothing is written, as {workdir} cannot be written to.")
        return
    has_matplotlib = importlib.util.find_spec("matplotlib") is not None
    figures = _figures(train, learner, tasks, evaluation) if has_matplotlib else {}
    for name, figure in figures.items():
        with whole_file(workdir / f"{name}.png") as part:
            figure.savefig(part, dpi=120)
    checkpoints.save_learner(learner, workdir / LEARNER, iterations, made_with.texts())
    learner.export(workdir / EXPORT)
    settings = dict(made_with.pairs())
    if train.set:
        settings["set"] = ", ".join(train.set)
    results = {  # what came out, and all that is needed to get it again
        **json.loads(evaluation.to_json()),
        "calibration": learner.calibration and learner.calibration.get_config(),
        "iterations": iterations,
        "parameters": learner.count_params(),
        "training_minutes": log.training_minutes(workdir),
        "cores": cores(),
        "command": shlex.join(["meta-tf", "train", *train.command]),
        "flags": settings,
        "versions": versions(),
    }
    # The last: with it the run is complete.
    write_text(workdir / RESULTS, json.dumps(results, indent=2) + "\n")
    print(evaluation)
    pictures = [f"{name}.png" for name in figures]
    written = [RESULTS, *pictures, METRICS, LEARNER, f"{EXPORT}/"]
    print(f"Written to {workdir}/: {', '.join(written)}")
    if not figures:
        print("No figures, as matplotlib is not installed: pip install matplotlib")


def _calibrated(learner: meta_tf.MetaLearner, valid: Any, seed: int) -> str:
    """Calibrates a learner on validation tasks, and describes the result in one line."""
    try:
        calibration = learner.calibrate(valid, seed=seed)
    except ValueError as error:  # too few tasks, for example
        return f"Not calibrated: {error}"
    found = [f"{t:.2f}" for t in sorted(calibration.temperatures.values())]
    temperatures = f"temperature {found[0]}"
    if len(found) > 1:
        temperatures = f"temperatures {found[0]} to {found[-1]}"
    return (
        f"Calibrated on {enough_tasks(learner, valid, seed)} validation tasks: {temperatures}; "
        f"{100 * calibration.false_alarms:g} % of their queries count as none of the classes."
    )


def versions() -> dict[str, str]:
    """Of what a result depends on."""
    return {
        "meta_tf": meta_tf.__version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "python": platform.python_version(),
    }


def _figures(
    train: Train,
    learner: meta_tf.MetaLearner,
    tasks: meta_tf.tasks.Source,
    evaluation: meta_tf.Evaluation,
) -> dict[str, Any]:
    """The figures of a run, by the name of their file."""
    from meta_tf import plots  # matplotlib takes a second to load

    seed, workdir = train.training.seed, Path(train.training.workdir)
    figures = {}
    if read_metrics(workdir):  # none, where a damaged one was set aside after the last step
        figures["learning_curve"] = plots.learning_curve(workdir / METRICS)
    if "inner_steps" in evaluation.settings:
        figures["inner_steps"] = plots.inner_steps(evaluation)
    if tasks.kind == "classification" and _are_pictures(tasks.input_shape):
        figures["task"] = plots.images(learner, tasks.test, seed=seed)
    elif train.task.name == "sinusoid":
        source = dataclasses.replace(train.task, given={"queries": 200, "grid": True})
        curves = source.make(shots=train.task.value("shots"))
        last = evaluation.steps[-1]
        steps = sorted({0, min(1, last), last})
        figures["fit"] = plots.regression(learner, curves.test, steps, seed=seed)
    return figures


def _are_pictures(shape: Any) -> bool:
    """Whether examples of a shape are pictures; the model may take pictures of any size."""
    return isinstance(shape, tuple) and len(shape) == 3 and shape[-1] in (1, 3)
