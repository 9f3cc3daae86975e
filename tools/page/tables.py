"""Writes the tables of docs/demo.md.

python -m tools.page.tables
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tools.page import browser, chinese, drawings, photographs

PAGE = Path(__file__).resolve().parents[2] / "docs" / "demo.md"


def main() -> None:
    """Runs the program."""
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def filled(text: str) -> str:
    """The page with its tables updated from the results."""
    for name, path, table in (
        ("drawings", drawings.RESULTS, _drawings),
        ("browser", browser.RESULTS, _browser),
        ("chinese", chinese.RESULTS, _chinese),
        ("photographs", photographs.RESULTS, _photographs),
    ):
        start, end = f"<!-- table {name} -->\n", "<!-- end -->"
        before, rest = text.split(start)
        after = rest.split(end, 1)[1]
        text = f"{before}{start}\n{_table(path, table)}\n\n{end}{after}"
    return text


def _table(path: Path, rows: Callable[[str, dict[str, Any]], list[str]]) -> str:
    found = json.loads(path.read_text(encoding="utf-8"))
    first, *others = [rows(learner, found[learner]) for learner in sorted(found)]
    return "\n".join([*first, *(line for table in others for line in table[2:])])


def _drawings(learner: str, found: dict[str, Any]) -> list[str]:
    lines = [
        "| learner | pictures | mean difference from training's | correlation | right, alone |",
        "|---|---|---|---|---|",
    ]
    for name, row in found["pictures"].items():
        cells = (
            f"{row['mean_difference']:.4f} | {row['correlation']:.3f} | {100 * row['right']:.1f} %"
        )
        lines.append(f"| {learner} | {name} | {cells} |")
    return lines


def _browser(learner: str, found: dict[str, Any]) -> list[str]:
    def of(name: str) -> str:
        times = found[name]
        return f"{times['median']:.0f} ({times['largest']:.0f})"

    differs = found["difference_from_python"]
    return [
        "| learner | folder | right | difference from Python "
        "| ready after, ms | learns in, ms | answers in, ms |",
        "|---|---|---|---|---|---|---|",
        f"| {learner} | {found['megabytes']:.1f} MB "
        f"| {100 * found['right']:.1f} % of {found['drawings']} "
        f"| {differs['median']:.1e} ({differs['largest']:.1e}) "
        f"| {of('load_ms')} | {of('learn_ms')} | {of('answer_ms')} |",
    ]


def _chinese(learner: str, found: dict[str, Any]) -> list[str]:
    return [
        "| learner | pen | longer side | right, alone | none of these: taught | others "
        "| characters | tasks |",
        "|---|---|---|---|---|---|---|---|",
        f"| {learner} | {found['pen']:g} | {found['side']:g} "
        f"| {100 * found['right']:.1f} ± {100 * found['ci95']:.1f} % "
        f"| {100 * found['known_called_unknown']:.2f} % "
        f"| {100 * found['strangers_called_unknown']:.1f} % "
        f"| {found['characters']} | {found['tasks']} |",
    ]


def _photographs(learner: str, found: dict[str, Any]) -> list[str]:
    files, camera = found["files"], found["camera"]
    differs = files["difference_of_probabilities"]
    return [
        "| learner | folder | right | same answer as Python | probabilities differ by "
        "| camera: right | CPU time, ms |",
        "|---|---|---|---|---|---|---|",
        f"| {learner} | {found['megabytes']:.1f} MB "
        f"| {100 * files['right']:.1f} % of {files['pictures']} "
        f"| {100 * files['same_answer_in_python']:.1f} % "
        f"| {differs['median']:.1e} ({differs['largest']:.1e}) "
        f"| {100 * camera['right']:.0f} % of {camera['frames']} "
        f"| {camera['cpu_ms_a_picture']:.0f} |",
    ]


if __name__ == "__main__":
    main()
