"""Running what was written, beside TensorFlow: a file that computes something else is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from meta_tf.export.random_tasks import Arrays, RandomTasks
from meta_tf.export.refused import Refused

Run: TypeAlias = Callable[[str, Arrays], Arrays]
"""`outputs = run(signature, inputs)`, in the runtime that the file is for."""

TOLERANCE = 1e-4
FLOAT16_TOLERANCE = 1e-1  # the weights are rounded by up to 5e-4, and the steps enlarge that
_SMALL = 1e-2  # a tensor below this share of the largest one is measured by that share
_AGREEING, _DRAWN = 3, 8


def compare(
    run: Run,
    functions: dict[str, Any],
    tasks: RandomTasks,
    sizes: Sequence[tuple[int, int]],
    tolerance: float,
) -> float:
    """The largest difference between a file and TensorFlow, on random tasks of several sizes.

    It is relative: to the largest number in a tensor, or to a hundredth of the largest in
    all that the signature returns, if that is more.

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
        f"the file was written and run, and {name} differs from TensorFlow's by {value:.1e} of "
        f"its largest value or more, where at most {tolerance:.0e} is allowed (with {sizes[0]} "
        f"support and {sizes[1]} query examples)."
    )


def _worst(run: Run, functions: dict[str, Any], task: Arrays) -> tuple[float, str] | None:
    """The largest difference and what differs; None if TensorFlow's results are not finite."""
    support = {name: a for name, a in task.items() if not name.startswith("query_x")}
    query = {name: a for name, a in task.items() if name.startswith("query_x")}
    weights = _call(functions["adapt"], support)
    given = {"adapt": support, "predict": {**query, **weights}, "adapt_and_predict": task}
    worst = (0.0, "")
    for signature, inputs in given.items():
        expected = _call(functions[signature], inputs)
        if not all(np.isfinite(t).all() for t in expected.values()):
            return None
        outputs = run(signature, inputs) if expected else {}
        scales = [_largest(t) for t in expected.values()]
        for (name, t), scale in zip(expected.items(), scales, strict=True):
            scale = max(scale, _SMALL * max(scales), float(np.finfo("float32").tiny))
            value = _largest(np.asarray(outputs[name], "float64") - t) / scale
            # Not a number is the worst of all.
            worst = max(worst, (value if value == value else np.inf, f"{name} of {signature}"))
    return worst


def _largest(t: Any) -> float:
    return float(np.max(np.abs(t), initial=0))


def _call(function: Any, inputs: Arrays) -> Arrays:
    given = {name: tf.constant(a) for name, a in inputs.items()}
    return {name: t.numpy() for name, t in function(**given).items()}
