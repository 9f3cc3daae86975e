"""Which classes of pictures a run has seen, so that they are not evaluated as new ones."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from meta_tf.checks import few
from meta_tf.run.checkpoints import LEARNER, run_of
from meta_tf.tasks import ImageFolder
from meta_tf.tasks.images.picture_files import shown_name

SEEN = "seen_classes"  # in the settings of a run's files
_TURNED = re.compile(r"/turned\d+$")


def seen_in(tasks: Any) -> set[str]:
    """The names of the training and validation classes of a folder; none for other tasks."""
    if not isinstance(tasks, ImageFolder):
        return set()
    return {own_name(name) for split in (tasks.train, tasks.valid) for name in split.classes}


def seen_by(learner: str | Path) -> set[str]:
    """The classes that the run of a `.keras` file, or of a folder, has seen, as far as is known."""
    path = Path(learner).expanduser()
    settings = run_of(path / LEARNER if path.is_dir() else path).get("settings", {})
    return set(json.loads(settings.get(SEEN, "[]")))


def as_setting(seen: Collection[str]) -> dict[str, str]:
    """What a run's files store, for `seen_by`."""
    return {SEEN: json.dumps(sorted(seen))} if seen else {}


def check_unseen(seen: Collection[str], tasks: Any) -> None:
    """Raises ValueError if a test class was seen before, as its folder has changed."""
    names = tasks.test.classes if isinstance(tasks, ImageFolder) else []
    if again := [name for name in names if own_name(name) in seen]:
        raise ValueError(
            "--data_dir must hold the classes of the run that continues. Received: a folder that "
            f"has changed, so that its split tests classes that the run has seen: {few(again)}. "
            "Restore the folder, or start again with --restart or in another --workdir."
        )


def own_name(name: str) -> str:
    """The name of a class without the folder of its split and without its rotation.

    It is the same on every system; see `shown_name`.
    """
    return shown_name(_TURNED.sub("", name).rpartition("/")[2])
