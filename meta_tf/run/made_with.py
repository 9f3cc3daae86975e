"""A run's `flags.txt`: what it was made with, and whether a run that goes on is the same."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from meta_tf.evaluation.metrics_csv import METRICS
from meta_tf.run.checkpoints import find_checkpoints
from meta_tf.run.settings import Training

NAME = "flags.txt"
# What may also change with `Training.restart_from`.
RATES = frozenset({"inner_lr", "meta_lr", "clip_norm"})
_HISTORY = re.compile(r"# Until iteration (\d+): ")


@dataclasses.dataclass(frozen=True)
class MadeWith:
    """All settings that a run was made with, as text.

    Args:
      settings: the text of each setting and that of its default, by name.
      free: the names of those that a run may change when it goes on.
      others: arguments without a flag, as `--set` takes them.
      learns_inner_lr: whether the inner step size is learned, so that a new one has no effect.
    """

    settings: Mapping[str, tuple[str, str]]
    free: frozenset[str] = frozenset()
    others: tuple[str, ...] = ()
    learns_inner_lr: bool = False

    def pairs(self) -> list[tuple[str, str]]:
        """The names and texts, without settings that are unset."""
        told = [
            (n, text) for n, (text, default) in self.settings.items() if {text, default} != {"none"}
        ]
        return [*told, *(("set", text) for text in self.others)]

    def texts(self) -> dict[str, str]:
        """The texts by name: what a run's files keep."""
        texts = {name: text for name, (text, _) in self.settings.items()}
        return {**texts, "set": _joined(self.others)}

    def of_another_run(self, settings: Mapping[str, str]) -> str:
        """Why a file with these settings is not this run's, in words; empty if it may be."""
        changed = self._difference(settings, RATES) if settings else None
        if changed is None:
            return ""
        name, old, new = changed
        return f"it is of another run, with --{name}={old}, and not {new}"

    def text(self, training: Training, restarts: bool = False) -> str:
        """What to write to the run's folder: a file that `--flagfile` takes.

        With `restarts` a comment keeps the rates that were used until `restart_from`.
        """
        lines = _lines(Path(training.workdir) / NAME)
        history = [] if training.restart else [line for line in lines if _HISTORY.match(line)]
        if restarts:
            old = [f"--{name}={text}" for name, text in told_by(lines) if name in RATES]
            history.append(f"# Until iteration {training.restart_from}: {' '.join(old)}")
        return "\n".join([*history, *(f"--{name}={text}" for name, text in self.pairs())]) + "\n"

    def check_same_run(self, training: Training) -> None:
        """Raises ValueError if the folder holds a run of other settings.

        Not with `restart`; with `restart_from` the rates may differ.
        """
        free = RATES if training.restart_from is not None else frozenset()
        changed = None if training.restart else self._changed(training, free)
        if changed is not None:
            name, old, new = changed
            rates = ", or go on from an earlier checkpoint: --restart_from" * (name in RATES)
            raise ValueError(
                f"--{name} is {old!r} in {Path(training.workdir) / NAME} and {new!r} now: that "
                f"would be another run. Give another --workdir, or the same value{rates}."
            )

    def restarts(self, training: Training) -> bool:
        """Whether `restart_from` is still to be done.

        An interrupted run goes on with the same command, after it has been done: the file then
        has it in its comments, and the same rates.
        """
        if training.restart_from is None or training.restart:
            return False
        inner = self._changed(training, RATES - {"inner_lr"})
        if inner and self.learns_inner_lr:
            raise ValueError(
                f"--inner_lr is learned here: its first value ({inner[1]}) has no effect after the "
                f"first step. Received: --inner_lr={inner[2]} with --restart_from. Change "
                "--meta_lr or --clip_norm instead."
            )
        lines = _lines(Path(training.workdir) / NAME)
        done = [int(match[1]) for match in map(_HISTORY.match, lines) if match][-1:]
        return done != [training.restart_from] or self._changed(training, frozenset()) is not None

    def _changed(self, training: Training, free: frozenset[str]) -> tuple[str, str, str] | None:
        """The first setting that differs from the run in the folder, as it was and as it is."""
        workdir = Path(training.workdir)
        path = workdir / NAME
        has_steps = (workdir / METRICS).exists() or find_checkpoints(workdir)
        if not (has_steps and path.exists()):  # nothing that would be lost, or nothing to compare
            return None
        pairs = told_by(lines_of(path, "the run's flags.txt"))
        before = {name: text for name, text in pairs if name != "set"}
        before["set"] = _joined(text for name, text in pairs if name == "set")
        return self._difference(before, free)

    def _difference(
        self, before: Mapping[str, str], free: frozenset[str]
    ) -> tuple[str, str, str] | None:
        """The first setting that differs from what it was before, as it was and as it is.

        One that was not known then had its default. One that has no meaning now is not compared:
        the algorithm, the task or the model would differ too.
        """
        now = {**self.settings, "set": (_joined(self.others), "")}
        for name in sorted(now.keys() - self.free - free):
            new, default = now[name]
            old = before.get(name, default)
            if (old or "none") != (new or "none"):  # earlier versions wrote empty lists of words
                return name, old, new
        return None


def lines_of(path: str | Path, what: str) -> list[str]:
    """The lines `--name=value` of a file; empty ones and comments are left out.

    Args:
      path: the file.
      what: it is, for the error.

    Raises:
      ValueError: if it cannot be read, or has another line.
    """
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not a text in UTF-8"
        raise ValueError(
            f"{what} must be a file of lines --name=value. Received: {str(path)!r}, which cannot "
            f"be read: {why}."
        ) from None
    lines = [line.strip() for line in text.splitlines()]
    for number, line in enumerate(lines, 1):
        if line and line[0] != "#" and not re.fullmatch(r"--\w+(=.*)?", line):
            raise ValueError(
                f"{what} must be a file of lines --name=value. Received: line {number} of "
                f"{str(path)!r}, {line[:60]!r}. Write one flag a line, or restore the file."
            )
    return [line for line in lines if line and line[0] != "#"]


def told_by(lines: Iterable[str]) -> list[tuple[str, str]]:
    """The names and texts of lines `--name=text`; other lines are ignored."""
    flags = (line.removeprefix("--") for line in lines if line.startswith("--") and "=" in line)
    return [(name, text) for name, _, text in (flag.partition("=") for flag in flags)]


def _lines(path: Path) -> list[str]:
    # With its comments, and as far as it can be read: `_changed` names what cannot.
    return path.read_text("utf-8", errors="replace").splitlines() if path.exists() else []


def _joined(texts: Iterable[str]) -> str:
    return ", ".join(sorted(texts))
