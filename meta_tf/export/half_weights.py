"""Stores the weights of a LiteRT file in float16.

LiteRT's converter can do this too, but it also rounds single numbers, which saves no bytes: a λ of
0.1 changes in its fourth digit, and a limit of 1e12 becomes 65504.
"""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

_FEW = 64  # numbers; fewer stay as they are
_ROUNDING = 2.0**-11  # of a number
_IDENTIFIER = b"TFL3"
_DEQUANTIZE = schema.BuiltinOperator.DEQUANTIZE
_VERSION = 3  # of that operation, the first to read float16


def with_half_weights(content: bytes) -> bytes:
    """The same LiteRT file with float16 in place of its float32 constants of many numbers.

    An operation after each turns it into float32 again. LiteRT runs it once, when it loads the
    file. Constants of which float16 loses more than rounding does stay as they are: numbers beyond
    65504, its largest, or near its smallest: all of them, or one of a vector, such as the scale of
    a large input.
    """
    model = schema.ModelT.InitFromPackedBuf(content)
    model.operatorCodes.append(
        schema.OperatorCodeT(_DEQUANTIZE, version=_VERSION, builtinCode=_DEQUANTIZE)
    )
    halves: dict[int, int] = {}  # the buffer in float16, for one in float32
    for graph in model.subgraphs:
        for number, tensor in enumerate(list(graph.tensors)):
            old = tensor.buffer
            if old not in halves:
                half = _in_half(model, tensor)
                if half is None:
                    continue
                halves[old] = len(model.buffers)
                model.buffers.append(schema.BufferT(half.view(np.uint8)))
            stored = schema.TensorT(
                tensor.shape, schema.TensorType.FLOAT16, halves[old], b"half", hasRank=True
            )
            graph.tensors.append(stored)
            tensor.buffer = 0  # empty: computed
            convert = schema.OperatorT(
                len(model.operatorCodes) - 1, inputs=[len(graph.tensors) - 1], outputs=[number]
            )
            graph.operators.insert(0, convert)
    for old in halves:
        model.buffers[old].data = None
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    return bytes(builder.Output())


def _in_half(model: Any, tensor: Any) -> np.ndarray | None:
    """The numbers of a constant in float16; None if it stays as it is."""
    data = model.buffers[tensor.buffer].data
    if tensor.type != schema.TensorType.FLOAT32 or data is None or len(data) < 4 * _FEW:
        return None
    numbers = np.ascontiguousarray(data).view(np.float32)
    with np.errstate(over="ignore"):
        half = numbers.astype(np.float16)
    # A vector can hold the scale of each input; among the numbers of a sum, the largest decide.
    each = max(tensor.shape) == numbers.size
    sizes = np.abs(numbers) if each else np.abs(numbers).max()
    return half if (np.abs(half - numbers) <= _ROUNDING * sizes).all() else None
