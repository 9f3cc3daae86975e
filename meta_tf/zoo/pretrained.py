"""`pretrained`: trained learners that come with the library."""

from __future__ import annotations

import keras

from meta_tf.checks import check_choice
from meta_tf.learner import MetaLearner
from meta_tf.zoo.card import FOLDER, card, names


def pretrained(name: str, verbose: bool = False) -> MetaLearner:
    """Loads a learner that has already been trained, to be used or trained further.

    It learns to tell characters apart that it has never seen, from one example of each:
    `chinese_characters` Chinese ones, the others handwriting. It expects images
    [28, 28, 1] of floats, the ink 1 on a ground of 0; its card tells how much of the image
    the ink fills. `verbose=True` prints the card: the data, the accuracy on new characters,
    what it was never shown, the licence. `meta_tf.zoo.card` gives the same as text.

    Where the card says *batch norm transductive*, answers depend on what else is asked
    about in the same call: ask for drawings of all classes at once, or give each the
    company of the support set, `fitted.predict_one_by_one(x, support_x)`.

    Args:
      name: one of `meta_tf.zoo.names()`; the error for a wrong one lists them.
      verbose: whether to print the card.

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
    probabilistic program induction", Science 2015.
    """
    check_choice("name", name, names())
    check_choice("verbose", verbose, (False, True))
    if verbose:
        print(card(name))
    return keras.models.load_model(FOLDER / f"{name}.keras", compile=False)
