"""The inputs of a traced function that its outputs depend on."""

from __future__ import annotations

from typing import Any


def inputs_that_matter(function: Any) -> set[str]:
    """The names of a concrete function's inputs that any of its outputs depends on.

    A called function counts as using all of its inputs.
    """
    waiting = [t.op for t in function.outputs]
    seen = set(waiting)
    while waiting:
        op = waiting.pop()
        new = {t.op for t in op.inputs} - seen
        seen |= new
        waiting += new
    return {t.op.name for t in function.inputs if t.op in seen}
