"""`Column`: what a column of a table holds, as numbers, texts, classes or times."""

from __future__ import annotations

import datetime
import numbers
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from meta_tf.layers.table_columns import MISSING
from meta_tf.tasks.examples import lost_in_float32
from meta_tf.tasks.source import Kind

_EXACT = 2**53  # smaller whole numbers are exact as floats
_MOST_CATEGORIES = 100  # texts of a column that are not names of single rows
_DATE = re.compile(
    r"(\d{4}[-./]\d\d?[-./]\d\d?|\d\d?[-./]\d\d?[-./]\d\d(\d\d)?)(?=$|[ T])"  # not 10.0.12.5
)
_NUMBERS = (numbers.Real, Decimal)
_MOST_CLASSES = 20  # whole numbers with more distinct values are not classes


class Column:
    """A column of a `pandas.DataFrame`: as `stored`, and its `values` in their common type."""

    def __init__(self, table: Any, name: str):
        self.name, self.stored = name, table[name]
        self.values = _in_common_type(self.stored)
        self._kind = self.values.dtype.kind

    def check_gaps(self, argument: str) -> None:
        """Raises ValueError if there are gaps."""
        if gaps := int(self.stored.isna().sum()):
            raise ValueError(
                f"`{argument}` must be columns without gaps. Received: {self.name!r}, in which "
                f"{gaps} of {len(self.stored)} rows are empty (or NA, None and similar). Fill or "
                "drop these rows, for example with table.dropna(), or leave out the column."
            )

    def are_texts(self) -> bool:
        """Whether it holds texts, which become categories."""
        texts = (isinstance(value, str) for value in self.values.dropna())
        return self._kind not in "iufbmM" and all(texts)

    def categories(self) -> tuple[str, ...]:
        """The different texts, sorted; ValueError for dates, or too many for categories."""
        found = tuple(sorted(set(self.stored.dropna().astype(str))))
        if found and all(map(_DATE.match, found)):
            raise self._not_numbers("dates as texts", f"pandas.to_datetime(table[{self.name!r}])")
        if len(found) > _MOST_CATEGORIES:
            raise ValueError(
                f"The column {self.name!r} must hold at most {_MOST_CATEGORIES} different texts. "
                f"Received: {len(found)}, such as {found[0]!r}. Leave it out by `features`."
            )
        return found

    def as_numbers_say(self) -> str:
        """A line if most of the different texts are numbers; empty otherwise."""
        found = self.categories()
        others = [text for text in found if number_in(text.replace(",", ".")) is None]
        if 2 * len(others) >= len(found):
            return ""
        with_texts = f", and {others[0]!r}" if others else ""
        return (
            f"{self.name!r} holds {len(found) - len(others)} different numbers as texts"
            f"{with_texts}: each is a category. For a column of numbers, leave unknown cells empty "
            "and write 1.5 for 1,5."
        )

    def coded(self, known: Sequence[str]) -> np.ndarray:
        """The numbers of the known categories; -1 for unknown texts, `MISSING` for gaps."""
        return np.where(self.stored.isna().to_numpy(), MISSING, self.places(known))

    def places(self, known: Sequence[str]) -> np.ndarray:
        """The place of each value among known texts; -1 for other values.

        A number is the text that is the same number, such as "007": if a file holds only such
        texts, they are read as numbers.
        """
        texts = {text: place for place, text in enumerate(known)}
        same: dict[float | None, list[int]] = {}
        for text, place in texts.items():
            same.setdefault(number_in(text), []).append(place)

        def place_of(value: Any) -> int:
            if (place := texts.get(str(value))) is not None:
                return place
            if isinstance(value, bool) or not isinstance(value, _NUMBERS):
                return -1
            (first, *more) = same.get(float(value), [-1])
            return -1 if more else first

        return np.array([place_of(value) for value in self.stored])

    def numbers(self) -> np.ndarray:
        """The numbers, float64; NaN for gaps."""
        if self._kind not in "iufb":
            raise self._not_numbers(self.values.dtype, f"table[{self.name!r}]")
        numbers = self.values.to_numpy(np.float64, na_value=np.nan)
        if wrong := int(np.isinf(numbers).sum()):
            raise ValueError(
                f"The column {self.name!r} must contain finite numbers. Received: {wrong} of "
                f"{len(numbers)} that are infinite. Replace them, or drop these rows."
            )
        return numbers

    def _not_numbers(self, received: Any, dates: str) -> ValueError:
        """The error for a column of something else; `dates` is how to get its dates."""
        given = self.values.dropna()
        first = next((value for value in given if not _is_number(value)), given.iloc[0])
        if isinstance(first, datetime.date):
            dates = f"pandas.to_datetime({dates})" if self._kind == "O" else dates
        cure = (
            "Leave unknown cells empty, and write numbers such as 1.5; a feature may be of texts "
            "alone, which become categories"
        )
        if isinstance(first, datetime.date | datetime.timedelta) or "dates" in str(received):
            cure = (
                f"Convert it to numbers, such as ({dates} - {dates}.min()) / pandas.Timedelta('1D')"
            )
        return ValueError(
            f"The column {self.name!r} must contain numbers. Received: {received}, such as "
            f"{str(first)!r}. {cure}, or leave it out by `features`."
        )

    def check_differences(self) -> None:
        """Raises ValueError if the numbers differ too little for float32."""
        numbers = self.numbers()
        if np.isnan(numbers).all():
            return
        if lost_in_float32(numbers[:, np.newaxis]).any():
            raise ValueError(
                f"The column {self.name!r} must contain numbers that differ in float32. Received: "
                f"numbers from {np.nanmin(numbers):.12g} to {np.nanmax(numbers):.12g}. Use another "
                "unit, or subtract the smallest of them first."
            )

    def in_float32(self) -> np.ndarray:
        """The numbers, float32; NaN for gaps. Raises ValueError if one is too large."""
        numbers = self.numbers()
        with np.errstate(over="ignore"):
            found = numbers.astype(np.float32)
        if np.isinf(found).any():
            raise ValueError(
                f"The column {self.name!r} must contain numbers below 3.4e38, as float32 can hold. "
                f"Received: {numbers[np.isinf(found)][0]:g}. Use another unit."
            )
        return found

    def kind(self) -> Kind:
        """Whether it contains classes or numbers to predict."""
        few = self._kind not in "iuf" or self.values.nunique() <= _MOST_CLASSES
        return "classification" if few and self._are_names() else "regression"

    def labels(self) -> np.ndarray:
        """Class names: integers, so that they keep their order, or strings."""
        if self._kind in "mM":
            self.numbers()  # raises the error for dates
        whole = self._kind in "iuf" and self._are_names()
        return self.values.to_numpy(np.int64) if whole else self.texts()

    def texts(self) -> np.ndarray:
        """Strings; whole numbers have no decimal point even if they were floats."""
        values = self.values
        if self._kind == "f" and self._are_names():
            values = values.astype(np.int64)
        return values.astype(str).to_numpy(str)

    def times(self) -> np.ndarray:
        """The order of the rows: numbers unchanged, dates as nanoseconds."""
        import pandas

        if self._kind in "iuf":
            return self.numbers() if self._kind == "f" else self.values.to_numpy(np.int64)
        try:
            # In other formats, it is unknown whether the day or the month comes first.
            dates = pandas.to_datetime(self.values, format="ISO8601", utc=True)
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"`time` must be a column of numbers, or of dates such as 2026-11-29 or 2026-11-29 "
                f"20:15. Received: {self.name!r}, with {str(self.values.iloc[0])!r}; "
                f"{str(error).splitlines()[0]}"
            ) from error
        return dates.to_numpy("datetime64[ns]")

    def _are_names(self) -> bool:
        """Whether there are no fractions, and numbers are exact as floats."""
        values = self.values
        if self._kind not in "iuf":
            return True
        return bool(((values == values.round()) & (values.abs() < _EXACT)).all())


def _is_number(value: Any) -> bool:
    """Whether this is a number, or a text of one."""
    return number_in(value) is not None if isinstance(value, str) else isinstance(value, _NUMBERS)


def number_in(text: str) -> float | None:
    """The number that a text is, if it is one."""
    try:
        return float(text)
    except ValueError:
        return None


def _in_common_type(column: Any) -> Any:
    """A column of objects in their common type, if that is numbers or booleans."""
    from pandas.api.types import infer_dtype

    if column.isna().all():
        return column.isna() * np.nan
    if column.dtype.kind == "O":
        gaps = bool(column.isna().any())
        types = {"decimal": float, "floating": float, "integer": np.int64, "boolean": bool}
        found = types.get(infer_dtype(column, skipna=gaps))
        found = float if gaps and found else found
        try:
            return column if found is None else column.astype(found)
        except OverflowError:  # whole numbers beyond 64 bits
            return column
    return column
