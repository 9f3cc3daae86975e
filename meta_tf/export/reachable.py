"""Which inputs of a traced function its outputs depend on."""

from __future__ import annotations

from typing import Any


def inputs_that_matter(function: Any) -> set[str]:
    """The names of the inputs of a concrete function that any of its outputs depends on.

    A function that it calls counts as using all that it is given.
    """
    waiting = [t.op for t in function.outputs]
    seen = set(waiting)
    while waiting:
        op = waiting.pop()
        new = {t.op for t in op.inputs} - seen
        seen |= new
        waiting += new
    return {t.op.name for t in function.inputs if t.op in seen}
