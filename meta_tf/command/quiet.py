"""Imports TensorFlow without the messages that its libraries print meanwhile."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import sys
import tempfile
from collections.abc import Iterator


def load() -> None:
    """Imports TensorFlow and the whole package, and finds the devices, once.

    If this fails, it prints the hidden messages too.
    """
    if "meta_tf.public" in sys.modules:
        return
    # Errors are raised too. What else TensorFlow logs as an error does not help users: that a
    # processor lacks AVX-512, for example, or pages about a lost worker.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with hidden_stderr():
        with without("matplotlib", "pandas"), no_garbage():
            importlib.import_module("meta_tf.public")
        tensorflow = importlib.import_module("tensorflow")
        tensorflow.get_logger().setLevel("ERROR")  # tasks of any size need retracing: no warnings
        tensorflow.config.list_physical_devices()


@contextlib.contextmanager
def no_garbage() -> Iterator[None]:
    """Keeps all objects there are at the end of the block, without searching for garbage.

    Nothing that is imported is garbage. Python would search through it again and again: a quarter
    of the time of all imports.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextlib.contextmanager
def without(*packages: str) -> Iterator[None]:
    """Makes optional imports of these packages fail in the block, by a None in `sys.modules`.

    Keras imports them where they are installed, for functions that no command uses. This takes a
    fifth of the time of all imports.
    """
    absent = [name for name in packages if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


@contextlib.contextmanager
def hidden_stderr(*clear: type[Exception]) -> Iterator[None]:
    """Hides what the block writes to stderr, also from C++.

    If the block raises an exception, the hidden text is printed, except before those in `clear`,
    whose own message is enough.
    """
    sys.stderr.flush()
    screen = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        except Exception as error:
            if not isinstance(error, clear):
                sys.stderr.flush()
                file.seek(0)
                os.write(screen, file.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(screen, 2)
            os.close(screen)
