"""Figures of predictions, learning curves and comparisons. Needs matplotlib.

Each function returns a `matplotlib.figure.Figure` without a window or global state:
`figure.savefig("fit.png")`.
"""

try:
    import matplotlib.figure  # noqa: F401
except ImportError as error:
    raise ImportError(
        "meta_tf.plots needs matplotlib. Install it with: pip install matplotlib"
    ) from error

from meta_tf.plots.comparison import compare
from meta_tf.plots.curves import inner_steps, learning_curve
from meta_tf.plots.image_tasks import images
from meta_tf.plots.named_pictures import named_pictures
from meta_tf.plots.regression_tasks import regression

__all__ = ["compare", "images", "inner_steps", "learning_curve", "named_pictures", "regression"]
