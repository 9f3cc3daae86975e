"""Systems of linear equations: small ones unrolled row by row, those of unknown size iterated."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from meta_tf.export.lowering.rules import known_shape, refuse, rule
from meta_tf.types import Tensor

_MOST_ROWS = 64  # every row adds a few operations
_ITERATIONS = 24  # enough for a condition number of a million


@rule("Cholesky")
def cholesky(op: tf.Operation, a: Tensor) -> list[Any]:
    """L with A = L Lᵀ: column by column, each divided by the root of its pivot.

    Of an unknown size, A itself, if all that follows is the solution of A X = B.
    """
    if None in a.shape.as_list():
        if not all(_solves_with(user, op) for user in op.outputs[0].consumers()):
            known_shape(op, a)  # refuses it
        return [a]
    rows = _rows(op, a)
    columns, rest = [], a
    for k in range(rows):
        below = (np.arange(rows)[:, None] >= k).astype("float32")
        column = rest[:, k : k + 1] * tf.math.rsqrt(rest[k : k + 1, k : k + 1]) * below
        columns.append(column)
        rest = rest - tf.matmul(column, column, transpose_b=True)
    return [tf.concat(columns, 1)]


@rule("MatrixTriangularSolve")
def triangular_solve(op: tf.Operation, triangle: Tensor, b: Tensor) -> list[Any]:
    """X with A X = B or Aᵀ X = B, for a triangular A, row by row.

    The first of the two solutions that follow a Cholesky decomposition of unknown size is that
    of the whole system, and the second passes it on.
    """
    if op.inputs[0].op.type == "Cholesky" and None in triangle.shape.as_list():
        return [b if op.get_attr("adjoint") else _solution(triangle, b)]
    rows = _rows(op, triangle)
    if op.get_attr("adjoint"):
        triangle = tf.transpose(triangle)
    lower = op.get_attr("lower") != op.get_attr("adjoint")
    solved: dict[int, Tensor] = {}
    for k in range(rows) if lower else reversed(range(rows)):
        row = b[k : k + 1]
        known = slice(0, k) if lower else slice(k + 1, rows)
        if solved:
            before = tf.concat([solved[j] for j in sorted(solved)], 0)
            row = row - tf.matmul(triangle[k : k + 1, known], before)
        solved[k] = row / triangle[k : k + 1, k : k + 1]
    return [tf.concat([solved[k] for k in range(rows)], 0)]


def _solves_with(op: tf.Operation, decomposition: tf.Operation) -> bool:
    """Whether an operation is one of the two by which `tf.linalg.cholesky_solve` solves."""
    if op.type != "MatrixTriangularSolve" or op.inputs[0].op is not decomposition:
        return False
    if op.get_attr("adjoint"):  # the second one, of the result of the first
        before = op.inputs[1].op
        return before.type == op.type and not before.get_attr("adjoint")
    return all(_solves_with(user, decomposition) for user in op.outputs[0].consumers())


def _solution(a: Tensor, b: Tensor) -> Tensor:
    """X with A X = B for a symmetric positive definite A, by Newton's iteration for A⁻¹.

        V_0 = I / max_i Σ_j |a_ij|,   V_{k+1} = V_k (2 I - A V_k)

    converges for such an A, and squares its error in each iteration. X = V B is then corrected
    by its residual, X + V (B - A X), which removes most of the rounding error.
    """
    numbers = tf.range(tf.shape(a)[0])
    identity = tf.cast(tf.equal(numbers[:, tf.newaxis], numbers), a.dtype)
    inverse = identity / tf.reduce_max(tf.reduce_sum(tf.abs(a), 1))
    for _ in range(_ITERATIONS):
        inverse = 2 * inverse - tf.matmul(inverse, tf.matmul(a, inverse))
    x = tf.matmul(inverse, b)
    return x + tf.matmul(inverse, b - tf.matmul(a, x))


def _rows(op: tf.Operation, matrix: Tensor) -> int:
    shape = known_shape(op, matrix)
    if len(shape) != 2 or shape[0] > _MOST_ROWS:
        refuse(op, f"its matrix has shape {shape}; at most {_MOST_ROWS} rows are supported.")
    return shape[0]
