"""The operations of a graph, including those of the functions that it calls."""

from __future__ import annotations

from typing import Any


def graph_nodes(definition: Any) -> list[Any]:
    """All nodes of a `GraphDef`: its own, and those of the functions in its library."""
    functions = (function.node_def for function in definition.library.function)
    return [*definition.node, *(node for nodes in functions for node in nodes)]
