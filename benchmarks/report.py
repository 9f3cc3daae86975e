"""Updates all figures in `README.md` and docs/serving.md from the JSON results.

python -m benchmarks.report
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from benchmarks.harness import results
from benchmarks.harness.rows import ALONE, BY_HOST, Row, number

README = Path(__file__).resolve().parent / "README.md"
SERVING = README.parents[1] / "docs" / "serving.md"
SCRIPTS = (
    "compare", "new_task", "default_run", "first_step", "memory", "soak", "scaling", "sources",
    "serving", "peak",
)  # fmt: skip
ONE_CORE = ("one_core/compare", "one_core/new_task", "one_core/default_run")
SIXTH_HOST = ("sixth_host/compare",)
MISSING = "not yet measured"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=results.FOLDER)
    parser.add_argument("--readme", type=Path, default=README)
    options = parser.parse_args()
    found = {
        name: results.load(options.results, name) for name in (*SCRIPTS, *ONE_CORE, *SIXTH_HOST)
    }
    text = options.readme.read_text()
    for mark, part in {
        "ahead": ahead(found),
        "rates": rates(found["compare"]),
        "rates on one core": rates(found["one_core/compare"]),
        "machine": machines(found),
        "figures": figures(found),
    }.items():
        text = _between(text, mark, part)
    options.readme.write_text(text)
    page = _between(SERVING.read_text(), "load", serving(found["serving"]))
    SERVING.write_text(page)
    print(ahead(found))


def ahead(found: dict) -> str:
    """For each host, who is ahead in which work."""
    tables = [f"**{host}**\n\n{_compared(rows, found)}" for host, rows in BY_HOST.items()]
    alone = ["| meta_tf by itself | |", "|---|---|"]
    alone += [f"| {what} | {of(found) or MISSING} |" for what, of in ALONE.items()]
    return "\n\n".join([*tables, "\n".join(alone)])


def _compared(rows: list[Row], found: dict) -> str:
    lines = ["| ahead | work | meta_tf | best peer | × | limit |", "|---|---|---|---|---|---|"]
    for row in rows:
        one = row.compared(found)
        if one is None:
            lines.append(f"| {MISSING} | {row.work} | | | | {row.limit} |")
            continue
        first = "meta_tf" if round(one.ratio, 2) > 1 else one.name
        lines.append(
            f"| {first} | {row.work} | {one.ours} | {one.peer} ({one.name}) | {one.ratio:.2f} | "
            f"{row.limit} |"
        )
    return "\n".join(lines)


def rates(compare: dict | None) -> str:
    """The table of tasks per second for every contender and work."""
    if not compare:
        return MISSING
    works = compare["works"]
    names = list(dict.fromkeys(name for measured in works.values() for name in measured))
    lines = ["| tasks per second | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for work, measured in works.items():
        cells = [_cell(measured.get(name)) for name in names]
        lines.append(f"| {work.replace('_', ' ')} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def machines(found: dict) -> str:
    """When and where each script was run."""
    lines = []
    for name, one in found.items():
        if one:
            versions = ", ".join(f"{k} {v}" for k, v in one["versions"].items())
            lines.append(f"- `{name}`: {one['date']}, {one['machine']}; {versions}")
    return "\n".join(lines) or MISSING


def figures(found: dict) -> str:
    """The results of the other scripts as tables."""
    parts = []
    if found["memory"]:
        for what, series in (("inner steps", "inner_steps"), ("tasks", "tasks")):
            parts.append(_table(f"peak MB by {what}", found["memory"][series], "peak"))
    if found["scaling"]:
        for name, series in found["scaling"]["works"].items():
            parts.append(_table(f"tasks per second by {name}", {"meta_tf": series}))
    if found["sources"]:
        for work, series in found["sources"]["works"].items():
            parts.append(_table(f"tasks per second, {work.replace('_', ' ')}", {"": series}))
    if found["first_step"]:
        for work, series in found["first_step"]["works"].items():
            parts.append(_table(f"first step in seconds, {work.replace('_', ' ')}",
                                {"": series}, "first"))  # fmt: skip
    for cores in ("", "one_core/"):
        on = "one core" if cores else "two cores"
        if new := found[f"{cores}new_task"]:
            parts.append(_table(f"one new task, ms, {on}", new["one"]))
            parts.append(_table(f"32 new tasks at a time, ms a task, {on}", new["batch"]))
        if run := found[f"{cores}default_run"]:
            parts.append(_table(f"the default run, s, {on}", {"": run["seconds"]}))
    if found["soak"]:
        parts.append(_table("resident MB", found["soak"]["megabytes"]))
    if found["peak"]:
        for work, series in found["peak"]["works"].items():
            parts.append(_table(f"peak, {work.replace('_', ' ')}", {"": series}))
    return "\n\n".join(parts) or MISSING


def serving(found: dict | None) -> str:
    """The load of the HTTP service, and its memory."""
    if not found:
        return MISSING
    rows = [
        f"| {kind} | {clients} | {one['requests_s']:.0f} | {one['p50_ms']:.1f} | "
        f"{one['p99_ms']:.1f} |"
        for kind, series in found["load"].items()
        for clients, one in series.items()
    ]
    memory, versions = found["memory"], found["versions"]
    packages = ", ".join(f"{name} {versions[name]}" for name in ("tensorflow", "fastapi"))
    head = ["| | clients | requests a second | p50, ms | p99, ms |", "|---|---|---|---|---|"]
    return "\n".join([
        *head, *rows, "",
        f"For {memory['seconds'] / 60:.0f} minutes eight clients learned {memory['tasks']:,} tasks "
        f"and asked nine times about each.",
        f"Resident memory was {memory['early']:.0f} MB in the first tenth of that time and "
        f"{memory['late']:.0f} MB in the last.",
        f"({found['date']}, {found['machine']}; {packages}.)",
    ])  # fmt: skip


def _table(title: str, rows: dict[str, dict[str, Any]], key: str | None = None) -> str:
    columns = list(dict.fromkeys(c for series in rows.values() for c in series))
    lines = [f"| {title} | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, series in rows.items():
        values = [series.get(c) for c in columns]
        if key:
            values = [v.get(key) if v else None for v in values]
        lines.append(f"| {name} | " + " | ".join(number(v) for v in values) + " |")
    return "\n".join(lines)


def _cell(one: dict[str, Any] | None) -> str:
    if one is None:
        return "–"
    if "rate" in one:
        return number(one["rate"])
    return "failed" if any("failed" in tried for tried in one["tried"]) else "too slow"


def _between(text: str, mark: str, part: str) -> str:
    """Replaces the text between the two comments of a mark."""
    pattern = rf"(<!-- {mark} -->\n).*?(<!-- end of {mark} -->)"
    new, count = re.subn(pattern, lambda m: f"{m[1]}\n{part}\n\n{m[2]}", text, flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"The page must have the mark {mark!r} once. Received: {count} times.")
    return new


if __name__ == "__main__":
    main()
