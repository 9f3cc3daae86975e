"""Running what was written, beside TensorFlow: a file that computes something else is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from meta_tf.export.random_tasks import Arrays, RandomTasks
from meta_tf.export.refused import Refused
from meta_tf.layers.classifiers import UNSEEN

Run: TypeAlias = Callable[[str, Arrays], Arrays]
"""`outputs = run(signature, inputs)`, in the runtime that the file is for."""

TOLERANCE = 1e-4
FLOAT16_TOLERANCE = 1e-1  # the weights are rounded by up to 5e-4, and the steps enlarge that
_AGREEING, _DRAWN = 3, 8
_FAR_BELOW = -3e4  # all other logits; half precision ends at -65504


def compare(
    run: Run,
    functions: dict[str, Any],
    tasks: RandomTasks,
    sizes: Sequence[tuple[int, int]],
    tolerance: float,
) -> float:
    """The largest difference between a file and TensorFlow, on random tasks of several sizes.

    It is that of the predictions, relative to the largest of them, where classes without an
    example, whose logits say only that, do not count: by `adapt_and_predict`, by
    `predict` with TensorFlow's weights, and with those that `adapt` of the file gives. The
    weights are judged by that, as some may be anything: Adam makes whole steps of a gradient
    that is rounding alone, like that of a bias in front of a batch normalisation.

    Three tasks of each size must agree, of at most eight. Not all of them do even if the
    file is right: the derivative of a ReLU jumps at 0, and where an activation is 0 but for
    the last bits, the sum's order decides on which side it is. TensorFlow's own results
    jump as far on the same tasks, if the inputs are changed by a millionth.

    Args:
      run: runs a signature of the file.
      functions: `adapt`, `predict` and `adapt_and_predict` as concrete functions.
      tasks: where tasks come from.
      sizes: the numbers of support and query examples to try.
      tolerance: the largest difference that is allowed.

    Returns:
      The largest difference among the tasks that agree.

    Raises:
      Refused: if too few agree, or if nothing could be compared, because TensorFlow's own
        results are not finite.
    """
    return max(_of_size(run, functions, tasks, pair, tolerance) for pair in sizes)


def _of_size(
    run: Run,
    functions: dict[str, Any],
    tasks: RandomTasks,
    sizes: tuple[int, int],
    tolerance: float,
) -> float:
    agreeing: list[float] = []
    wrong: list[tuple[float, str]] = []
    for number in range(_DRAWN):
        found = None
        for positive in (False, True):
            task = tasks.draw(number, *sizes, positive=positive)
            found = found or _worst(run, functions, task)
        if found is None:
            raise Refused(
                "what is written is compared with TensorFlow on random inputs, and there the "
                "learner's own predictions are not finite. Check its weights and its inner_lr."
            )
        if found[0] <= tolerance:
            agreeing.append(found[0])
        else:
            wrong.append(found)
        if len(agreeing) == _AGREEING:
            return max(agreeing)
    value, name = min(wrong)
    raise Refused(
        f"it was written and run, and the predictions (of {name}) differ from TensorFlow's by "
        f"{value:.1e} of the largest or more, where at most {tolerance:.0e} is allowed (with "
        f"{sizes[0]} support and {sizes[1]} query examples)."
    )


def _worst(run: Run, functions: dict[str, Any], task: Arrays) -> tuple[float, str] | None:
    """The largest difference and where it is; None if TensorFlow's results are not finite."""
    support = {name: a for name, a in task.items() if not name.startswith("query_x")}
    query = {name: a for name, a in task.items() if name.startswith("query_x")}
    weights = _call(functions["adapt"], support)
    expected = _call(functions["adapt_and_predict"], task)["predictions"]
    if not np.isfinite(expected).all():
        return None
    own = run("adapt", support) if weights else {}
    predictions = {
        "adapt_and_predict": run("adapt_and_predict", task),
        "predict": run("predict", {**query, **weights}),
        "predict, by what adapt gives": run("predict", {**query, **own}),
    }
    worst = (0.0, "")
    for name, found in predictions.items():
        worst = max(worst, (_difference(np.asarray(found["predictions"]), expected), name))
    return worst


def _difference(found: Any, expected: Any) -> float:
    """The largest, relative to the largest of what is expected; not a number is infinitely far."""
    seen = expected > UNSEEN / 2
    if not (found[~seen] <= _FAR_BELOW).all():
        return np.inf
    largest = max(_largest(expected[seen]), float(np.finfo("float32").tiny))
    value = _largest(np.asarray(found[seen], "float64") - expected[seen]) / largest
    return value if value == value else np.inf


def _largest(t: Any) -> float:
    return float(np.max(np.abs(t), initial=0))


def _call(function: Any, inputs: Arrays) -> Arrays:
    given = {name: tf.constant(a) for name, a in inputs.items()}
    return {name: t.numpy() for name, t in function(**given).items()}
