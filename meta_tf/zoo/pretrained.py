"""`pretrained`: trained learners that ship with the library."""

from __future__ import annotations

import dataclasses

import keras

from meta_tf.checks import check_choice
from meta_tf.learner import MetaLearner
from meta_tf.zoo import backbones
from meta_tf.zoo.calibrations import FOLDER, calibration_of
from meta_tf.zoo.card import card, names
from meta_tf.zoo.photos import PHOTOS, photos


def pretrained(
    name: str, verbose: bool = False, *, views: int = 1, backbone: str | None = None
) -> MetaLearner:
    """Loads a pretrained learner, to use or to train further.

    The learners distinguish classes that they have never seen, from one to ten examples of each:
    `photos` photographs, `chinese_characters` Chinese characters, the others handwriting.
    `photos` expects pictures [224, 224, 3] with values from 0 to 255. The others expect float
    images [28, 28, 1], ink 1 on a background of 0; each card says how much of the image the ink
    fills.

    If the card says *batch norm transductive*, predictions depend on the other inputs of the
    same call: predict drawings of all classes in one call, or each drawing in one batch with
    the support set, `fitted.predict_one_by_one(x, support_x)`.

    Args:
      name: one of `meta_tf.zoo.names()`; the error for a wrong one lists them.
      verbose: whether to print the card, which `meta_tf.zoo.card` returns: the data, the accuracy
        on new characters, what the training data lacks, the licence.
      views: for `photos`, the number of views of each picture whose features are averaged: 1; 2
        with its mirror image; 6 with its corners too. More are more accurate, and slower.
      backbone: for `photos`, the name of a network of `keras.applications` that takes the place
        of its own, such as `"MobileNetV2"`; Keras fetches the weights. The learner is then
        uncalibrated: it has no answer "none of these".

    Returns:
      A `MetaLearner` with the weights from the end of training. It has no optimiser:
      `adapt`, `predict`, `export` and `meta_tf.evaluate` work right away; `compile` it to
      train it further. The network of `photos` is frozen.

    Raises:
      ValueError: if there is no learner with that name, `views` or `backbone` is invalid or set
        for another learner than `photos`, or Keras cannot fetch the weights of a backbone.

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
    if name == PHOTOS:
        return photos(None if backbone is None else backbones.backbone(backbone), views)
    if (views, backbone) != (1, None):
        raise ValueError(
            f"`views` and `backbone` are only for {PHOTOS!r}. Received: views={views!r}, "
            f"backbone={backbone!r} for {name!r}. Leave them out."
        )
    learner = keras.models.load_model(FOLDER / f"{name}.keras", compile=False)
    learner.pictures = dataclasses.replace(learner.pictures, invert="light")  # ink on paper
    learner.calibration = calibration_of(name)
    learner._range.largest = 1.0  # its file is older than this number
    return learner
