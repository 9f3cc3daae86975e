"""Random linear systems and their records, in NumPy alone.

A system has four poles, two pairs of a radius of 0.3 to 0.95, and random residues. Its input is
white noise and known; its output has a variance of 1 and is measured with noise. What is to be
predicted is the next measured output, from the last `LAGS` measured outputs and inputs.
"""

from __future__ import annotations

import dataclasses

import numpy as np

RECORD, NEXT = 400, 100  # measured samples to learn from, and those that follow
LAGS = 30
_MEMORY = 250  # samples after which 0.95^n is below 1e-5


@dataclasses.dataclass(frozen=True)
class Machines:
    """Draws a machine: its record is the support set, and the next outputs are the queries.

    Args:
      noise: the standard deviation of the measurements' noise.
    """

    noise: float

    def __call__(self, seed: np.ndarray) -> tuple[np.ndarray, ...]:
        rng = np.random.default_rng(seed)
        length = LAGS + RECORD + NEXT
        u = rng.normal(size=_MEMORY + length)
        response = impulse_response(rng)
        y = np.convolve(u[:-1], response, "valid")[-length:] + self.noise * rng.normal(size=length)
        x, target = windows(u[-length:], y, LAGS)
        return x[:RECORD], target[:RECORD], x[RECORD:], target[RECORD:]


def impulse_response(rng: np.random.Generator) -> np.ndarray:
    """A random system's response h₁, h₂ … to an input of 1 one sample ago, with Σ h² = 1."""
    radius, angle = rng.uniform(0.3, 0.95, 2), rng.uniform(0.0, np.pi, 2)
    residues = rng.normal(size=2) + 1j * rng.normal(size=2)
    poles = radius * np.exp(1j * angle)
    response = np.real(residues @ poles[:, None] ** np.arange(_MEMORY))
    return response / np.sqrt(np.sum(response**2))


def windows(u: np.ndarray, y: np.ndarray, lags: int) -> tuple[np.ndarray, np.ndarray]:
    """A record [n] as examples: the last outputs and inputs, newest first, and the next output.

    Returns:
      [n - lags, 2 lags] and [n - lags, 1].
    """
    past = [np.lib.stride_tricks.sliding_window_view(s[:-1], lags)[:, ::-1] for s in (y, u)]
    return np.concatenate(past, 1), y[lags:, None]
