"""Draws `compare`'s results: one panel per work, one bar per contender."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

COLUMNS = 3


def draw(works: dict, path: Path) -> None:
    """Writes a PNG of tasks per second; larger is better."""
    rows = -(-len(works) // COLUMNS)
    figure, axes = plt.subplots(rows, COLUMNS, figsize=(15, 2.8 * rows), squeeze=False)
    for ax in axes.flat[len(works) :]:
        ax.axis("off")
    for ax, (name, measured) in zip(axes.flat, works.items(), strict=False):
        _panel(ax, name, measured)
    figure.supxlabel("tasks per second")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)
    print(f"Drawn in {path}.")


def _panel(ax: Axes, name: str, measured: dict[str, dict]) -> None:
    names = list(measured)[::-1]
    rates = [measured[n].get("rate", 0.0) for n in names]
    colors = ["tab:orange" if n.startswith("meta_tf") else "tab:blue" for n in names]
    bars = ax.barh(names, rates, color=colors)
    labels = [
        f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}" if rate else "too slow" for rate in rates
    ]
    ax.bar_label(bars, labels, padding=3, fontsize=8)
    ax.set_title(name.replace("_", " "), fontsize=10)
    ax.tick_params(labelsize=8)
    ax.set_xlim(0, 1.2 * max(*rates, 1e-9))
