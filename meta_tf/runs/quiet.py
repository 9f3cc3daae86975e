"""Imports TensorFlow without what its libraries write to the screen as they are loaded."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

from meta_tf.runs.stop import SIGNALS


def load() -> None:
    """Imports TensorFlow and the whole package, and looks for devices, once.

    What goes wrong is told with all that was written meanwhile.
    """
    if "meta_tf.public" in sys.modules:
        return
    # What fails is raised too. What TensorFlow logs as an error besides is none of the user's: that
    # a processor lacks AVX-512, say, or pages on a lost worker, which one line names.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _interruptible(), hidden_stderr():
        importlib.import_module("meta_tf.public")
        importlib.import_module("tensorflow").config.list_physical_devices()


@contextlib.contextmanager
def hidden_stderr() -> Iterator[None]:
    """Keeps from the screen what the block writes to the standard error output, C++ included.

    It is written after all if the block raises.
    """
    sys.stderr.flush()
    screen = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        except Exception:
            _show(file, screen)
            raise
        finally:
            sys.stderr.flush()
            os.dup2(screen, 2)
            os.close(screen)


def _show(file: Any, screen: int) -> None:
    sys.stderr.flush()
    file.seek(0)
    os.write(screen, file.read())


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Ends the process at once on a signal: an import that is broken off leaves a traceback."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {n: signal.signal(n, lambda signum, _: os._exit(128 + signum)) for n in SIGNALS}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
