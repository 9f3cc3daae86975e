"""Pictures of short sounds: log-mel spectrograms, from samples, in NumPy."""

from __future__ import annotations

import math

import numpy as np

RATE = 8000  # as for telephones: higher frequencies would identify a package's recordings
BANDS = 40
COLUMNS = 40  # 20 ms each: 0.8 s of sound
_WINDOW, _HOP, _TRANSFORM = 200, 80, 512  # 25 ms and 10 ms
_HOPS = 2  # each column is the mean of this number of windows
_LOWEST, _HIGHEST = 100.0, 3600.0  # in hertz: the filters of telephones begin above
_LOUD, _QUIET = 10.0, 35.0  # decibels below the loudest: always sound, always silence
_BESIDE = 2  # windows on each side that count for the loudness of one
_AROUND = np.full(2 * _BESIDE + 1, 1 / (2 * _BESIDE + 1))
_RANGE = 60.0  # decibels between black and white
_LEAST = 20  # windows of sound, 0.2 s
_LEAST_PEAK = 0.01  # of full scale


def at_rate(samples: np.ndarray, rate: int, speed: float = 1.0) -> np.ndarray:
    """One channel at 8 kHz, low-passed: [n] from samples [m] or [m, channels].

    Args:
      samples: the samples of a sound file.
      rate: its samples per second.
      speed: the factor of its speed, which also raises its pitch.
    """
    from scipy.signal import resample_poly

    mono = samples if samples.ndim == 1 else samples.mean(1)
    up, down = RATE, round(rate * speed)
    common = math.gcd(up, down)
    return mono if up == down else resample_poly(mono, up // common, down // common)


def pictures(samples: np.ndarray, centred: bool = False) -> list[np.ndarray]:
    """Spectrograms of 0.8 s of sound each, [40 bands, 40 columns] uint8, low tones at the bottom.

    The rest at the end becomes a picture if it is at least half as long, or if it is all there is;
    it is repeated to fill 0.8 s. White is the loudest of a picture, black 60 decibels less.

    Args:
      samples: at 8 kHz. Silence is removed.
      centred: whether to make each band's mean over the picture grey.
    """
    powers = audible(samples)
    windows = COLUMNS * _HOPS
    found = []
    for first in range(0, len(powers), windows):
        piece = powers[first : first + windows]
        if len(piece) >= (windows // 2 if first else _LEAST):
            whole = piece[np.arange(windows) % len(piece)]
            found.append(_picture(whole.reshape(COLUMNS, _HOPS, BANDS).mean(1).T, centred))
    return found


def audible(samples: np.ndarray) -> np.ndarray:
    """The mel powers of the windows with sound, [windows, 40].

    A window is sound if its level, averaged over 50 ms, is nearer in decibels to the loudest than
    to the quietest window, so a recording's hiss counts as silence. A level up to 10 decibels below
    the loudest is always sound, one more than 35 below never.
    """
    powers = mel_powers(samples)
    if not len(powers) or np.abs(samples).max() < _LEAST_PEAK:
        return powers[:0]
    power = np.convolve(np.pad(powers.sum(1), _BESIDE, mode="edge"), _AROUND, mode="valid")
    level = 10 * np.log10(power + 1e-30)
    halfway = (level.max() - level.min()) / 2
    return powers[level >= level.max() - np.clip(halfway, _LOUD, _QUIET)]


def mel_powers(samples: np.ndarray) -> np.ndarray:
    """The power in each mel band of each window, [windows, 40]."""
    if len(samples) < _WINDOW:
        return np.empty([0, BANDS])
    windows = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW)[::_HOP]
    spectra = np.fft.rfft(windows * np.hanning(_WINDOW), _TRANSFORM)
    return np.abs(spectra) ** 2 @ _bands().T


def band_edges() -> np.ndarray:
    """The edges of the bands in hertz: 42, equally spaced in mel.

    m = 2595 log₁₀(1 + f / 700); band b begins at edge b, peaks at b + 1, ends at b + 2.
    """
    ends = 2595 * np.log10(1 + np.array([_LOWEST, _HIGHEST]) / 700)
    return 700 * (10 ** (np.linspace(*ends, BANDS + 2) / 2595) - 1)


def _bands() -> np.ndarray:
    """Triangular filters, [40, frequencies]."""
    edges = band_edges()[:, np.newaxis]
    frequencies = np.arange(_TRANSFORM // 2 + 1) * RATE / _TRANSFORM
    rising = (frequencies - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - frequencies) / (edges[2:] - edges[1:-1])
    return np.clip(np.minimum(rising, falling), 0, None)


def _picture(powers: np.ndarray, centred: bool) -> np.ndarray:
    decibels = 10 * np.log10(np.maximum(powers, 1e-30))
    decibels = np.maximum(decibels - decibels.max(), -_RANGE)
    share = 1 + decibels / _RANGE
    if centred:
        share = np.clip(share - share.mean(1, keepdims=True) + 0.5, 0, 1)
    return np.round(255 * share[::-1]).astype(np.uint8)
