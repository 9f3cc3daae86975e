"""ProtoMAML: MAML that starts from a classifier of class prototypes."""

from __future__ import annotations

import dataclasses

import keras
import tensorflow as tf

from meta_tf.algorithms import inner_optimizers
from meta_tf.algorithms.inner_loop import InnerLoop, LoopState
from meta_tf.checks import check_number, check_switch, check_text
from meta_tf.layers import classifiers
from meta_tf.network.check_loss import check_nothing_ignored
from meta_tf.network.masks import check_no_mask
from meta_tf.network.network import Network
from meta_tf.types import Examples, Tensor, Weights


@keras.saving.register_keras_serializable("meta_tf")
@dataclasses.dataclass(frozen=True)
class ProtoMAML(InnerLoop):
    """ProtoMAML: inner steps that start from a prototypical network as a linear classifier.

    With f the model without its last, dense layer, c_n the mean of f(x) over the support
    examples of class n, and L_S and L_Q the losses on the two sets,

        W_0 = 2 s [c_1 … c_N],   b_0 = -s [|c_1|² … |c_N|²],   s = scale
        w_{i+1} = w_i - α ∇L_S(w_i),   i = 0 … inner_steps - 1
        meta-gradient: dL_Q(w_k) / dw, through the k steps and the prototypes.

    With no steps, the logits are -s |f(query) - c_n|² + s |f(query)|², so the predicted
    classes are those of a prototypical network. No task uses the last layer's own weights, so
    they are not trained; its number of units is N. Before the first step, a class without a
    support example is never predicted.

    Args:
      inner_lr: the step size α of the inner loop, for the mean loss over the support set.
      inner_steps: inner steps in meta-training.
      eval_steps: inner steps in evaluation, `adapt` and export; `inner_steps` if None.
      first_order: treats ∇L_S as a constant in the meta-gradient, as the paper does to
        save memory. The gradient through the prototypes remains.
      scale: the steepness s of the initial classifier; the paper uses 1. Squared distances
        of hundreds of features are so large that the softmax is saturated on the support
        set, and the inner steps learn nothing: with 256 features, 0.01 did better.
      head: the name of the last layer.
      adapted: which weights adapt, as in `MAML`; all if None.
      unroll: up to this many inner steps are unrolled; more run in a loop that takes hardly
        any memory per step and about a third more time.

    Raises:
      ValueError: if a setting is out of range; when the learner is constructed, if the model
        does not end in a dense layer with that name.

    Example:
      >>> learner = meta_tf.MetaLearner(
      ...     meta_tf.models.conv4(ways=5, filters=8),
      ...     ProtoMAML(inner_lr=0.1, inner_steps=2),
      ...     keras.losses.SparseCategoricalCrossentropy(from_logits=True),
      ... )
      >>> fitted = learner.adapt(tf.zeros([5, 28, 28, 1]), tf.range(5))
      >>> fitted(tf.zeros([3, 28, 28, 1])).shape
      TensorShape([3, 5])

    Reference:
      Triantafillou et al. 2020, Meta-Dataset: A Dataset of Datasets for Learning to
      Learn from Few Examples, section 3.
    """

    inner_steps: int = 5
    first_order: bool = False
    scale: float = 1.0
    head: str = "head"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_switch("first_order", self.first_order)
        check_number("scale", self.scale, above=0)
        check_text("head", self.head, "head")

    def check(self, network: Network) -> None:
        super().check(network)
        check_nothing_ignored(self, network.loss)
        last = network.model.layers[-1] if network.model.layers else None
        if not (
            isinstance(last, keras.layers.Dense)
            and last.name == self.head
            and last.use_bias
            and last.trainable
            and last.activation is keras.activations.linear
            # The layers of a subclassed model have no symbolic input.
            and len(getattr(getattr(last, "input", None), "shape", ())) == 2
        ):
            raise ValueError(
                f"`model` must end in a trainable Dense layer named {self.head!r}, with a bias and "
                "without an activation, that takes one vector for each example: its weights become "
                f"the prototypes. Received: {network.model.name!r}, which ends in {last!r}. Pass "
                "the layer's name in ProtoMAML(head=...), and use a Functional or Sequential model."
            )

    def only_seen_classes(self) -> bool:
        return True

    def initial(self, network: Network, weights: Weights) -> None:
        """None: the algorithm cannot predict without a support set."""

    def start(
        self, network: Network, weights: Weights, support: Examples, *, training: bool
    ) -> Weights:
        """The weights, with the last layer's computed from the support set."""
        last, model = network.model.layers[-1], list(weights.model)
        # The state is not updated here: the first inner step passes over the same examples again.
        x, _ = network.support_outputs(weights, support.x, training=training, before=self.head)
        check_no_mask(self, x)
        x = classifiers.single(x)
        y = classifiers.one_hot(support.y, last.units, x.dtype)
        means = classifiers.class_means(x, y)
        kernel = 2 * self.scale * tf.transpose(means)
        bias = classifiers.unseen(y) - self.scale * tf.reduce_sum(means**2, 1)
        for i, variable in enumerate(network.model.trainable_variables):
            for own, value in ((last.kernel, kernel), (last.bias, bias)):
                if variable is own:
                    model[i] = tf.cast(value, model[i].dtype)
        return weights._replace(model=model)

    def change(
        self,
        network: Network,
        i: int | Tensor,
        state: LoopState,
        gradients: list[Tensor],
        start: Weights,
        *,
        training: bool,
    ) -> LoopState:
        return state._replace(
            fast=inner_optimizers.descend(state.fast, gradients, [self.inner_lr] * len(gradients))
        )
