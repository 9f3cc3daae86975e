"""What the figures have in common: colours, axes, and how they name things."""

from __future__ import annotations

# Okabe and Ito's colours, which colour-blind people can tell apart.
BLUE, RED, GREEN, ORANGE, GREY = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#767676"
INTERVAL = "95 % confidence interval"


def band(axes, x, mean, half, colour, alpha=0.2):
    """Draws an interval around a curve."""
    low, high = mean - half, mean + half
    axes.fill_between(x, low, high, color=colour, alpha=alpha, lw=0, label=INTERVAL)


def tidy(axes, x_label, y_label, title):
    """Labels the axes, and takes away what only distracts."""
    axes.set_xlabel(x_label)
    if y_label:
        axes.set_ylabel(y_label)
    if title:
        axes.set_title(title, fontsize=11, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)


def unit_of(metric):
    """The factor that a metric is shown with, and its name with the unit."""
    named = {"accuracy": (100, "accuracy in %"), "mse": (1, "mean squared error")}
    return named.get(metric, (1, metric))


def kind_of(evaluation):
    """What the tasks of an evaluation are called."""
    shots = f"{evaluation.shots}-shot"
    return shots if evaluation.ways is None else f"{evaluation.ways}-way {shots}"
