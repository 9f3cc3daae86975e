"""A split of a source of classes: its single examples, and its features computed once."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import keras
import numpy as np
import tensorflow as tf

from meta_tf.checks import check_integer, check_kind
from meta_tf.parts import map_parts
from meta_tf.pixels import largest_pixel
from meta_tf.tasks.examples import places_of
from meta_tf.tasks.mapped import MappedExamples
from meta_tf.tasks.meta_dataset import MetaDatasetSizes
from meta_tf.tasks.sampler import Sampler
from meta_tf.tasks.split import Split


class ClassSplit(Split):
    """The training, validation or test split of a source of classes."""

    def __init__(self, sampler: Sampler, *, stream: int, classes: Sequence[str]):
        super().__init__(
            sampler.episodes,
            sampler.numbers,
            stream=stream,
            classes=classes,
            drawn=sampler.drawn,
            ahead=not isinstance(sampler.examples, MappedExamples),
        )
        self._sampler = sampler

    def labelled(self) -> tf.data.Dataset:
        """Every example with its class number, for training without tasks.

        Returns:
          A finite dataset of `(x, label)`, one class after another: shuffle it. `label` is the
          index of the class in `classes`, int64.

        Example:
          >>> vectors = np.random.default_rng(0).normal(size=[60, 8])
          >>> tasks = meta_tf.tasks.from_arrays(vectors, np.arange(60) % 15, ways=2, queries=3)
          >>> len(tasks.train.labelled().batch(10))
          4
        """
        sampler = self._sampler
        labels = np.repeat(np.arange(len(self.classes)), sampler.counts)
        places = tf.data.Dataset.from_tensor_slices((sampler.rows(), labels))
        return places.map(lambda row, label: (sampler.cut_out(row), label))

    def embedded(self, model: keras.Model, batch_size: int = 256) -> ClassSplit:
        """The same episodes, with a model's outputs as examples, computed once, now.

        An algorithm on the features of a frozen network then does not run the network for every
        task. The model predicts as `keras.Model.predict` does: dropout is off, and batch
        normalisation uses its moving averages.

        Args:
          model: maps examples [B, ...] to features, [B, ...].
          batch_size: the number of examples at a time; they must fit in memory.

        Returns:
          A split with the same episodes by seed and number, with features as examples.

        Raises:
          ValueError: if both the model and this source scale pixels, or if `batch_size` is invalid.

        Example:
          >>> vectors = np.random.default_rng(0).normal(size=[60, 8])
          >>> split = meta_tf.tasks.from_arrays(vectors, np.arange(60) % 15, ways=2, queries=3).test
          >>> split.embedded(meta_tf.models.mlp(8, None, (4,))).task_spec[1].shape
          TensorShape([6])
        """
        check_kind("model", model, keras.Model, "a Keras model")
        check_integer("batch_size", batch_size, at_least=1)
        sampler, rows = self._sampler, self._sampler.rows()
        places = np.concatenate([rows + turn * sampler.copy for turn in range(sampler.turns)])
        if sampler.scale and sampler.examples.dtype == tf.uint8 and largest_pixel(model) == 255:
            raise ValueError(
                "`model` must not scale pixels that this source has scaled. Received: "
                f"{model.name!r}, which scales pixels from 0 to 255 itself. Make the source with "
                "scale=False."
            )

        def embed(places: np.ndarray) -> np.ndarray:
            return model.predict_on_batch(sampler.cut_out(places))

        features = sampler.of(tf.constant(map_parts(embed, places, batch_size)))
        return ClassSplit(features, stream=self._stream, classes=self.classes)

    def meta_dataset(self, **limits: int) -> ClassSplit:
        """Tasks from this split's classes, with sizes drawn as in Meta-Dataset.

        Ways differ between tasks, and shots also between the classes of a task; the ways, shots
        and queries of the split's own tasks have no effect. Classes are drawn uniformly, without
        the hierarchies of ImageNet and Omniglot that Meta-Dataset uses.

        Args:
          **limits: settings of `meta_tf.tasks.meta_dataset.MetaDatasetSizes`: `least_ways=5`,
            `most_ways=50`, `most_queries=10`, `most_support=500` and `most_shots=100`.

        Returns:
          A split with padded batches, which contain `support_size` and `query_size`.

        Raises:
          ValueError: if a limit is invalid, or classes or examples are too few.

        Example:
          >>> vectors = np.random.default_rng(0).normal(size=[600, 8])
          >>> split = meta_tf.tasks.from_arrays(vectors, np.arange(600) % 30, ways=2).train
          >>> x, _ = next(iter(split.meta_dataset(most_ways=10, most_support=60).batches(4)))
          >>> x["support_x"].shape, x["support_size"].shape
          (TensorShape([4, 60, 8]), TensorShape([4]))

        Reference:
          Triantafillou et al., Meta-Dataset, 2020.
        """
        sizes = MetaDatasetSizes(self._sampler.counts, **limits)
        sampler = self._sampler._replace(
            ways=sizes.ways, shots=sizes.shots, queries=sizes.queries, sizes=sizes
        )
        return ClassSplit(sampler, stream=self._stream, classes=self.classes)


def joined(
    parts: Sequence[ClassSplit], without: Collection[str], ways: tuple[int, int]
) -> ClassSplit:
    """The classes of several splits of one source in alphabetical order, except some.

    Its tasks are those of the last split, with the smallest and the largest number of `ways`.
    """
    names = [name for part in parts for name in part.classes]
    sampler, names = places_of([part._sampler for part in parts], names, without)
    return ClassSplit(sampler.with_ways(ways), stream=parts[-1]._stream, classes=names)
