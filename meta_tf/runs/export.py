"""`meta-tf export`: a trained learner as a file that learns new tasks without this library."""

from __future__ import annotations

import argparse

import meta_tf
from meta_tf.runs.learners import load_learner
from meta_tf.runs.quiet import hidden_stderr


def run(flags: argparse.Namespace) -> None:
    """Writes the learner to `flags.output`.

    Args:
      flags: those of `meta_tf.runs.flags.export_groups`, as `read_flags` returns them.
    """
    if not flags.output:
        raise ValueError(
            "--output is needed: what to write, such as --output=saved_model, or "
            "--output=learner.tflite for --format=litert."
        )
    learner = load_learner(flags)
    with hidden_stderr():  # the converters write pages
        error = _export(learner, flags)
    if error:
        raise RuntimeError(str(error)) from error


def _export(learner: meta_tf.MetaLearner, flags: argparse.Namespace) -> Exception | None:
    """Exports, and returns what stands against it: that is told without the converters' pages."""
    try:
        learner.export(
            flags.output,
            format=flags.format,
            verbose=True,
            ways=flags.ways,
            shots=flags.shots,
            queries=flags.queries,
            float16=flags.float16,
        )
    except (ImportError, ValueError) as error:
        return error
    return None
