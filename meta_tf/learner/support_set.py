"""The support set that `adapt` was given, as tensors with class numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from meta_tf.algorithms import Algorithm
from meta_tf.data_checks.batch import check_support
from meta_tf.data_checks.outputs import outputs_of, wants_labels
from meta_tf.learner.class_names import distinct, numbered
from meta_tf.learner.query_batch import depends_on_batch
from meta_tf.learner.read_pictures import picture_input, read_inputs
from meta_tf.learner.standardize import columns_of
from meta_tf.network.network import Network
from meta_tf.tasks.images.conversion import Conversion
from meta_tf.tasks.images.picture_input import PictureInput
from meta_tf.types import Examples, Tensors


class SupportSet(NamedTuple):
    """The support set of one task, and what it shows of the task.

    `examples`: as tensors. `names`: of the classes, in the order of their numbers, empty if there
    are none. `pictures`: how to read pictures to predict. `batch_with`: the inputs of pictures, if
    predictions depend on their batch.
    """

    examples: Examples
    names: tuple[str, ...]
    pictures: PictureInput | None
    batch_with: Tensors | None

    def classes(self, algorithm: Algorithm, network: Network) -> int | None:
        """The number of outputs for the classes of the task; None if it uses all outputs."""
        if not algorithm.only_seen_classes():
            return None
        classes = len(self.names) or int(tf.reduce_max(self.examples.y)) + 1
        return classes if classes < (outputs_of(algorithm, network) or classes) else None


def read_support_set(
    algorithm: Algorithm,
    network: Network,
    pictures: PictureInput | None,
    x: Any,
    y: Any,
    class_names: Sequence[str] | None = None,
) -> SupportSet:
    """The support set, or ValueError if its parts do not fit each other or the learner.

    Args:
      algorithm: the algorithm that will learn the task.
      network: the model and its loss.
      pictures: how the model takes pictures, if this does not follow from the model.
      x: as `support_x` of `MetaLearner.adapt`.
      y: as its `support_y`.
      class_names: as its `class_names`.
    """
    takes = pictures or picture_input(network)
    conversion = takes.conversion() if takes else None
    if y is None:
        x, y, class_names = _classes(takes, conversion, x, class_names)
    else:
        x = read_inputs(network, pictures, "support_x", x, conversion)
    if takes and conversion and conversion.white_of_16_bits:
        pictures = takes.after(conversion)
    keeps = conversion and conversion.pictures and depends_on_batch(network)
    names: tuple[str, ...] = ()
    if wants_labels(algorithm, network):
        columns = columns_of(network)
        if class_names is None and columns is not None:
            class_names = columns.classes or None  # their numbers are the same in all tasks
        y, names = numbered(y, class_names)
        most = outputs_of(algorithm, network) if class_names is not None else None
        if most and len(names) > most:
            raise ValueError(
                f"`class_names` must name at most {most} classes, as many as the learner tells "
                f"apart. Received: {len(names)}, of which it would never predict "
                f"{', '.join(names[most:])}."
            )
    elif class_names is not None:
        raise ValueError(
            "`class_names` must be None for a learner that does not classify. Received: "
            f"{class_names!r}."
        )
    examples = check_support(algorithm, network, x, y)
    return SupportSet(examples, names, pictures, examples.x if keeps else None)


def _classes(
    takes: PictureInput | None,
    conversion: Conversion | None,
    x: Any,
    class_names: Sequence[str] | None,
) -> tuple[np.ndarray, np.ndarray, Sequence[str] | None]:
    """The inputs, labels and names of a folder of classes, or of a dict of them."""
    if takes is None or not (isinstance(x, Mapping) or takes.takes(x)):
        raise ValueError(
            "`support_y` must hold the targets [S, ...] of `support_x`. It may only be left out "
            "for a folder with a subfolder of pictures for each class, or for a dict of class "
            f"names to pictures. Received: support_y=None and a {type(x).__name__}."
        )
    if class_names is not None:
        raise ValueError(
            "`class_names` must be None for a folder or a dict of classes, which names them. "
            f"Received: {class_names!r}."
        )
    inputs, labels, names = takes.read_classes(x, "`support_x`", conversion)
    return inputs, labels, distinct(names)
