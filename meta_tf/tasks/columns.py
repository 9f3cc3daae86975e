"""`Columns`: what a learner of a table knows of its columns, and new rows as numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from meta_tf.checks import few
from meta_tf.layers.table_columns import MISSING
from meta_tf.tasks.column import Column
from meta_tf.tasks.read_table import read_table


@dataclasses.dataclass(frozen=True)
class Columns:
    """The columns of a table that a learner was trained on.

    Attributes:
      features: the names of the columns to predict from, in their order.
      categories: for each column of texts, its different texts; the number of a text is its place.
      gaps: the columns of numbers that had gaps.
      target: the column to predict.
      classes: the names of its classes, in the order of their numbers; none for numbers.
      group: the column with the group of each row.
    """

    features: tuple[str, ...]
    categories: dict[str, tuple[str, ...]]
    gaps: tuple[str, ...]
    target: str
    classes: tuple[str, ...]
    group: str

    @classmethod
    def of(cls, config: dict[str, Any]) -> Columns:
        """The columns from what a file holds, where tuples are lists."""
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in config.items()
        }
        texts = {name: tuple(names) for name, names in config["categories"].items()}
        return cls(**{**given, "categories": texts})

    @property
    def width(self) -> int:
        """The number of inputs of a network: one for a number, and for each category and gap."""
        of_texts = sum(map(len, self.categories.values()))
        return len(self.features) - len(self.categories) + len(self.gaps) + of_texts

    def described(self) -> dict[str, Any]:
        """What a user of an export needs to make rows: these attributes, and the number of gaps."""
        return {**dataclasses.asdict(self), "missing": MISSING}

    def rows(self, data: Any) -> np.ndarray:
        """Rows of a table as a learner takes them, float32 [n, F].

        A text becomes the number of its category, or -1 if it is unknown; a gap becomes
        `meta_tf.layers.table_columns.MISSING`, the lowest number in float32. `data` is as in
        `from_table`. Raises ValueError if a column is missing or holds another kind of values.
        """
        table = read_table(data)
        check_present(table, self.features)
        made = [
            Column(table, name).coded(self.categories[name])
            if name in self.categories
            else np.nan_to_num(Column(table, name).in_float32(), nan=MISSING)
            for name in self.features
        ]
        return np.stack(made, 1).astype(np.float32)

    def print_news(self, data: Any) -> None:
        """Prints a line for unknown texts of a column, and for gaps where training had none.

        `data` is as in `from_table`.
        """
        table = read_table(data)
        for name in (name for name in self.features if name in table.columns):
            column, known = Column(table, name), self.categories.get(name)
            if known is not None:
                unknown = column.stored[column.coded(known) == -1].astype(str)
                if len(unknown):
                    print(
                        f"{name!r} has texts that training did not have, in {len(unknown)} of "
                        f"{len(table)} rows: {few(sorted(set(unknown)))}. They count as none of "
                        "its categories.",
                        flush=True,
                    )
            elif name not in self.gaps and (empty := int(column.stored.isna().sum())):
                print(
                    f"{name!r} is empty in {empty} of {len(table)} rows, and never was in "
                    "training: the mean of training takes the place of these.",
                    flush=True,
                )

    def targets(self, data: Any) -> Any:
        """The targets of rows: numbers [n, 1], or names of classes [n].

        `data` is as in `from_table`. Raises ValueError if the column is missing, has gaps, or holds
        a class that is unknown.
        """
        table = read_table(data)
        check_present(table, [self.target])
        if self.classes:
            return np.array(self.classes)[self.labels(table)]
        column = Column(table, self.target)
        column.check_gaps("target")
        return column.in_float32()[:, np.newaxis]

    def labels(self, table: Any) -> np.ndarray:
        """The numbers of the classes of rows, [n]; ValueError for gaps and unknown classes."""
        column = Column(table, self.target)
        column.check_gaps("target")
        places = column.places(self.classes)
        if unknown := sorted(set(column.texts()[places < 0])):
            raise ValueError(
                f"The column {self.target!r} must hold classes of the training: "
                f"{', '.join(self.classes)}. Received: {', '.join(unknown[:5])}."
            )
        return places


def check_columns(known: Columns | None, split: Any) -> None:
    """Raises ValueError if the tasks of a table have other inputs than a learner knows.

    `known`: the learner's columns, if it was trained on a table. Numbers of a row would mean
    something else if columns had another order, or texts other places among the categories.
    """
    columns = getattr(split, "columns", None)
    if known is None or columns is None:
        return
    for name, about in {
        "features": "features",
        "categories": "texts",
        "classes": "classes",
    }.items():
        wanted, found = getattr(known, name), getattr(columns, name)
        if wanted != found:
            raise ValueError(
                f"The table must have the {about} that the learner was trained with, in their "
                f"order: {_in_words(wanted)}. Received: {_in_words(found)}. Make the tasks with "
                "from_table(..., columns=learner.columns)."
            )


def _in_words(names: Any) -> str:
    if isinstance(names, dict):
        return "; ".join(f"{name}: {_in_words(texts)}" for name, texts in names.items()) or "none"
    return ", ".join(names) or "none"


def check_present(table: Any, names: Sequence[str]) -> None:
    """Raises ValueError unless a table has all of these columns."""
    present = list(table.columns)
    if missing := [name for name in names if name not in present]:
        raise ValueError(
            f"The table must have the columns that the learner was trained with. Received: "
            f"{', '.join(present)}; without {', '.join(missing)}."
        )
