"""How far embeddings are from all classes of a support set.

Pure functions of tensors, for one task, as in `meta_tf.layers.classifiers`. With f(x) the
embeddings, c_n the mean of the K_n support examples of class n, and v the variance within
classes:

    strangeness(x) = log(min over n of |f(x) - c_n|² / (1 + 1/K_n) / v)

The mean of K examples has an error of its own, so a new example of the class has the expected
squared distance (1 + 1/K) v. A support set of few examples says little about v, so the usual value
u of other tasks counts like ν = 10 examples:

    v = (ν u + Σ_s |f(x_s) - c_(y_s)|²) / (ν + S - N)

"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from meta_tf.layers.classifiers import class_means, distances, one_hot, single
from meta_tf.types import Tensor

USUAL_COUNTS = 10.0
_TINY = 1e-12

MEANS, NOISE, WITHIN = "strangeness_means", "strangeness_noise", "strangeness_within"


def fit_strangeness(x: Tensor, labels: Tensor, ways: int) -> dict[str, Tensor]:
    """What `class_distances` and `strangeness` need of support embeddings `x` [S, D].

    Returns:
      The class means [N, D]; 1 + 1/K_n [N], tiny for a class without examples, which is then
      never near; and the squared distances within classes, summed, with their number S - N.
    """
    x = single(x)
    y = one_hot(labels, ways, x.dtype)
    means, counts = class_means(x, y), tf.reduce_sum(y, 0)
    seen = counts > 0
    noise = tf.where(seen, 1 + 1 / tf.maximum(counts, 1), _TINY)
    within = tf.reduce_sum((x - tf.matmul(y, means)) ** 2)
    free = tf.reduce_sum(counts) - tf.reduce_sum(tf.cast(seen, x.dtype))
    return {MEANS: means, NOISE: noise, WITHIN: tf.stack([within, free])}


def class_distances(fitted: dict[str, Tensor], query: Tensor) -> Tensor:
    """|f(x) - c_n|² / (1 + 1/K_n) for query embeddings [Q, D], [Q, N]."""
    apart = distances(single(query), fitted[MEANS], "euclidean")
    return tf.maximum(apart, _TINY) / fitted[NOISE]


def strangeness(apart: np.ndarray, within: np.ndarray, usual: float) -> np.ndarray:
    """The strangeness [Q] by `class_distances` [Q, N]; `usual` is u."""
    total, free = (float(number) for number in within)
    spread = (USUAL_COUNTS * usual + total) / (USUAL_COUNTS + free)
    return np.log(apart.min(-1) / spread)
