"""What does a new task cost on a network of `keras.applications`?

    python -m benchmarks.backbones [--network MobileNetV3Small] [--size 96] [--shots 5]

For the network frozen under a classifier, frozen under a head that adapts (ANIL), and adapted
through LoRA, measures the numbers of all and of trained weights; the seconds for the first new
task, mostly compilation, and for a later one, 5-way, with 15 queries; and for the first and a
later outer step with one task. The weights are random, because their values do not affect the
cost. Takes a minute or more.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import meta_tf
from benchmarks.harness import results

WAYS, QUERIES = 5, 15


def body(name: str, size: int) -> keras.Model:
    """A network without its classifier, which rescales pixels from 0 to 255."""
    network = getattr(keras.applications, name)
    return network(input_shape=(size, size, 3), include_top=False, pooling="avg", weights=None)


def frozen_with_classifier(body: keras.Model) -> tuple[keras.Model, meta_tf.Algorithm]:
    body.trainable = False
    return body, meta_tf.ProtoNet(ways=WAYS)


def frozen_with_head(body: keras.Model) -> tuple[keras.Model, meta_tf.Algorithm]:
    body.trainable = False
    model = keras.Sequential([body, keras.layers.Dense(WAYS, name="head")])
    return model, meta_tf.ANIL(inner_lr=0.1, inner_steps=5)


def with_lora(body: keras.Model) -> tuple[keras.Model, meta_tf.Algorithm]:
    for layer in body.layers:
        if type(layer) is keras.layers.Conv2D and layer.kernel_size == (1, 1):
            layer.enable_lora(4)
        else:
            layer.trainable = False
    model = keras.Sequential([body, keras.layers.Dense(WAYS, name="head")])
    return model, meta_tf.MAML(inner_lr=0.1, inner_steps=5, adapted=("*lora*", "head*"), unroll=1)


USES = {
    "frozen, ProtoNet": frozen_with_classifier,
    "frozen, ANIL": frozen_with_head,
    "LoRA, MAML": with_lora,
}


def measured(
    model: keras.Model, algorithm: meta_tf.Algorithm, shots: int, rounds: int
) -> dict[str, float]:
    """The numbers of one row."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    learner = meta_tf.MetaLearner(model, algorithm, loss, batch_norm="running")
    rng = np.random.default_rng(0)
    pictures = rng.uniform(0, 255, [WAYS * shots + QUERIES, *model.input_shape[1:]])
    x, query = np.split(pictures.astype("float32"), [WAYS * shots])
    y = np.arange(len(x)) % WAYS
    query_y = np.arange(QUERIES) % WAYS

    def new_task() -> None:
        learner.adapt(x, y).predict(query, verbose=0)

    def outer_step() -> None:
        task = {"support_x": x[None], "support_y": y[None], "query_x": query[None]}
        learner.train_on_batch(task, query_y[None])

    row = {
        "weights": model.count_params(),
        "trained": sum(int(np.prod(v.shape)) for v in learner.trainable_variables),
        "first task": _seconds(new_task),
        "later task": statistics.median(_seconds(new_task) for _ in range(rounds)),
    }
    if learner.trainable_variables:
        learner.compile("adam")
        row["first outer step"] = _seconds(outer_step)
        row["later outer step"] = statistics.median(_seconds(outer_step) for _ in range(rounds))
    return row


def _seconds(work: Callable[[], None]) -> float:
    begin = time.perf_counter()
    work()
    return round(time.perf_counter() - begin, 3)


def main() -> None:
    parser = results.parser(__doc__)
    parser.add_argument("--network", default="MobileNetV3Small", help="its name there")
    parser.add_argument("--size", type=int, default=96, help="height and width in pixels")
    parser.add_argument("--shots", type=int, default=5)
    options = parser.parse_args()
    if not hasattr(keras.applications, options.network):
        parser.error(f"--network must be one of keras.applications. Received: {options.network}")
    rows = {}
    for use, build in USES.items():
        keras.utils.clear_session()
        model, algorithm = build(body(options.network, options.size))
        rows[use] = measured(model, algorithm, options.shots, options.rounds)
        print(f"{use}: {rows[use]}", flush=True)
    asked = {name: getattr(options, name) for name in ("network", "size", "shots")}
    results.save(options.results, "backbones", {**asked, "rows": rows})


if __name__ == "__main__":
    main()
