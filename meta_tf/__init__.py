"""Meta-learning for TensorFlow 2 and Keras 3: any Keras model learns from a handful of examples."""

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"


def _is_the_command() -> bool:
    """Whether this process is the command `meta-tf`, or `python -m meta_tf.command`."""
    program = Path(sys.argv[0]).stem if sys.argv else ""
    return program == "meta-tf" or (program == "-m" and "meta_tf.command" in sys.orig_argv)


if _is_the_command():
    importlib.import_module("meta_tf.run.stop").end_at_once()


def __dir__() -> list[str]:
    """The public names, without the imports of this file."""
    public = importlib.import_module("meta_tf.public")
    return sorted([*public.__all__, "__all__", "__doc__", "__version__"])


# All at once, because Keras finds the classes of a saved learner only if they are imported. Only
# the command imports on first use, so that its help does not wait for TensorFlow.
if TYPE_CHECKING:  # type checkers cannot follow a list that is built at run time
    from meta_tf.algorithms import *  # noqa: F403
if TYPE_CHECKING or not _is_the_command():
    from meta_tf.public import *  # noqa: F403
    from meta_tf.public import __all__  # noqa: F401
else:

    def __getattr__(name: str) -> Any:
        """Imports the public names when the first of them is used."""
        public = importlib.import_module("meta_tf.public")
        if name not in ("__all__", *getattr(public, "__all__", ())):  # absent during its import
            raise AttributeError(f"module 'meta_tf' has no attribute {name!r}")
        return getattr(public, name)
