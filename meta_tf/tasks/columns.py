"""`Columns`: what a learner of a table knows of its columns, and new rows as numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from meta_tf.layers.table_columns import MISSING

_EXACT = 2**53  # smaller whole numbers are exact as floats
_MOST_CATEGORIES = 100  # texts of a column that are not names of single rows


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

    def rows(self, table: Any) -> np.ndarray:
        """Rows of a `pandas.DataFrame` as a learner takes them, float32 [n, F].

        A text becomes the number of its category, or -1 if it is unknown; a gap becomes
        `meta_tf.layers.table_columns.MISSING`, the lowest number in float32. Raises ValueError if a
        column is missing or holds another kind of values.
        """
        check_present(table, self.features)
        made = [
            coded(table, name, self.categories[name])
            if name in self.categories
            else np.nan_to_num(measured(table, name), nan=MISSING)
            for name in self.features
        ]
        return np.stack(made, 1).astype(np.float32)

    def targets(self, table: Any) -> Any:
        """The targets of rows: numbers [n, 1], or names of classes [n].

        Raises ValueError if the column is missing, has gaps, or holds a class that is unknown.
        """
        check_present(table, [self.target])
        check_gaps(table, self.target)
        if not self.classes:
            return measured(table, self.target).astype(np.float32)[:, np.newaxis]
        names = texts(table, self.target)
        if unknown := sorted(set(names) - set(self.classes)):
            raise ValueError(
                f"The column {self.target!r} must hold classes of the training: "
                f"{', '.join(self.classes)}. Received: {', '.join(unknown[:5])}."
            )
        return names


def check_present(table: Any, names: Sequence[str]) -> None:
    """Raises ValueError unless a table has all of these columns."""
    present = list(map(str, table.columns))
    if missing := [name for name in names if name not in present]:
        raise ValueError(
            f"The table must have the columns that the learner was trained with. Received: "
            f"{', '.join(present)}; without {', '.join(missing)}."
        )


def check_gaps(table: Any, name: str, argument: str = "target") -> None:
    """Raises ValueError if a column has gaps."""
    if gaps := int(table[name].isna().sum()):
        raise ValueError(
            f"`{argument}` must be columns without gaps. Received: {name!r}, in which {gaps} of "
            f"{len(table)} rows are empty (or NA, None and similar). Fill or drop these rows, for "
            "example with table.dropna(), or leave out the column."
        )


def are_texts(table: Any, name: str) -> bool:
    """Whether a column holds texts, which become categories."""
    column = plain(table, name).dropna()
    return column.dtype.kind not in "iufbmM" and all(isinstance(v, str) for v in column)


def categories_of(table: Any, name: str) -> tuple[str, ...]:
    """The different texts of a column, sorted; ValueError if they are too many for categories."""
    found = tuple(sorted(set(table[name].dropna().astype(str))))
    if len(found) > _MOST_CATEGORIES:
        raise ValueError(
            f"The column {name!r} must hold at most {_MOST_CATEGORIES} different texts. Received: "
            f"{len(found)}, such as {found[0]!r}. Leave it out by `features`."
        )
    return found


def coded(table: Any, name: str, known: Sequence[str]) -> np.ndarray:
    """The numbers of the categories in a column; -1 for unknown texts, `MISSING` for gaps."""
    numbers = {text: float(place) for place, text in enumerate(known)}
    gaps = table[name].isna().to_numpy()
    as_text = "{:g}".format if table[name].dtype.kind == "f" else str  # a name can be a number
    found = [numbers.get(as_text(value), -1.0) for value in table[name]]
    return np.where(gaps, MISSING, found)


def plain(table: Any, name: str) -> Any:
    """A column of objects in their common type, if that is numbers or booleans."""
    from pandas.api.types import infer_dtype

    column = table[name]
    if column.isna().all():
        return column.isna() * np.nan
    if column.dtype.kind == "O":
        gaps = bool(column.isna().any())
        types = {"decimal": float, "floating": float, "integer": np.int64, "boolean": bool}
        found = types.get(infer_dtype(column, skipna=gaps))
        found = float if gaps and found else found
        return column if found is None else column.astype(found)
    return column


def is_whole(column: Any) -> bool:
    """Whether all numbers of a column are whole, and exact as floats."""
    return bool(((column == column.round()) & (column.abs() < _EXACT)).all())


def numbers_in(table: Any, name: str) -> np.ndarray:
    """The numbers of a column, float64; NaN for gaps."""
    column = plain(table, name)
    if column.dtype.kind not in "iufb":
        raise ValueError(
            f"The column {name!r} must contain numbers. Received: {column.dtype}, such as "
            f"{str(column.iloc[0])!r}. {_cure(column, name)}, or leave it out by `features`."
        )
    numbers = column.to_numpy(np.float64, na_value=np.nan)
    wrong = int(np.isinf(numbers).sum())
    if wrong:
        raise ValueError(
            f"The column {name!r} must contain finite numbers. Received: {wrong} of {len(numbers)} "
            "that are infinite. Replace them, or drop these rows."
        )
    return numbers


def _cure(column: Any, name: str) -> str:
    if column.dtype.kind in "mM":
        since = f"(table[{name!r}] - table[{name!r}].min())"
        return f"Convert it to numbers, such as {since} / pandas.Timedelta('1D')"
    return "Give numbers, or only texts, which become categories"


def measured(table: Any, name: str) -> np.ndarray:
    """The numbers of a column, after checking that they still differ in float32."""
    numbers = numbers_in(table, name)
    if np.isnan(numbers).all():
        return numbers
    with np.errstate(over="ignore", invalid="ignore"):
        finest = np.spacing(np.float32(np.nanmax(np.abs(numbers))))
        deviation = np.nanstd(numbers)
    if np.nanmin(numbers) < np.nanmax(numbers) and not finest <= 0.01 * deviation:
        raise ValueError(
            f"The column {name!r} must contain numbers that differ in float32. Received: "
            f"numbers up to {np.nanmax(np.abs(numbers)):.10g} with a standard deviation of "
            f"{deviation:.3g}. Use another unit, or subtract the smallest of them first."
        )
    return numbers


def texts(table: Any, name: str) -> np.ndarray:
    """A column as strings; whole numbers have no decimal point even if they were floats."""
    column = plain(table, name)
    if column.dtype.kind == "f" and is_whole(column):
        column = column.astype(np.int64)
    return column.astype(str).to_numpy(str)
