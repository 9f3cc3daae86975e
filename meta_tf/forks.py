"""Refuses to run TensorFlow's programs in a forked process, where they would never end.

A fork copies the memory of a process but not its threads, for which these programs wait.
"""

from __future__ import annotations

import os

_used = False  # whether this process has made a network, and so has used TensorFlow
_forked = False  # whether it was forked from one that had


def note_use() -> None:
    """Notes that this process has used TensorFlow."""
    global _used
    _used = True


def check_not_forked() -> None:
    """Raises RuntimeError in a process that was forked after TensorFlow had been used."""
    if _forked:
        raise RuntimeError(
            "A learner cannot run in a process that was forked from one with a learner: "
            "TensorFlow's threads are missing in it, and it would wait for them for ever. "
            f"Received: process {os.getpid()}, forked from {os.getppid()}. Start processes by "
            "multiprocessing.get_context('spawn'), or load the learner in each of them, and in "
            "none before the fork (a server's option `preload` loads it before)."
        )


def _in_child() -> None:
    global _forked
    _forked = _used


if hasattr(os, "register_at_fork"):  # Windows has no forks
    os.register_at_fork(after_in_child=_in_child)
