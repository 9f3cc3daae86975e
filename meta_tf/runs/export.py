"""`meta-tf export`: a trained learner as a file that learns new tasks without this library."""

from __future__ import annotations

import argparse

from meta_tf.runs.learners import load_learner


def run(flags: argparse.Namespace) -> None:
    """Writes the learner to `flags.output`.

    Args:
      flags: those of `meta_tf.runs.flags.export_groups`, as `read_flags` returns them.
    """
    if not flags.output:
        raise ValueError("--output is needed: the folder to write, such as --output=saved_model.")
    load_learner(flags).export(flags.output, format=flags.format, verbose=True)
