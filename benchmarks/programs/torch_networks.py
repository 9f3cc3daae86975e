"""The networks in PyTorch, as pure functions of a list of weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.harness.workloads import HEADS, NORM_EPSILON, Work, initial_weights

# PyTorch 2.13's own normalisations are faster, but `grad` around `vmap` gets their second
# derivatives wrong by 1e-3; with explicit formulas they are correct.
WRITTEN_NORM = False
_Weights = Sequence[torch.Tensor]


def network(work: Work, written_norm: bool = False) -> Callable[..., torch.Tensor]:
    """The function (weights, x [B, ...]) -> outputs [B, ...]."""
    global WRITTEN_NORM
    WRITTEN_NORM = written_norm
    return {
        "mlp": mlp,
        "conv4": conv4_stride,
        "conv4_pool": conv4_pool,
        "lstm": lstm,
        "transformer": transformer,
    }[work.network]


def loss(work: Work) -> Callable[..., torch.Tensor]:
    """The function (outputs, targets) -> mean loss."""
    return F.mse_loss if work.network == "mlp" else F.cross_entropy


def mlp(w: _Weights, x: torch.Tensor) -> torch.Tensor:
    x = torch.relu(F.linear(x, w[0], w[1]))
    x = torch.relu(F.linear(x, w[2], w[3]))
    return F.linear(x, w[4], w[5])


def conv4_stride(w: _Weights, x: torch.Tensor) -> torch.Tensor:
    for i in range(0, 12, 3):
        x = torch.relu(_batch_norm(F.conv2d(x, w[i], stride=2, padding=1), w[i + 1], w[i + 2]))
    return F.linear(x.mean((2, 3)), w[12], w[13])


def conv4_pool(w: _Weights, x: torch.Tensor) -> torch.Tensor:
    for i in range(0, 12, 3):
        x = torch.relu(_batch_norm(F.conv2d(x, w[i], padding=1), w[i + 1], w[i + 2]))
        x = F.max_pool2d(x, 2)
    return F.linear(x.flatten(1), w[12], w[13])


def lstm(w: _Weights, x: torch.Tensor) -> torch.Tensor:
    # Projects all inputs at once; fused LSTMs have no second derivative.
    inputs = F.linear(x, w[0], w[2]).unbind(1)
    h = c = torch.zeros_like(inputs[0].chunk(4, -1)[0])
    for now in inputs:
        i, f, g, o = (now + F.linear(h, w[1])).chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
    return F.linear(h, w[3], w[4])


def transformer(w: _Weights, x: torch.Tensor) -> torch.Tensor:
    x = F.linear(x, w[0], w[1])
    x = _layer_norm(x + _attention(w[2:10], x), w[10], w[11])
    x = _layer_norm(x + F.linear(torch.relu(F.linear(x, w[12], w[13])), w[14], w[15]), w[16], w[17])
    return F.linear(x.mean(1), w[18], w[19])


def _attention(w: _Weights, x: torch.Tensor) -> torch.Tensor:
    # Explicit formulas, because the fused kernels have no second derivative.
    q, k, v = (
        F.linear(x, w[i], w[i + 1]).unflatten(-1, (HEADS, -1)).transpose(1, 2) for i in (0, 2, 4)
    )
    scores = (q @ k.transpose(-1, -2)) * q.shape[-1] ** -0.5
    mixed = (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
    return F.linear(mixed, w[6], w[7])


def _batch_norm(x: torch.Tensor, gamma: torch.Tensor, beta: torch.Tensor) -> torch.Tensor:
    if WRITTEN_NORM:
        return _normalized(x, (0, 2, 3)) * gamma[:, None, None] + beta[:, None, None]
    return F.batch_norm(x, None, None, gamma, beta, training=True, eps=NORM_EPSILON)


def _layer_norm(x: torch.Tensor, gamma: torch.Tensor, beta: torch.Tensor) -> torch.Tensor:
    if WRITTEN_NORM:
        return _normalized(x, (-1,)) * gamma + beta
    return F.layer_norm(x, x.shape[-1:], gamma, beta, eps=NORM_EPSILON)


def _normalized(x: torch.Tensor, axes: tuple[int, ...]) -> torch.Tensor:
    deviation = x - x.mean(axes, keepdim=True)
    return deviation * torch.rsqrt(deviation.square().mean(axes, keepdim=True) + NORM_EPSILON)


def weights_to_torch(work: Work, weights: list[np.ndarray]) -> list[torch.Tensor]:
    """Keras's weights in PyTorch's layout: kernels [outputs, inputs, ...]."""
    return [torch.tensor(np.ascontiguousarray(_turned(work, i, w))) for i, w in enumerate(weights)]


def weights_to_keras(work: Work, tensors: _Weights) -> list[np.ndarray]:
    """The inverse, for gradients."""
    shapes = [w.shape for w in initial_weights(work)]
    return [
        _turned_back(work, i, t.detach().numpy(), shape)
        for i, (t, shape) in enumerate(zip(tensors, shapes, strict=True))
    ]


def tasks_to_torch(work: Work, tasks: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """Images as [T, B, channels, height, width]; labels as int64."""
    converted = {}
    for name, value in tasks.items():
        if work.network.startswith("conv4") and name.endswith("_x"):
            value = np.moveaxis(_mirrored(work, value, (2, 3)), -1, 2)
        tensor = torch.tensor(np.ascontiguousarray(value))
        converted[name] = tensor if tensor.is_floating_point() else tensor.long()
    return converted


def _mirrored(work: Work, value: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    # With a stride of 2, "same" padding adds a row at the end in Keras, and at the start in
    # PyTorch. Mirrored images and kernels make the two equal, at no cost.
    return np.flip(value, axes) if work.network == "conv4" else value


def _is_output(work: Work, i: int) -> bool:
    return work.network == "transformer" and i == 8


def _turned(work: Work, i: int, w: np.ndarray) -> np.ndarray:
    if w.ndim == 4:
        return np.transpose(_mirrored(work, w, (0, 1)), (3, 2, 0, 1))
    if w.ndim == 3:  # attention, [inputs, heads, key] or [heads, key, outputs]
        flat = w.reshape(-1, w.shape[-1]) if _is_output(work, i) else w.reshape(w.shape[0], -1)
        return flat.T
    return w.T if w.ndim == 2 and not _is_attention_bias(work, i) else w.reshape(-1)


def _turned_back(work: Work, i: int, w: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if len(shape) == 4:
        return _mirrored(work, np.transpose(w, (2, 3, 1, 0)), (0, 1))
    if len(shape) == 3 or (len(shape) == 2 and not _is_attention_bias(work, i)):
        return w.T.reshape(shape)
    return w.reshape(shape)


def _is_attention_bias(work: Work, i: int) -> bool:
    return work.network == "transformer" and i in (3, 5, 7)
