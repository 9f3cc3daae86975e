"""Small systems of linear equations, unrolled row by row."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from meta_tf.export.lowering.rules import known_shape, refuse, rule
from meta_tf.types import Tensor

_MOST_ROWS = 64  # every row adds a few operations


@rule("Cholesky")
def cholesky(op: tf.Operation, a: Tensor) -> list[Any]:
    """L with A = L Lᵀ: column by column, each divided by the root of its pivot."""
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
    """X with A X = B or Aᵀ X = B, for a triangular A, row by row."""
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


def _rows(op: tf.Operation, matrix: Tensor) -> int:
    shape = known_shape(op, matrix)
    if len(shape) != 2 or shape[0] > _MOST_ROWS:
        refuse(op, f"its matrix has shape {shape}; at most {_MOST_ROWS} rows are supported.")
    return shape[0]
