"""A run's `flags.txt`: what it was made with, and whether a resumed run has the same settings."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import meta_tf
from meta_tf.command import registry
from meta_tf.command.flag_types import NONE, as_text, parser_for
from meta_tf.command.registry import Argument
from meta_tf.command.seen_classes import as_setting
from meta_tf.command.settings import Train
from meta_tf.evaluation.metrics_csv import METRICS
from meta_tf.run.checkpoints import find_checkpoints
from meta_tf.run.settings import Training

NAME = "flags.txt"
# What can change when a run is resumed, because it has no effect on what is learned.
_FREE = {"data_dir", "download", "mirror", "cache_dir", "workdir", "device", "iterations"}
_FREE |= {"eval_tasks", "eval_steps", "checkpoint_every", "keep_checkpoints", "restore_best"}
_FREE |= {"steps_per_execution", "strategy", "logical_devices", "worker_timeout"}
_NOT_KEPT = {"baselines", "calibrate", "profile", "restart", "restart_from"}
# With `Training.restart_from`, these may change too.
RATES = frozenset({"inner_lr", "meta_lr", "clip_norm"})
_UNTIL = "# Until iteration "


@dataclasses.dataclass(frozen=True)
class MadeWith:
    """All settings of a run, as text.

    Args:
      training: how the training runs, and in which folder.
      settings: the text of each setting and the text of its default, by name.
      free: the names of the settings that may change when a run is resumed.
      others: arguments without a flag, as given to `--set`.
      learns_inner_lr: whether the inner step size is learned, so that a new one has no effect.
      seen: the classes of pictures that the run has seen; see `seen_classes`.
    """

    training: Training
    settings: Mapping[str, tuple[str, str]]
    free: frozenset[str] = frozenset()
    others: tuple[str, ...] = ()
    learns_inner_lr: bool = False
    seen: frozenset[str] = frozenset()

    def pairs(self) -> list[tuple[str, str]]:
        """The names and texts of the settings, except those that are None by default and None."""
        pairs = self.settings.items()
        given = [(name, text) for name, (text, default) in pairs if {text, default} != {NONE}]
        return [*given, *(("set", text) for text in self.others)]

    def texts(self) -> dict[str, str]:
        """The texts by name, as a run's files store them."""
        texts = {name: text for name, (text, _) in self.settings.items()}
        return {**texts, "set": _joined(self.others), **as_setting(self.seen)}

    def of_another_run(self, settings: Mapping[str, str]) -> str:
        """Why a file with these settings is from another run; empty if it can be from this one."""
        changed = self._difference(settings, RATES) if settings else None
        if changed is None:
            return ""
        name, old, new = changed
        return f"it is of another run, with --{name}={old}, and not {new}"

    def text(self) -> str:
        """The content of `flags.txt`, which `--flagfile` accepts.

        If the run `restarts`, a comment records the rates until `restart_from`.
        """
        history = [] if self.training.restart else self._history()
        if self.restarts():
            old = [f"--{name}={text}" for name, text in pairs_in(self._path) if name in RATES]
            history.append(f"{_UNTIL}{self.training.restart_from}: {' '.join(old)}")
        return "\n".join([*history, *(f"--{name}={text}" for name, text in self.pairs())]) + "\n"

    def check_same_run(self) -> None:
        """Raises ValueError if the folder contains a run with other settings.

        With `restart`, they may differ; with `restart_from`, the rates may.
        """
        training = self.training
        free = RATES if training.restart_from is not None else frozenset()
        changed = None if training.restart else self._changed(free)
        if changed is not None:
            name, old, new = changed
            rates = ", or continue from an earlier checkpoint: --restart_from" * (name in RATES)
            raise ValueError(
                f"--{name} must be {old!r}, as in {self._path}, to continue "
                f"that run. Received: --{name}={new}. Give another --workdir, or the same "
                f"value{rates}."
            )

    def restarts(self) -> bool:
        """Whether the run still has to go back to `restart_from`.

        An interrupted run is resumed with the same command. If it went back before, the comments
        of the file say so, and the rates are the same.
        """
        if self.training.restart_from is None or self.training.restart:
            return False
        inner = self._changed(RATES - {"inner_lr"})
        if inner and self.learns_inner_lr:
            raise ValueError(
                f"--inner_lr is learned here: its first value ({inner[1]}) has no effect after the "
                f"first step. Received: --inner_lr={inner[2]} with --restart_from. Change "
                "--meta_lr or --clip_norm instead."
            )
        last = "".join(self._history()[-1:])
        before = last.startswith(f"{_UNTIL}{self.training.restart_from}: ")
        return not before or self._changed(frozenset()) is not None

    @property
    def _path(self) -> Path:
        return Path(self.training.workdir) / NAME

    def _history(self) -> list[str]:
        """The comments about earlier rates in the file of the run in the folder."""
        if not self._path.exists():
            return []
        lines = self._path.read_text("utf-8", errors="replace").splitlines()
        return [line for line in lines if line.startswith(_UNTIL)]

    def _changed(self, free: frozenset[str]) -> tuple[str, str, str] | None:
        """The first setting that differs from the run in the folder: its name, old and new text."""
        workdir = Path(self.training.workdir)
        has_steps = (workdir / METRICS).exists() or find_checkpoints(workdir)
        if not (has_steps and self._path.exists()):  # nothing to lose, or nothing to compare with
            return None
        pairs = pairs_in(self._path)
        before = {name: text for name, text in pairs if name != "set"}
        before["set"] = _joined(text for name, text in pairs if name == "set")
        return self._difference(before, free)

    def _difference(
        self, before: Mapping[str, str], free: frozenset[str]
    ) -> tuple[str, str, str] | None:
        """The first setting that differs from those before: its name, old and new text.

        A setting that did not exist before had its default. Settings that no longer have a meaning
        are not compared: then the task, the model or the algorithm differs too.
        """
        now = {**self.settings, "set": (_joined(self.others), "")}
        for name in sorted(now.keys() - self.free - free):
            new, default = now[name]
            old = before.get(name, default)
            same = _same_arguments(old, new) if name == "set" else old == new
            if not same and (old or NONE) != (new or NONE):  # earlier versions wrote empty lists
                return name, old, new
        return None


def made_with(train: Train, algorithm: meta_tf.Algorithm) -> MadeWith:
    """All settings of a run that have a meaning; those of the algorithm as built."""
    groups: list[Any] = [train.training, train.sizes, train.learner]
    settings = {
        name: _texts(getattr(group, name), argument)
        for group in groups
        for name, argument in registry.arguments_of(type(group)).items()  # type: ignore[arg-type]
        if name not in _NOT_KEPT and name not in train.ignored
    }
    for choice in (train.task, train.model):
        kind = choice.component.kind
        settings[kind] = (choice.name, "")
        for flag, argument in choice.component.flags().items():
            if flag in registry.component_flags(kind):
                value = choice.given.get(argument.name, argument.default)
                settings[flag] = _texts(value, argument)
    if "queries" in settings and "queries" not in train.task.given:
        settings["queries"] = (NONE, NONE)  # as many as `shots`
    settings["algorithm"] = (train.algorithm.name, "")
    fields = {field.name: field.default for field in dataclasses.fields(algorithm)}
    for flag, argument in train.algorithm.component.flags().items():
        if flag in registry.component_flags("algorithm"):
            values = getattr(algorithm, argument.name), fields[argument.name]
            settings[flag] = (as_text(values[0]), as_text(values[1]))
    free = set(_FREE)
    if train.training.meta_schedule != "constant":  # the schedule ends with the last iteration
        free.remove("iterations")
    if train.task.name not in ("omniglot", "sinusoid", "hidden_teacher"):  # other data
        free.remove("data_dir")
    learned = algorithm.with_rate(1.0) is None
    return MadeWith(train.training, settings, frozenset(free), train.set, learned)


def _texts(value: Any, argument: Argument) -> tuple[str, str]:
    """The text of a value and of the argument's default, `none` if text cannot express it."""
    parser, default, text = parser_for(argument.annotation), argument.default, NONE
    if parser and not argument.is_required:
        with contextlib.suppress(ValueError):
            if parser.parse(as_text(default)) == default:
                text = as_text(default)
    return (text if value is default else as_text(value)), text


def pairs_in(path: Path) -> list[tuple[str, str]]:
    """The names and texts in the lines `--name=text` of a run's `flags.txt`; none without a file.

    Raises:
      ValueError: if it cannot be read, or contains another line.
    """
    if not path.exists():
        return []
    wanted = f"{path} must be a file of lines --name=value"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not text in UTF-8"
        raise ValueError(f"{wanted}. Received: a file that cannot be read: {why}.") from None
    pairs = []
    for number, line in enumerate(map(str.strip, lines), 1):
        flag = re.fullmatch(r"--(\w+)(=.*)?", line)
        if flag and flag[2]:
            pairs.append((flag[1], flag[2][1:]))
        elif line and line[0] != "#" and not flag:
            raise ValueError(
                f"{wanted}. Received: {line[:60]!r} in line {number}. Restore the file."
            )
    return pairs


def _same_arguments(old: str, new: str) -> bool:
    """Whether texts of `--set` are the same. Earlier versions did not add the kind: `noise=1`."""
    before, now = set(old.split(", ")), set(new.split(", "))
    kind = re.compile(f"^({'|'.join(registry.BUILT_IN)})[.]")
    return len(before) == len(now) and all({text, kind.sub("", text)} & before for text in now)


def _joined(texts: Iterable[str]) -> str:
    return ", ".join(sorted(texts))
