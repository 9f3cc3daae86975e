"""Learns a group from a few rows of a table, and predicts new rows."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Annotated, Any

import numpy as np

import meta_tf
from meta_tf.command.learners import load
from meta_tf.command.registry import renamed
from meta_tf.command.settings import Adaptation
from meta_tf.files import whole_file, write_text
from meta_tf.network.losses import is_gaussian
from meta_tf.run.devices import set_up_device
from meta_tf.run.settings import Above
from meta_tf.tasks.column import Column
from meta_tf.tasks.columns import Columns
from meta_tf.tasks.read_table import as_written, read_table, with_levels

_SUFFIXES = (".csv", ".parquet")
_MOST_SHOWN = 20  # rows on the screen


@dataclasses.dataclass(frozen=True)
class Rows:
    """How to tell the predictions of a table.

    Args:
      level: the probability of the intervals of a learner that predicts means and scales.
    """

    level: Annotated[float, Above(0)] = 0.9

    def check(self) -> None:
        """Raises ValueError for a level that is no probability below 1."""
        if self.level >= 1:
            raise ValueError(f"--level must be below 1. Received: --level={self.level}.")


EXAMPLES = """
  meta-tf adapt measured.csv new.csv --learner=runs/table --output=answers.csv
SUPPORT and QUERY may instead be tables, .csv or .parquet, with the columns of the table that the
learner was trained on; QUERY needs no target. If both have the column of the groups, each group
is learned by itself.
"""


def run(asked: Adaptation, rows: Rows, output: str | Path | None) -> None:
    """Prints a prediction for each row of `query`, with an interval or probabilities."""
    rows.check()
    with renamed({"`data`": "--support"}):
        support = read_table(asked.support)
    with renamed({"`data`": "--query"}):
        query = read_table(asked.query)
    if not asked.learner:
        raise ValueError("--learner is needed for a table: the run that was trained on one.")
    set_up_device(asked.device)
    learner = load(asked.learner)
    columns = learner.columns
    if columns is None:
        raise ValueError(
            f"--learner must be trained on a table (--task=table). Received: "
            f"--learner={asked.learner}, which does not know its columns. Train it again."
        )
    support, query = (with_levels(table, [columns.group]) for table in (support, query))
    pairs = _groups(support, query, columns)
    if asked.save and len(pairs) > 1:
        raise ValueError(
            f"--save needs the rows of one group. Received: {len(pairs)} groups in --support."
        )
    for table in (support, query):
        columns.print_news(table)
    answers = with_levels(as_written(asked.query), [columns.group])
    for known, new in pairs:
        fitted = _adapted(learner, columns, support[known], asked)
        _answer(answers, fitted, query, new, rows.level)
    _show(answers, query, columns, output)
    if asked.save:
        with whole_file(asked.save) as part:
            fitted.save(part)
        print(f"Saved to {asked.save}.")


def predict(
    fitted: meta_tf.AdaptedModel, given: str | Path, rows: Rows, output: str | Path | None
) -> None:
    """Prints a prediction for each row of a table, by a model that has learned its group."""
    rows.check()
    columns = fitted.columns
    if columns is None:
        raise ValueError("--model must be one of a learner of tables. Received: another model.")
    with renamed({"`data`": "--query"}):
        tables = read_table(given), as_written(given)
    query, answers = (with_levels(table, [columns.group]) for table in tables)
    if columns.group in query.columns and (number := query[columns.group].nunique()) > 1:
        raise ValueError(
            "--query must have rows of the one group that --model has learned. Received: "
            f"{number} groups in the column {columns.group!r}."
        )
    columns.print_news(query)
    _answer(answers, fitted, query, np.ones(len(query), bool), rows.level)
    _show(answers, query, columns, output)


def _groups(support: Any, query: Any, columns: Columns) -> list[tuple[Any, Any]]:
    """For each group the rows, as masks, of the support set and of the queries."""
    name, tables = columns.group, {"--support": support, "--query": query}
    for (flag, table), (other, grouped) in itertools.permutations(tables.items()):
        number = grouped[name].nunique() if name in grouped.columns else 0
        if name not in table.columns and number > 1:
            raise ValueError(
                f"{flag} must have the column {name!r}, as {other} has {number} groups. "
                f"Received: {', '.join(map(str, table.columns))}."
            )
    if any(name not in table.columns for table in tables.values()):
        return [(np.ones(len(support), bool), np.ones(len(query), bool))]
    groups = {}
    for flag, table in tables.items():
        groups[flag] = Column(table, name)
        with renamed({"`group`": flag}):
            groups[flag].check_gaps("group")
    known = sorted(set(groups["--support"].texts()))
    of_support, of_query = (column.places(known) for column in groups.values())
    if (of_query < 0).any():
        unknown = sorted(set(groups["--query"].texts()[of_query < 0]))
        raise ValueError(
            f"--support must have rows of every group of --query. Received: none of "
            f"{', '.join(unknown[:5])} in the column {name!r}."
        )
    return [(of_support == place, of_query == place) for place in sorted(set(of_query))]


def _not_in(names: Any, name: str) -> str:
    """The name of a new column, which must not replace one of the table."""
    return _not_in(names, f"predicted_{name}") if name in names else name


def _adapted(
    learner: meta_tf.MetaLearner, columns: Columns, support: Any, asked: Adaptation
) -> meta_tf.AdaptedModel:
    try:
        x, y = columns.rows(support), columns.targets(support)
    except ValueError as error:
        raise ValueError(f"--support={asked.support}: {error}") from error
    return learner.adapt(x, y, asked.eval_steps)


def _answer(answers: Any, fitted: meta_tf.AdaptedModel, query: Any, new: Any, level: float) -> None:
    """Writes the predictions for the rows `new` of `query` into new columns of `answers`."""
    for name, values in _predicted(fitted, query[new], level).items():
        answers.loc[new, _not_in(query.columns, name)] = values


def _predicted(fitted: meta_tf.AdaptedModel, query: Any, level: float) -> dict[str, Any]:
    """The new columns: a prediction with its interval, or a class with its probabilities."""
    columns: Any = fitted.columns
    try:
        x = columns.rows(query)
    except ValueError as error:
        raise ValueError(f"--query: {error}") from error
    if columns.classes:
        sure = fitted.predict_proba(x)
        likely = np.array(columns.classes)[sure.argmax(-1)]
        each = {f"p({name})": sure[:, i] for i, name in enumerate(columns.classes)}
        return {f"predicted_{columns.target}": likely, "confidence": sure.max(-1), **each}
    found = {f"predicted_{columns.target}": fitted.predict(x, verbose=0)[:, 0]}
    if is_gaussian(fitted.network.loss):
        lower, upper = fitted.predict_interval(x, level)
        found |= {"lower": lower[:, 0], "upper": upper[:, 0]}
    return found


def _show(answers: Any, query: Any, columns: Columns, output: str | Path | None) -> None:
    """Prints the first rows: the group, if there is one, and what is new; writes all rows."""
    own = [name for name in (columns.group,) if name in query.columns]
    new = [name for name in answers.columns if name not in query.columns]
    print(answers[[*own, *new]].head(_MOST_SHOWN).to_string(float_format="{:.6g}".format))
    if (more := len(answers) - _MOST_SHOWN) > 0:
        print(f"… and {more} more rows")
    if output:
        write_text(output, answers.to_csv(index=False, lineterminator="\n"))
        print(f"Written to {output}.")


def is_table(flag: str, given: str | Path, rows: Rows, *of_pictures: Any) -> bool:
    """Whether the data that a flag names is a table; ValueError for a setting of the other kind."""
    table = Path(given).suffix.lower() in _SUFFIXES
    only_for, settings = ("pictures", of_pictures) if table else ("tables", (rows,))
    for one in settings:
        for field in dataclasses.fields(one):
            value = getattr(one, field.name)
            if value != field.default:
                raise ValueError(
                    f"--{field.name} is only for {only_for}. Received: {value!r}, and {flag} "
                    f"is {'a table' if table else 'no table'}. Leave it out."
                )
    return table
