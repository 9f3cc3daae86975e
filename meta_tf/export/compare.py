"""Compares an exported file with TensorFlow, and rejects it if the results differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from meta_tf.export.lowering import inputs_of
from meta_tf.export.random_tasks import Arrays, RandomTasks
from meta_tf.export.refused import Refused
from meta_tf.export.signatures import STRANGENESS
from meta_tf.layers.classifiers import UNSEEN
from meta_tf.network.standardized import Statistics

Run: TypeAlias = Callable[[str, Arrays], Arrays]
"""`outputs = run(signature, inputs)`, in the file's runtime."""

TOLERANCE = 1e-4
ROUNDED_TOLERANCE = 1e-1  # the weights are rounded, and the steps amplify that
_DISAGREEING = 5  # tasks of a size that may disagree
_UNIT = 10.0  # of the strangeness: a distance of similar embeddings has fewer digits than they
_LAST_BITS = 4  # steps of float32, by which the last operation may differ
_FAR_BELOW = -3e4  # below all other logits; half precision ends at -65504


def compare(
    run: Run,
    functions: dict[str, Any],
    tasks: RandomTasks,
    sizes: Sequence[tuple[int, int]],
    tolerance: float,
    agreeing: int = 3,
) -> float:
    """The largest difference between a file and TensorFlow, on random tasks of several sizes.

    The difference is that of the predictions, relative to the largest prediction; for a
    standardized learner in standard units, as a small deviation may lie around a large mean. It
    does not count the last bits of float32, nor classes without an example, whose logits are
    constant. The difference of a calibrated learner's
    strangeness, a logarithm, counts relative to 10 or more. The comparison covers
    `adapt_and_predict`, `predict` with TensorFlow's weights, `predict` with the weights from the
    file's `adapt`, and, if the file has them, the functions of embeddings. The adapted weights are
    not compared directly, because some are arbitrary: Adam takes full steps along a gradient that
    is only rounding error, such as that of a bias in front of a batch normalisation.

    Some tasks disagree even if the file is correct, so five of each size may: the derivative
    of a ReLU jumps at 0, and if an activation is 0 up to the last bits, the order of a sum
    decides its sign. TensorFlow's own results jump as far on the same tasks if the inputs
    change by a millionth.

    Args:
      run: runs a signature of the file.
      functions: `adapt`, `predict` and `adapt_and_predict` as concrete functions, and others.
      tasks: the source of tasks.
      sizes: the numbers of support and query examples to try.
      tolerance: the largest allowed difference.
      agreeing: how many tasks of each size must agree.

    Returns:
      The largest difference among the tasks that agree.

    Raises:
      Refused: if too few tasks agree, or if TensorFlow's own results are not finite, so
        that they cannot be compared.
    """
    return max(_of_size(run, functions, tasks, pair, tolerance, agreeing) for pair in sizes)


def _of_size(
    run: Run,
    functions: dict[str, Any],
    tasks: RandomTasks,
    sizes: tuple[int, int],
    tolerance: float,
    needed: int,
) -> float:
    agreeing: list[float] = []
    wrong: list[tuple[float, str]] = []
    for number in range(needed + _DISAGREEING):
        found = None
        for positive in (False, True):
            task = tasks.draw(number, *sizes, positive=positive)
            found = found or _worst(run, functions, task, tasks.unit_of)
        if found is None:
            raise Refused(
                "the export is compared with TensorFlow on random inputs, but there the "
                "learner's own predictions are not finite. Check its weights and its inner_lr."
            )
        if found[0] <= tolerance:
            agreeing.append(found[0])
        else:
            wrong.append(found)
        if len(agreeing) == needed:
            return max(agreeing)
    value, name = min(wrong)
    raise Refused(
        f"in a test run, outputs differ from TensorFlow's: {name} by at least {value:.1e} of the "
        f"largest; at most {tolerance:.0e} is allowed (with {sizes[0]} support and {sizes[1]} "
        "query examples)."
    )


def _worst(
    run: Run, functions: dict[str, Any], task: Arrays, unit_of: Callable[[str], Statistics]
) -> tuple[float, str] | None:
    """The largest difference and its name; None if TensorFlow's results are not finite."""
    support = {name: a for name, a in task.items() if not name.startswith("query_x")}
    query = {name: a for name, a in task.items() if name.startswith("query_x")}
    weights = _call(functions["adapt"], support)
    expected = _call(functions["adapt_and_predict"], task)
    if not all(np.isfinite(output).all() for output in expected.values()):
        return None
    own = run("adapt", support) if weights else {}
    found = {
        "adapt_and_predict": run("adapt_and_predict", task),
        "predict": run("predict", {**query, **weights}),
        "predict, with the weights from adapt": run("predict", {**query, **own}),
    }
    if "embed" in functions:
        found["predict_embedded"] = _by_embeddings(run, functions["embed"], support, query)
    return max(
        (
            _difference(output, np.asarray(outputs[output]), wanted, unit_of(output)),
            f"{output} (of {name})",
        )
        for name, outputs in found.items()
        for output, wanted in expected.items()
    )


def _by_embeddings(run: Run, embed: Any, support: Arrays, query: Arrays) -> Arrays:
    """The outputs of `predict_embedded`, with all examples embedded first."""
    (spec, *_) = inputs_of(embed).values()
    at_once = spec.shape[0]

    def embedded(examples: Arrays, kind: str) -> Any:
        x = {n.replace(kind, "x", 1): a for n, a in examples.items() if n.startswith(kind)}
        count = len(next(iter(x.values())))
        step = at_once or count
        parts = [{n: a[i : i + step] for n, a in x.items()} for i in range(0, count, step)]
        return np.concatenate([run("embed", part)["embeddings"] for part in parts])

    given = {"support_x": embedded(support, "support_x"), "support_y": support["support_y"]}
    weights = run("adapt_embedded", given)
    return run("predict_embedded", {"query_x": embedded(query, "query_x"), **weights})


def _difference(output: str, found: Any, expected: Any, unit: Statistics) -> float:
    """The largest difference, relative to the largest expected value; infinite for NaN."""
    seen = expected > UNSEEN / 2
    if found.shape != expected.shape or not (found[~seen] <= _FAR_BELOW).all():
        return np.inf
    least = _UNIT if output == STRANGENESS else float(np.finfo("float32").tiny)
    largest = max(_largest(unit.standard(expected)[seen]), least)
    apart = np.abs(np.asarray(found, "float64") - expected)
    apart = np.maximum(apart - _LAST_BITS * np.spacing(np.abs(expected)), 0) / unit.deviation
    value = _largest(apart[seen]) / largest
    return value if value == value else np.inf


def _largest(t: Any) -> float:
    return float(np.max(np.abs(t), initial=0))


def _call(function: Any, inputs: Arrays) -> Arrays:
    given = {name: tf.constant(a) for name, a in inputs.items()}
    return {name: t.numpy() for name, t in function(**given).items()}
