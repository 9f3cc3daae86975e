"""The shared style of the figures: colours, axes, and names of units."""

from __future__ import annotations

import functools
import textwrap
from typing import Any

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito's colours, which colour-blind people can distinguish.
BLUE, RED, GREEN, ORANGE, GREY = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#767676"
_DISTINCT = (
    *(BLUE, RED, GREEN, ORANGE, "#CC79A7", "#56B4E9", "black"),
    *("#882255", "#8A8A00", "#4B3BB5", "#8C564B", "#66B84C", "#E31A1C", "#00A5B5"),
)
INTERVAL = "95 % confidence interval"
# Fonts with Chinese, Japanese and Korean letters, which matplotlib's own lacks.
_MORE_LETTERS = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei"),
    *("PingFang SC", "Hiragino Sans GB", "Microsoft YaHei", "SimHei", "Arial Unicode MS"),
)
_LETTERS_PER_INCH = 10.5  # at font size 11


def colours(count: int) -> list[Any]:
    """Returns `count` different colours."""
    if count <= len(_DISTINCT):
        return list(_DISTINCT[:count])
    # From the whole rainbow, darkened for a white background; neighbours in the list differ a lot.
    around = 0.85 * matplotlib.colormaps["turbo"](np.linspace(0.03, 0.97, count))[:, :3]
    half = -(-count // 2)
    return [tuple(around[i // 2 + half * (i % 2)]) for i in range(count)]


def band(
    axes: Axes, x: np.ndarray, mean: np.ndarray, half: np.ndarray, colour: Any, alpha: float = 0.2
) -> None:
    """Draws an interval around a curve: a band, or a bar if the curve is a single point."""
    if len(x) > 1:
        axes.fill_between(
            x, mean - half, mean + half, color=colour, alpha=alpha, lw=0, label=INTERVAL
        )
    else:
        axes.errorbar(x, mean, half, color=colour, capsize=4, label=INTERVAL)


def tidy(
    axes: Axes, x_label: str, y_label: str | None, title: str | None, inches: float = 6.0
) -> None:
    """Labels axes that are `inches` wide, and removes distracting lines."""
    axes.set_xlabel(x_label)
    if y_label:
        axes.set_ylabel(y_label)
    if title:
        axes.set_title(wrapped(title, inches), fontsize=11, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)


def picture(axes: Axes, pixels: np.ndarray, white: int, colour: str) -> None:
    """Shows pixels [height, width] or [height, width, 1 or 3], 0 to `white`, in a frame."""
    pixels = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=white)
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(color=colour, linewidth=2)


def of_user() -> dict[str, Any]:
    """How to write a name that the user chose: in fonts that have its letters, not as a formula."""
    return {
        "parse_math": False,
        "fontfamily": [*matplotlib.rcParams["font.family"], *_more_fonts()],
    }


@functools.cache
def _more_fonts() -> list[str]:
    known = set(font_manager.get_font_names())
    return [font for font in _MORE_LETTERS if font in known]


def headline(figure: Figure, title: str) -> None:
    """Puts a title over the whole figure."""
    figure.suptitle(wrapped(title, figure.get_figwidth()), fontsize=11)


def wrapped(text: str, inches: float) -> str:
    """Wraps each line of a text at a width in inches."""
    width = max(12, int(_LETTERS_PER_INCH * inches))
    return "\n".join(textwrap.fill(line, width) for line in text.split("\n"))


def unit_of(metric: str) -> tuple[float, str]:
    """The factor to multiply a metric by for display, and its name with the unit."""
    named = {"accuracy": (100.0, "accuracy in %"), "mse": (1.0, "mean squared error")}
    return named.get(metric, (1.0, metric))
