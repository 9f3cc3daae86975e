"""Updates the tables of the README files and of the results page from the published runs.

    python -m tools.tables             writes the tables and figures
    python -m tools.tables --check     lists the runs below their goal, writes nothing

A page marks the place of a table with a pair of comments, `<!-- table NAME -->` and
`<!-- end -->`. `<!-- commands NAME -->` stands for the commands of its runs, and
`<!-- cards all -->` for the cards of the shipped learners, and `<!-- photographs all -->` for
the results of `benchmarks.photographs`. The text between the comments is replaced, so no number
there is typed by hand. The figures are in `docs/figures`, because the site
contains only files in `docs`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "runs"
PHOTOGRAPHS = ROOT / "benchmarks" / "results" / "photographs"
FIGURES = ROOT / "docs" / "figures"
PAGES = (
    ROOT / "README.md",
    ROOT / "README.zh-CN.md",
    ROOT / "docs" / "results.md",
    ROOT / "docs" / "learners.md",
    ROOT / "docs" / "photographs.md",
    RESULTS / "README.md",
)
# Figures of single runs for the site: name in `docs/figures` → name in `benchmarks/runs`.
SHOWN = {"sinusoid_fit.png": "sinusoid_10shot/fit.png"}
MISSING = "not yet trained"


@dataclasses.dataclass(frozen=True)
class Row:
    """A run: its name in the table, its folder, and the numbers to compare it with.

    `published` starts with the number that the figure marks. `goal` is the developers' own
    minimum accuracy, in the unit of `published`.
    """

    name: str
    folder: str
    published: str = ""
    goal: float | None = None


# A function of a row, its run and the run of the table's first row.
Cell: TypeAlias = Callable[[Row, dict[str, Any], dict[str, Any]], str]


@dataclasses.dataclass(frozen=True)
class Table:
    """A table: its columns, heading → cell; its rows; and the inner step for the figure."""

    name: str
    columns: dict[str, Cell]
    rows: tuple[Row, ...]
    step: int | None = None  # None: each run's last
    drawn: bool = True  # whether the table has a figure


# --- cells ---


def accuracy(row, run, first):
    return f"{100 * run['mean'][-1]:.2f} ± {100 * run['ci95'][-1]:.2f}"


def alone(row, run, first):
    """The accuracy when each query is predicted alone, which matters for a transductive run."""
    if run["batch_norm"] != "transductive":
        return accuracy(row, run, first)
    return accuracy(row, run["alone"], first) if "alone" in run else "–"


def mse(row, run, first):
    """The error after the last inner step, or without an inner loop."""
    return f"{run['mean'][-1]:.5f} ± {run['ci95'][-1]:.5f}"


def at(ways: int | list[int] | None, shots: int | list[int], shown: Cell = accuracy) -> Cell:
    """A cell with the result for tasks of these sizes, from any file in the run's folder."""

    def cell(row, run, first):
        for found in (run, *run.get("others", ())):
            if (found["ways"], found["shots"]) == (ways, shots):
                return shown(row, found, first)
        return "–"

    return cell


def gap(row, run, first):
    """The difference from the first row, in points of accuracy."""
    return f"{100 * (run['mean'][-1] - first['mean'][-1]):+.2f}" if first else ""


def mse_after(step: int) -> Cell:
    """A cell with the error after a number of inner steps."""

    def cell(row, run, first):
        if step not in run["steps"]:
            return "–"
        i = run["steps"].index(step)
        mean, ci95 = run["mean"][i], run["ci95"][i]
        digits = ".3f" if mean < 100 else ".0e"  # some diverge with more steps than in training
        return f"{mean:{digits}} ± {ci95:{digits}}"

    return cell


def inner_steps(row, run, first):
    return str(run["steps"][-1]) if "inner_steps" in run["settings"] else "none"


def outer_steps(row, run, first):
    """The number of outer steps, and the learner that the run started from, if any."""
    steps = by_thousands(run["iterations"])
    begun = run.get("flags", {}).get("initial_weights")
    return f"{steps} after `{begun}`" if begun else steps


def weights(row, run, first):
    """The number of a learner's trainable weights."""
    return by_thousands(run["parameters"])


def by_thousands(number: int) -> str:
    return f"{number:,}".replace(",", " ")


def minutes(row, run, first):
    if run.get("training_minutes") is None:  # some of its epochs were not timed
        return ""
    minutes, cores = run["training_minutes"], run["cores"]
    return f"{minutes:.{0 if minutes >= 2 else 1}f} ({cores} core{'s' if cores > 1 else ''})"


def batch_norm(row, run, first):
    return run["batch_norm"]


def published(row, run, first):
    return row.published


def result(row, run, first):
    """The number of a run that the front page shows."""
    if run["metric"] == "accuracy":
        return f"{accuracy(row, run, first)} %"
    return f"mse {mse_after(1)(row, run, first)}"


ACCURACY = {
    "accuracy in %": accuracy,
    "one query alone": alone,
    "inner steps": inner_steps,
    "batch norm": batch_norm,
    "outer steps": outer_steps,
    "minutes": minutes,
    "published": published,
}
MSE = {
    "mse after 1 step": mse_after(1),
    "5 steps": mse_after(5),
    "10 steps": mse_after(10),
    "outer steps": outer_steps,
    "minutes": minutes,
    "published, 1 step": published,
}
SUMMARY = {"on 600 new tasks": result, "published": published}
SIZES = {
    "5-way 1-shot": at(5, 1),
    "5-way 5-shot": at(5, 5),
    "20-way 1-shot": at(20, 1),
    "20-way 5-shot": at(20, 5),
    "2–20 ways, 1–10 shots": at([2, 20], [1, 10]),
    "outer steps": outer_steps,
    "minutes": minutes,
}
IN_CONTEXT = {
    "weights": weights,
    "mse, 5 points": at(None, 5, mse),
    "10 points": at(None, 10, mse),
    "20 points": at(None, 20, mse),
    "outer steps": outer_steps,
    "minutes": minutes,
}
MODES = {
    "accuracy in %": accuracy,
    "difference": gap,
    "inner steps": inner_steps,
    "outer steps": outer_steps,
    "minutes": minutes,
}


def sinusoid(shots: int, maml: str = "", meta_sgd: str = "") -> Table:
    """The table of the sinusoid with a number of support points."""
    folder = f"sinusoid_{shots}shot"
    rows = (
        Row("MAML", folder, maml),
        Row("FOMAML", f"{folder}_fomaml"),
        Row("Reptile", f"{folder}_reptile"),
        Row("ANIL", f"{folder}_anil"),
        Row("Meta-SGD", f"{folder}_meta_sgd", meta_sgd),
        Row("MAML++", f"{folder}_mamlpp"),
        Row("iMAML", f"{folder}_imaml"),
        Row("Meta-Curvature", f"{folder}_meta_curvature"),
    )
    return Table(folder, MSE, rows, step=1)


TABLES = (
    Table(
        "omniglot_5way_1shot",
        ACCURACY,
        (
            Row("MAML", "omniglot_5way_1shot", "98.7 ± 0.4 (re-runs 98.4–99.1)", 98.3),
            Row("MAML++", "omniglot_5way_1shot_mamlpp", "99.47", 99.0),
            Row("FOMAML", "omniglot_5way_1shot_fomaml", "98.3 ± 0.5", 97.5),
            Row("Reptile, transductive", "omniglot_5way_1shot_reptile", "97.68", 96.5),
            Row("Reptile", "omniglot_5way_1shot_reptile_support", "95.39"),
            Row("ANIL", "omniglot_5way_1shot_anil", goal=97.5),
            Row("BOIL", "omniglot_5way_1shot_boil"),
            Row("Meta-SGD", "omniglot_5way_1shot_meta_sgd", "99.53", 98.0),
            Row("iMAML", "omniglot_5way_1shot_imaml", "99.16 ± 0.35", 97.5),
            Row("ProtoNet", "omniglot_5way_1shot_protonet", "98.8", 98.0),
            Row("ProtoNet, support", "omniglot_5way_1shot_protonet_support", goal=98.8),
            Row("MAML, support", "omniglot_5way_1shot_support"),
            Row("MAML++ after MAML", "omniglot_5way_1shot_mamlpp_after_maml", "99.47", 99.3),
            Row("Meta-SGD after MAML", "omniglot_5way_1shot_meta_sgd_after_maml", "99.53", 99.2),
            Row("iMAML after MAML", "omniglot_5way_1shot_imaml_after_maml", "99.16", 98.3),
            Row("Reptile after MAML", "omniglot_5way_1shot_reptile_after_maml", "97.68", 97.0),
            Row("R2D2", "omniglot_5way_1shot_r2d2", goal=98.0),
            Row("ProtoMAML", "omniglot_5way_1shot_protomaml", goal=98.0),
            Row("MatchingNet", "omniglot_5way_1shot_matching_net", "98.1", 97.0),
            Row("Transfer", "omniglot_5way_1shot_transfer"),
        ),
    ),
    Table(
        "omniglot_5way_5shot",
        ACCURACY,
        (
            Row("MAML", "omniglot_5way_5shot", "99.9 ± 0.1", 99.3),
            Row("ProtoNet", "omniglot_5way_5shot_protonet", "99.7", 99.3),
            Row("Transfer", "omniglot_5way_5shot_transfer"),
        ),
    ),
    Table(
        "omniglot_20way_1shot",
        {**ACCURACY, "weights": weights},
        (
            Row("MAML", "omniglot_20way_1shot", "95.8 ± 0.3 (re-runs 91–94)", 92.0),
            Row("MAML, longer", "omniglot_20way_1shot_maml_after_maml", "95.8 ± 0.3", 94.5),
            Row("MAML++ after MAML", "omniglot_20way_1shot_mamlpp_after_maml", "97.65", 96.0),
            Row("ProtoNet", "omniglot_20way_1shot_protonet", "96.0", 95.0),
            Row("ProtoNet, support", "omniglot_20way_1shot_protonet_support", goal=95.5),
            Row("MAML, support", "omniglot_20way_1shot_support"),
            Row("InContext, support", "omniglot_20way_1shot_in_context_support", goal=96.0),
            Row("Transfer", "omniglot_20way_1shot_transfer"),
        ),
    ),
    Table(
        "sizes",
        SIZES,
        (
            Row("1 shot", "omniglot_20way_1shot_protonet_support"),
            Row("5 shots", "omniglot_5way_5shot_protonet_support"),
            Row("20–60 ways, 1–10 shots", "omniglot_2-20way_1-10shot_protonet_support"),
        ),
        drawn=False,
    ),
    Table(
        "chinese_20way_1shot",
        ACCURACY,
        (Row("ProtoNet, support", "chinese_20way_1shot_protonet_support", goal=93.0),),
        drawn=False,
    ),
    Table(
        "batch_norm",
        MODES,
        (
            Row("`transductive`", "omniglot_5way_1shot_transductive_norm"),
            Row("`support`", "omniglot_5way_1shot_support_norm"),
            Row("`running`", "omniglot_5way_1shot_running_norm"),
        ),
    ),
    sinusoid(5, "0.686", "0.482"),
    sinusoid(10, "0.435", "0.258"),
    sinusoid(20),
    Table(
        "in_context",
        IN_CONTEXT,
        (
            Row("InContext", "sinusoid_10shot_in_context"),
            Row("MAML++", "sinusoid_10shot_mamlpp"),
            Row("MAML", "sinusoid_10shot"),
        ),
        drawn=False,
    ),
)
# The front page's selection of rows from the tables above.
README = Table(
    "readme",
    SUMMARY,
    (
        Row("Sinusoid, 10-shot, one inner step: MAML", "sinusoid_10shot", "0.435"),
        Row("Omniglot, 5-way 1-shot: MAML", "omniglot_5way_1shot", "98.7 ± 0.4"),
        Row("… ProtoNet", "omniglot_5way_1shot_protonet", "98.8"),
        Row("Omniglot, 20-way 1-shot: MAML", "omniglot_20way_1shot_maml_after_maml", "95.8 ± 0.3"),
        Row("… ProtoNet", "omniglot_20way_1shot_protonet", "96.0"),
    ),
    drawn=False,
)


def main() -> None:
    """Runs the program."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="list the runs below their goal")
    options = parser.parse_args()
    try:
        if options.check:
            missed = below_goal(RESULTS)
            raise SystemExit("\n".join(missed) if missed else 0)
        texts = {path: filled(path.read_text(), RESULTS, path.parent) for path in PAGES}
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(f"tools.tables: error: {error}") from None
    for path, text in texts.items():
        path.write_text(text)
    draw_all(RESULTS)


def read(results: Path, folder: str) -> dict[str, Any] | None:
    """The results of a run, or None if there is no such run."""
    path = results / folder / "results.json"
    if not path.parent.exists():
        return None
    if not path.exists():
        raise FileNotFoundError(
            f"{path.parent} must contain results.json, but does not: the run has not finished. "
            "Resume it with the same command, or move the folder away."
        )
    run = json.loads(path.read_text())
    others = {
        other.stem: json.loads(other.read_text())
        for other in sorted(path.parent.glob("*.json"))
        if other != path
    }
    if "alone" in others:
        run["alone"] = others.pop("alone")
    return {**run, "others": list(others.values())}


def filled(text: str, results: Path, beside: Path) -> str:
    """The text of a page in the folder `beside`, with updated tables and commands."""
    tables = {table.name: table for table in (*TABLES, README)}
    makers = {"table": rendered, "commands": commands}

    def replace(match):
        kind, name = match["kind"], match["name"]
        if kind in ("cards", "photographs"):
            lines = cards() if kind == "cards" else photographs(PHOTOGRAPHS)
            return "\n".join([match["start"], "", *lines, "", "<!-- end -->"])
        if name not in tables:
            raise ValueError(
                f"<!-- {kind} {name} --> must name one of {', '.join(tables)}. Fix the comment."
            )
        lines = makers[kind](tables[name], results, beside)
        return "\n".join([match["start"], "", *lines, "", "<!-- end -->"])

    kinds = "table|commands|cards|photographs"
    pattern = rf"(?P<start><!-- (?P<kind>{kinds}) (?P<name>\w+) -->).*?<!-- end -->"
    return re.sub(pattern, replace, text, flags=re.DOTALL)


def rendered(table: Table, results: Path, beside: Path) -> list[str]:
    """The lines of a table and its figure, for a page in the folder `beside`."""
    runs = {row: read(results, row.folder) for row in table.rows}
    first = runs[table.rows[0]]
    lines = [f"| | {' | '.join(table.columns)} | run |", "|---" * (len(table.columns) + 2) + "|"]
    for row, run in runs.items():
        if run is None:
            known = [row.published if c is published else "" for c in table.columns.values()]
            cells = [MISSING, *known[1:], ""]
        else:
            cells = [cell(row, run, first) for cell in table.columns.values()]
            cells.append(named(row.folder, results, beside))
        lines.append(f"| {row.name} | {' | '.join(cells)} |")
    if table.drawn and any(runs.values()):
        figure = Path(os.path.relpath(FIGURES / f"{table.name}.png", beside)).as_posix()
        lines += ["", f"![{table.name}: the means and intervals]({figure})"]
    return lines


def named(folder: str, results: Path, beside: Path) -> str:
    """A run's name, with a link to its results except on the site."""
    if not results.is_relative_to(beside):
        return f"`{folder}`"
    return f"[`{folder}`]({(results / folder).relative_to(beside).as_posix()}/results.json)"


def commands(table: Table, results: Path, beside: Path) -> list[str]:
    """The commands of a table's runs, as a shell block."""
    runs = [read(results, row.folder) for row in table.rows]
    return ["```sh", *(run["command"].strip() for run in runs if run), "```"]


def cards() -> list[str]:
    """The lines of the cards of all shipped learners."""
    from meta_tf import zoo  # TensorFlow takes seconds to load

    return "\n\n".join(zoo.card(name) for name in zoo.names()).splitlines()


def photographs(results: Path) -> list[str]:
    """The tables of the results in this folder: heads beside each other, and unknown pictures."""
    heads = [
        "| set | shots | head | accuracy in % | `photos` better by | ECE | NLL |",
        "|---" * 7 + "|",
    ]
    unknown = [
        "| set | shots | known classes | other classes of the set | other sets |",
        "|---" * 5 + "|",
    ]
    found = sorted(results.glob("*.json"))
    if not found:
        return ["Not yet measured."]
    for path in found:
        about = json.loads(path.read_text(encoding="utf-8"))
        for row in about["rows"]:
            name = f"{about['set']}, {row['tasks']} tasks"
            better = f"{row['photos_better_by']:+.1f} ± {row['photos_better_by_ci95']:.1f}"
            if row["head"] == "photos":
                better = ""
                refused = [row[f"refused_of_{of}"] for of in ("known_classes", "other_classes")]
                refused.append(row["refused_of_other_sets"])
                shown = ["–" if value is None else f"{value:.1f}" for value in refused]
                unknown.append(f"| {name} | {row['shots']} | {' | '.join(shown)} |")
            heads.append(
                f"| {name} | {row['shots']} | {row['head']} | {row['accuracy']:.1f} ± "
                f"{row['ci95']:.1f} | {better} | {row['ece']:.1f} | {row['nll']:.2f} |"
            )
    title = "Percent of pictures that `photos` calls none of the classes:"
    return [*heads, "", title, "", *unknown]


def below_goal(results: Path) -> list[str]:
    """A line for every run that is missing or below its goal."""
    lines = []
    for table in TABLES:
        for row in table.rows:
            run = read(results, row.folder)
            if run is None:
                lines.append(f"{table.name}, {row.name}: {MISSING}")
            elif row.goal is not None and 100 * run["mean"][-1] < row.goal:
                lines.append(
                    f"{table.name}, {row.name}: {100 * run['mean'][-1]:.2f}, goal {row.goal}"
                )
    return lines


def draw_all(results: Path) -> None:
    """Writes the figures for `rendered`, and copies those of single runs."""
    FIGURES.mkdir(parents=True, exist_ok=True)
    for table in TABLES:
        figure = drawn(table, results)
        if figure is not None:
            figure.savefig(FIGURES / f"{table.name}.png", dpi=120)
    for name, of_run in SHOWN.items():
        shutil.copyfile(results / of_run, FIGURES / name)


def drawn(table: Table, results: Path):
    """The figure of a table, or None if it has no figure or no run yet."""
    from meta_tf import Evaluation, plots  # TensorFlow takes seconds to load

    rows = {row.name.strip("`"): row for row in table.rows if read(results, row.folder)}
    if not rows or not table.drawn:
        return None
    evaluations = {
        name: Evaluation.load(results / row.folder / "results.json") for name, row in rows.items()
    }
    percent = 100 if next(iter(evaluations.values())).metric == "accuracy" else 1
    marks = {n: float(r.published.split()[0]) / percent for n, r in rows.items() if r.published}
    return plots.compare(evaluations, marks, table.step)


if __name__ == "__main__":
    main()
