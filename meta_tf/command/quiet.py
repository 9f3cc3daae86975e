"""Imports TensorFlow without what its libraries write to the screen as they are loaded."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import tempfile
from collections.abc import Iterator
from typing import Any


def load() -> None:
    """Imports TensorFlow and the whole package, and looks for devices, once.

    What goes wrong is told with all that was written meanwhile.
    """
    if "meta_tf.public" in sys.modules:
        return
    # What fails is raised too. What TensorFlow logs as an error besides is none of the user's: that
    # a processor lacks AVX-512, say, or pages on a lost worker, which one line names.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with hidden_stderr():
        importlib.import_module("meta_tf.public")
        tensorflow = importlib.import_module("tensorflow")
        tensorflow.get_logger().setLevel("ERROR")  # tracing anew for each size of a group is meant
        tensorflow.config.list_physical_devices()


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
