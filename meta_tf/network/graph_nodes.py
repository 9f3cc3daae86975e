"""The operations of a graph, and of the functions that it calls."""

from __future__ import annotations

from typing import Any

_KEPT_APART = (
    "Conv",
    "DepthwiseConv",
    "While",
    "StatelessWhile",
    "MaxPool",
    "AvgPool",
    "TensorList",
)


def graph_nodes(definition: Any) -> list[Any]:
    """All nodes of a `GraphDef`: its own, and those of the functions in its library."""
    functions = (function.node_def for function in definition.library.function)
    return [*definition.node, *(node for nodes in functions for node in nodes)]


def operations(graph: Any) -> set[str]:
    """The types of all operations in a graph and in the functions that it calls."""
    return {node.op for node in graph_nodes(graph.as_graph_def())}


def keep_tasks_apart(operations: set[str]) -> bool:
    """Whether some of these operations are loops, or cannot take the weights of many tasks."""
    return any(op.startswith(_KEPT_APART) for op in operations)
