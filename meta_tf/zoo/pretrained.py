"""`pretrained`: trained learners that come with the library."""

from __future__ import annotations

from pathlib import Path

import keras

from meta_tf.checks import check_choice
from meta_tf.learner import MetaLearner

FOLDER = Path(__file__).resolve().parent


def pretrained(name: str) -> MetaLearner:
    """Loads a learner that has already been trained, to be used or trained further.

    It learns to tell handwritten characters apart from one drawing of each: characters
    that it has never seen, of any alphabet. It expects images [28, 28, 1] of floats, the
    strokes 1 on a ground of 0, the drawing filling the image as Omniglot's do.

    Trained on Omniglot (Lake et al. 2015, MIT licence): 1100 of its 1623 characters, as
    `meta_tf.tasks.Omniglot(split="finn", rotations="task")` splits and turns them. The
    file `meta_tf/zoo/<name>.json` holds the command that did it, all settings, and the
    accuracy on tasks of the 423 test characters with its interval. The batch-norm mode
    is `transductive`: predict for several new drawings at once, and of all classes
    rather than of one.

    Args:
      name: `"omniglot_<ways>way_<shots>shot"`, one of those in `meta_tf/zoo`; the error
        for a wrong one lists them.

    Returns:
      A `MetaLearner` with the weights of the end of its training. It has no optimiser:
      `adapt`, `predict`, `export` and `meta_tf.evaluate` work at once; `compile` it to train
      it further.

    Raises:
      ValueError: if there is no learner of that name.

    Example:
      >>> learner = pretrained("omniglot_5way_1shot")
      >>> drawings = np.random.default_rng(0).uniform(size=[5, 28, 28, 1]) > 0.9
      >>> fitted = learner.adapt(drawings.astype("float32"), np.arange(5))
      >>> fitted.predict(drawings.astype("float32"), verbose=0).argmax(-1)
      array([0, 1, 2, 3, 4])

    Reference: Lake, Salakhutdinov and Tenenbaum, "Human-level concept learning through
    probabilistic program induction", Science 2015; Finn, Abbeel and Levine, "Model-Agnostic
    Meta-Learning for Fast Adaptation of Deep Networks", ICML 2017.
    """
    check_choice("name", name, names())
    return keras.models.load_model(FOLDER / f"{name}.keras", compile=False)


def names() -> tuple[str, ...]:
    """The names that `pretrained` knows."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.keras")))
