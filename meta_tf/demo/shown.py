"""`Shown`: a learner on the page."""

from __future__ import annotations

from typing import Any, NamedTuple

from meta_tf.learner import MetaLearner
from meta_tf.zoo import TrainedOn


class Shown(NamedTuple):
    """A learner of drawings or of photographs, and its name on the page.

    `trained_on`: the data set of a shipped learner of drawings; None for another one. The page
    makes drawings look like that data set, or like Omniglot if None.
    """

    learner: MetaLearner
    name: str
    trained_on: TrainedOn | None = None

    @property
    def pictures(self) -> tuple[int | None, ...] | None:
        """The shape of the pictures that its model takes, [height, width, channels], or None."""
        shape = getattr(self.learner.model, "input_shape", None)
        return shape[1:] if isinstance(shape, tuple) and len(shape) == 4 else None

    @property
    def calibration(self) -> dict[str, Any] | None:
        """What `calibration.js` needs of the learner's calibration; None without any."""
        calibration = self.learner.calibration
        if calibration is None:
            return None
        return {
            "temperature": calibration.temperature_formula(),
            "thresholds": calibration.get_config()["thresholds"],
            "spread": calibration.spread,
        }

    @property
    def takes(self) -> str:
        """What its model takes, for errors."""
        return f"{self.name}, whose model takes {getattr(self.learner.model, 'input_shape', None)}"
