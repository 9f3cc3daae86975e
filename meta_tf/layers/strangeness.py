"""How far embeddings are from all classes of a support set.

Pure functions of tensors, for one task, as in `meta_tf.layers.classifiers`. With f(x) the
embeddings, c_n the mean of the K_n support examples of class n, and v the variance within classes:

    strangeness(x) = log(min over n of |f(x) - c_n|² / (1 + 1/K_n) / v)

The mean of K examples has an error of its own, so a new example of the class has the expected
squared distance (1 + 1/K) v. A support set of few examples says little about v, so the usual value
u of other tasks counts like ν = 10 examples:

    v = (ν u + Σ_s |f(x_s) - c_(y_s)|²) / (ν + S - N)

For a learner with an inner loop, the embedding is what enters the last layer of the adapted model,
scaled to unit length. Without embeddings, the strangeness is the energy, -log Σ_n exp(logit_n).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from meta_tf.layers.classifiers import class_means, distances, one_hot, single
from meta_tf.types import Tensor

USUAL_COUNTS = 10.0
_TINY = 1e-12

MEANS, NOISE, WITHIN = "strangeness_means", "strangeness_noise", "strangeness_within"
FITTED = frozenset({MEANS, NOISE, WITHIN})


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


def log_distance(fitted: dict[str, Tensor], apart: Tensor, usual: float) -> Tensor:
    """The strangeness [Q] by `class_distances` [Q, N]; `usual` is u."""
    return tf.math.log(tf.reduce_min(apart, -1) / _spread(fitted[WITHIN], usual))


def energy(logits: Tensor) -> Tensor:
    """The strangeness [Q] by logits [Q, N]."""
    return -tf.reduce_logsumexp(single(logits), -1)


class Judged(NamedTuple):
    """The answers for some inputs.

    `logits`: the predictions, [B, N]. `apart`: the `class_distances`, [B, N], and `within`: the
    entry `WITHIN` of `fit_strangeness`; both None without embeddings.
    """

    logits: np.ndarray
    apart: np.ndarray | None = None
    within: np.ndarray | None = None

    def strangeness(self, usual: float | None) -> np.ndarray:
        """The strangeness [B]; `usual` is u, None without embeddings."""
        if self.apart is None or self.within is None or usual is None:
            logits = np.asarray(self.logits, np.float64)
            most = logits.max(-1)
            return -np.log(np.exp(logits - most[:, None]).sum(-1)) - most
        within = [float(number) for number in self.within]
        return np.log(self.apart.min(-1) / _spread(within, usual))


def _spread(within: Any, usual: float) -> Any:
    """v, by the entry `WITHIN`: numbers or a tensor."""
    return (USUAL_COUNTS * usual + within[0]) / (USUAL_COUNTS + within[1])
