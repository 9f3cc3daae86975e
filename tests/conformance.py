"""The list of cases, algorithm × model × task source, that must have every property.

A new algorithm is one row here. `meta_tf/testing/properties.py` holds most properties. Those
that cost little are checked for all rows; those that build several training steps (eager =
graph = XLA, resume, export) for the rows marked `thorough`, each kind of model and each kind
of inner loop once; many steps in one program for those of `COMPILED`.

Most rows share most of their code, so not all run every time: every day the rows of `EVERYDAY`,
with `-m slow` those of `OWN_CODE` or of `STATEFUL`, and with `-m exhaustive` the others.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

import meta_tf
from examples.cavia import CAVIA, context_mlp
from meta_tf import (
    ANIL,
    BOIL,
    FOMAML,
    IMAML,
    MAML,
    R2D2,
    ALPaCA,
    InContext,
    LogisticRegression,
    MAMLPlusPlus,
    MatchingNet,
    MetaCurvature,
    MetaSGD,
    ProtoMAML,
    ProtoNet,
    Reptile,
)
from meta_tf.algorithms.embedding import EmbeddingLearner
from meta_tf.testing.trial import TASKS, Trial

layers = keras.layers


def mlp():
    return meta_tf.models.mlp(1, 1, (6, 6), "tanh", "glorot_uniform")


def contextual():
    return context_mlp((1,), 1, context=3, hidden=6)


def mlp_with_dropout():
    return keras.Sequential(
        [
            keras.Input([1]),
            layers.Dense(8, "tanh", name="dense1"),
            layers.Dropout(0.25, seed=1, name="dropout"),
            layers.Dense(1, name="head"),
        ],
        name="mlp_with_dropout",
    )


def conv():
    return _blocks(layers.Dense(2, name="head"))


def conv_embedding():
    return _blocks()


def _blocks(*head):
    """Two blocks of a convolution and batch norm: what conv4 does, in half its time."""
    blocks = [
        layer
        for number in (1, 2)
        for layer in (
            layers.Conv2D(4, 3, 2, "same", name=f"conv{number}"),
            layers.BatchNormalization(name=f"norm{number}"),
            layers.ReLU(name=f"relu{number}"),
        )
    ]
    return keras.Sequential(
        [keras.Input([6, 6, 1]), *blocks, layers.Flatten(name="flatten"), *head], name="conv"
    )


def embedding():
    return meta_tf.models.mlp((3, 2), None, (6,), "tanh", "glorot_uniform")


def line_embedding():
    return meta_tf.models.mlp(1, None, (6,), "tanh", "glorot_uniform")


def classifier():
    return meta_tf.models.mlp((3, 2), 2, (6,), "tanh", "glorot_uniform")


def lstm():
    return keras.Sequential(
        [keras.Input([3, 2]), layers.LSTM(3, name="lstm"), layers.Dense(2, name="head")],
        name="recurrent",
    )


def attention():
    x = keras.Input([3, 2], name="x")
    seen = layers.MultiHeadAttention(2, 3, name="attention")(x, x)
    pooled = layers.GlobalAveragePooling1D(name="mean")(
        layers.LayerNormalization(name="norm")(seen)
    )
    return keras.Model(x, layers.Dense(2, name="head")(pooled), name="attention_model")


def sinusoid():
    return meta_tf.tasks.Sinusoid(shots=4, queries=3)


def images():
    return _classes([6, 6, 1])


def sequences():
    return _classes([3, 2])


def _classes(shape):
    examples = np.random.default_rng(0).normal(size=[60, *shape])
    return meta_tf.tasks.from_arrays(
        examples, np.arange(60) % 10, ways=2, shots=2, queries=2, split=(0.4, 0.3, 0.3)
    )


@functools.cache
def two_devices():
    """The one strategy of the process: a second one would mistake the first one's messages."""
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


@dataclasses.dataclass(frozen=True)
class Case:
    """One row: what learns what, by which algorithm."""

    name: str
    algorithm: meta_tf.Algorithm
    model: Callable[[], keras.Model] = mlp
    source: Callable[[], meta_tf.tasks.Source] = sinusoid
    batch_norm: str = "transductive"
    thorough: bool = False
    gaussian: bool = False

    @property
    def has_dropout(self) -> bool:
        return self.model is mlp_with_dropout

    @property
    def starts_plain(self) -> bool:
        """Whether the model without an inner step is the model as it is."""
        own = EmbeddingLearner | ProtoMAML | MAMLPlusPlus | CAVIA
        return not isinstance(self.algorithm, own)

    @property
    def trial(self) -> Trial:
        """What `meta_tf.testing` checks the properties on."""
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        if self.source is sinusoid:
            loss = meta_tf.GaussianLoss() if self.gaussian else "mse"
        return Trial(self.algorithm, self.model, self.source, loss, self.batch_norm)

    def learner(self) -> meta_tf.MetaLearner:
        """A new learner, the same one every time."""
        return self.trial.learner()

    def batches(self, start: int = 0, tasks: int = TASKS) -> tf.data.Dataset:
        """Batches of tasks in the present float type."""
        return self.trial.batches(start, tasks)

    def batch(self):
        """The first batch, `(x, y)`."""
        return self.trial.batch()


CASES = [
    Case("maml", MAML(0.1, inner_steps=2), thorough=True),
    Case("fomaml", FOMAML(inner_lr=0.1, inner_steps=2)),
    Case("anil", ANIL(inner_lr=0.1, inner_steps=2), conv, images),
    Case("boil", BOIL(inner_lr=0.1, inner_steps=2)),
    Case("meta-sgd", MetaSGD(inner_lr=0.1, inner_steps=2), thorough=True),
    Case("learned rate", MAML(0.1, inner_steps=2, learned_lr="scalar")),
    Case("learned rates", MAML(0.1, inner_steps=2, learned_lr="tensor")),
    Case("learned rates by step", MAML(0.1, inner_steps=2, learned_lr="tensor_step")),
    Case("momentum", MAML(0.1, inner_steps=2, optimizer="momentum")),
    Case("adam", MAML(0.01, inner_steps=2, optimizer="adam")),
    Case("flat memory", MAML(0.1, inner_steps=3, unroll=0), mlp_with_dropout, thorough=True),
    Case("dropout", MAML(0.1, inner_steps=2), mlp_with_dropout, thorough=True),
    Case("conv", MAML(0.1, inner_steps=1), conv, images, thorough=True),
    Case("conv, support", MAML(0.1, inner_steps=1), conv, images, "support", thorough=True),
    Case("conv, running", MAML(0.1, inner_steps=1), conv, images, "running"),
    Case("lstm", MAML(0.1, inner_steps=1), lstm, sequences, thorough=True),
    Case("attention", MAML(0.1, inner_steps=1), attention, sequences, thorough=True),
    Case("reptile", Reptile(0.01, inner_steps=3, inner_batch=2), thorough=True),
    Case("reptile, head", Reptile(0.1, inner_steps=2, optimizer="sgd", adapted="head")),
    Case("reptile, conv", Reptile(0.1, inner_steps=2, optimizer="sgd"), conv, images),
    Case("maml++", MAMLPlusPlus(0.1, inner_steps=2, multi_step_loss=9), thorough=True),
    Case("maml++, conv", MAMLPlusPlus(0.1, inner_steps=2, multi_step_loss=9), conv, images),
    Case(
        "maml++, statistics",
        MAMLPlusPlus(0.1, inner_steps=2, multi_step_loss=0, per_step_statistics=True),
        conv,
        images,
        "running",
        thorough=True,
    ),
    Case(
        "maml++, flat memory",
        MAMLPlusPlus(0.1, inner_steps=2, multi_step_loss=0, unroll=0),
        conv,
        images,
    ),
    Case("meta-curvature", MetaCurvature(0.1, inner_steps=2), thorough=True),
    Case("meta-curvature, conv", MetaCurvature(0.1, inner_steps=1), conv, images),
    Case("cavia", CAVIA(0.5, inner_steps=2, context=3), contextual),
    Case("imaml", IMAML(0.1, inner_steps=3), thorough=True),
    Case("imaml, conv", IMAML(0.1, inner_steps=2, adapted="!norm*"), conv, images),
    Case("protonet", ProtoNet(2), embedding, sequences),
    Case("protonet, conv", ProtoNet(2, "cosine", 10.0), conv_embedding, images),
    Case("protonet, support", ProtoNet(2), conv_embedding, images, "support"),
    Case("matching net", MatchingNet(2, 5.0), embedding, sequences),
    Case("matching net, running", MatchingNet(2), conv_embedding, images, "running"),
    Case("r2d2", R2D2(2), embedding, sequences, thorough=True),
    Case("logistic regression", LogisticRegression(2), embedding, sequences),
    Case("in context", InContext(width=6, blocks=2, heads=2), line_embedding, thorough=True),
    Case("in context, classes", InContext(2, width=4, blocks=1, heads=1), embedding, sequences),
    Case(
        "in context, votes",
        InContext(2, width=4, blocks=2, heads=2, answer="votes"),
        embedding,
        sequences,
        thorough=True,
    ),
    Case(
        "in context, conv",
        InContext(2, width=4, blocks=2, heads=2),
        conv_embedding,
        images,
        "support",
    ),
    Case(
        "in context, gaussian",
        InContext(width=4, blocks=1, heads=1, answer="gaussian"),
        line_embedding,
        gaussian=True,
    ),
    Case("alpaca", ALPaCA(), line_embedding, gaussian=True, thorough=True),
    Case("protomaml", ProtoMAML(0.1, inner_steps=2), classifier, sequences, thorough=True),
    Case("protomaml, head", ProtoMAML(0.1, inner_steps=2, adapted="head"), classifier, sequences),
    Case("protomaml, flat memory", ProtoMAML(0.1, inner_steps=2, unroll=0), conv, images),
]


def named(*names: str) -> list[Case]:
    """The rows of these names."""
    return [case for case in CASES if case.name in names]


THOROUGH = [case for case in CASES if case.thorough]
# An inner loop written out and one that is a loop, with dropout; batch norm; a closed form; blocks
# of attention.
EVERYDAY = named("maml", "flat memory", "conv, support", "r2d2", "in context, classes")
# What the inner loop and the meta-gradient of MAML do not share: `test_exact_gradients.py` and
# `test_map_tasks.py` have the kinds of layers.
_SHARED = ("fomaml", "anil", "boil", "learned rate", "learned rates", "momentum", "dropout")
_SHARED += ("conv", "lstm", "attention", "in context")
OWN_CODE = [c for c in CASES if (", " not in c.name or c.thorough) and c.name not in _SHARED]
# What is saved, and what replicas share: weights, meta-weights, seeds and statistics, the model's
# and by step. One row with each.
STATEFUL = named("meta-sgd", "dropout", "reptile", "maml++, statistics")
# Whose batch norm does not depend on the other queries.
DECLARED = [c for c in CASES if c.batch_norm != "transductive"]
# Whose tasks XLA can compile: neither convolutions nor loops.
COMPILED = [
    case
    for case in CASES
    if case.model not in (conv, conv_embedding, lstm)
    and not isinstance(case.algorithm, IMAML)
    and getattr(case.algorithm, "unroll", None) != 0
]
