"""`meta-tf evaluate`: how well a trained learner learns new tasks."""

from __future__ import annotations

import argparse

import meta_tf
from meta_tf.runs.build import build_tasks, to_evaluate
from meta_tf.runs.devices import set_up_device
from meta_tf.runs.learners import load_learner


def run(flags: argparse.Namespace) -> None:
    """Prints the table, and writes it to `flags.output` if that is given.

    Args:
      flags: those of `meta_tf.runs.flags.evaluate_groups`, as `read_flags` returns them.
    """
    set_up_device(flags.device)
    learner = load_learner(flags)
    tasks = build_tasks(flags)
    part, number = to_evaluate(flags, tasks)
    try:
        evaluation = meta_tf.evaluate(
            learner, part, number, flags.eval_steps, flags.seed, company=flags.company
        )
    except ValueError as error:
        raise ValueError(str(error).replace("`steps`", "--eval_steps")) from error
    print(evaluation)
    if flags.output:
        evaluation.save(flags.output)
        print(f"Written to {flags.output}.")
