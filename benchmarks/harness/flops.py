"""Floating-point operations of a MAML step of conv4, derived and counted.

Derivation, for one task. Let F_l be the cost of convolution l on one set (a multiplication
and an addition for each weight at each output). The same layer has *two* backward products,
with respect to its weights and to its input, at a cost of F_l each. The first layer needs no
gradient with respect to its input, the image.

    an inner step, forward and back      3 F_l     first layer 2 F_1
    the query set, forward and back      3 F_l     first layer 2 F_1
    back through one inner step          6 F_l     first layer 2 F_1

The last row is one Hessian-vector product. The backward pass has two products for each of the
product for the weights' gradient, the product for the input's gradient, and the forward product.
In the first layer, one product remains of the first pair, none of the second, one of the third.
So a task with k inner steps costs

    k (9 F_l(S) + 3 F_l(Q)/k)   and   k 4 F_1(S) + 2 F_1(Q)   for the first layer.

The dense head counts like a layer l > 1. Other operations (normalisation, ReLU, means) take time
but are not counted, so the fraction of the peak is a lower bound.
"""

from __future__ import annotations

import math
from typing import Any

from benchmarks.harness.workloads import Work

CHANNELS = 64


def derived(work: Work) -> float:
    """Operations of one outer step by the derivation above."""
    k = work.inner_steps
    first, *others = _products(work)
    task = k * 4 * first * work.support_size + 2 * first * work.query_size
    for each in others:
        task += k * 9 * each * work.support_size + 3 * each * work.query_size
    return float(task * work.tasks)


def _products(work: Work) -> list[int]:
    """The cost of each layer's product for one image."""
    size, inputs, costs = work.size, 1, []
    for _ in range(4):
        outputs = size if work.network == "conv4_pool" else -(-size // 2)
        costs.append(2 * outputs**2 * 9 * inputs * CHANNELS)
        size = size // 2 if work.network == "conv4_pool" else outputs
        inputs = CHANNELS
    return [*costs, 2 * CHANNELS * work.ways]


_COUNTED = ("Conv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter", "MatMul")


def counted(graph: Any) -> float:
    """Operations of the products in a `tf.Graph` that its outputs depend on.

    Every size must be static, and the graph must not have loops.
    """
    return float(sum(_operation(op) for op in _needed(graph)))


def _needed(graph: Any) -> set[Any]:
    """The operations that the outputs depend on; others never run."""
    found, stack = set(), [t.op for t in graph.outputs]
    while stack:
        op = stack.pop()
        if op not in found:
            found.add(op)
            stack += [t.op for t in op.inputs] + list(op.control_inputs)
    return found


def _operation(op: Any) -> int:
    if op.type in ("While", "StatelessWhile"):
        raise ValueError("A graph with loops cannot be counted.")
    if op.type not in _COUNTED:  # some, such as fused normalisation, have inputs of unknown rank
        return 0
    shape = [tuple(t.shape) for t in op.inputs]
    out = tuple(op.outputs[0].shape)
    if op.type == "Conv2D":
        return 2 * math.prod(out) * math.prod(shape[1][:3])
    if op.type == "Conv2DBackpropInput":  # sizes, filter, gradient of the output
        return 2 * math.prod(shape[2]) * math.prod(shape[1][:3])
    if op.type == "Conv2DBackpropFilter":  # input, sizes, gradient of the output
        return 2 * math.prod(shape[2]) * math.prod(out[:3])
    inner = shape[0][0] if op.get_attr("transpose_a") else shape[0][1]
    return 2 * math.prod(out) * inner
