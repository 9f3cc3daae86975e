"""Task sources, which produce episodes.

A source has the splits `train`, `valid` and `test`. A split gives endless batches of tasks:
`batches(tasks, seed, start)`. Each episode depends only on the seed and its number.
"""

from __future__ import annotations

from meta_tf.tasks.arrays import from_arrays
from meta_tf.tasks.class_split import ClassSplit
from meta_tf.tasks.function import from_function
from meta_tf.tasks.group_split import GroupSplit
from meta_tf.tasks.groups import from_groups
from meta_tf.tasks.hidden_teacher import HiddenTeacher
from meta_tf.tasks.images.image_folder import ImageFolder
from meta_tf.tasks.images.omniglot import Omniglot
from meta_tf.tasks.pairs import from_pairs
from meta_tf.tasks.sinusoid import Sinusoid
from meta_tf.tasks.source import Source
from meta_tf.tasks.split import Split
from meta_tf.tasks.table import from_table

__all__ = [
    "ClassSplit",
    "GroupSplit",
    "HiddenTeacher",
    "ImageFolder",
    "Omniglot",
    "Sinusoid",
    "Source",
    "Split",
    "from_arrays",
    "from_function",
    "from_groups",
    "from_pairs",
    "from_table",
]
