"""The command `meta-tf`: its subcommands, its help and its error messages."""

from __future__ import annotations

import dataclasses
import gc
import importlib
import os
import re
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from meta_tf import __version__
from meta_tf.command import quiet
from meta_tf.files import write_text
from meta_tf.run.stop import Stopped, StopRequest, ignore_from_now

# Each is a module of this package with GROUPS of flags, EXAMPLES for the help, and `run`, which
# takes the settings in GROUPS, or what the module's `settings` makes of the flags.
COMMANDS = {
    "train": "Trains a meta-learner, evaluates it on new tasks and exports it.",
    "evaluate": "Measures how well a trained learner learns new tasks.",
    "adapt": "Learns classes from a few pictures of each, and names new pictures.",
    "predict": "Predicts new examples with a model that adapt saved.",
    "export": "Writes a trained learner for TensorFlow alone, or for a device without it.",
    "demo": "Shows a page that learns what you draw, in your browser alone.",
}
# Flags that determine how much memory a command needs, the most effective ones first.
_OF_MEMORY = (
    "meta_batch_size shots queries ways inputs outputs inner_steps eval_steps image_size hidden "
    "filters"
)
# The flags that words without dashes set.
WORDS = {"adapt": ("support", "query"), "predict": ("model", "query")}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code. An error is printed in one line.

    Args:
      argv: the words after `meta-tf`; the arguments of the process if None.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _main(words)
    except BrokenPipeError:  # `meta-tf train --help | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    if argv is None:  # the process ends now
        ignore_from_now()
        gc.freeze()  # Python would search all objects for garbage before it ends: a second
    return code


def _main(words: list[str]) -> int:
    """The exit code of a command line. `meta-tf --help` does not import TensorFlow."""
    if not words or words[0] in ("-h", "--help", "help"):
        print(help_text())
        return 0
    if words[0] == "--version":
        print(f"meta-tf {__version__}")
        return 0
    name = words.pop(0)
    if name not in COMMANDS:
        known = ", ".join(COMMANDS)
        wrong = f"error: the first word must be one of {known}. Received: {name!r}."
        print(f"meta-tf: {wrong}", file=sys.stderr)
        return 1
    return _run(name, words)


def _run(name: str, words: list[str]) -> int:
    """Runs a subcommand and returns its exit code. An error is printed in one line."""
    again = " The same command continues from the last checkpoint." * (name == "train")
    stop = StopRequest(f"meta-tf {name}", again)
    with stop.signals():
        code, message = _tried(name, words)
    if code:  # only now: a signal that ends the process prints its own
        line = f"error: {' '.join(message.split())}" if code == 1 else f"{message}{again}"
        print(f"meta-tf {name}: {line}", file=sys.stderr)
    return code


def _tried(name: str, words: list[str]) -> tuple[int, str]:
    """The exit code of a subcommand, and its error message."""
    settings = None
    try:
        quiet.load()
        if {"-h", "--help"} & set(words):
            print(help_of(name), flush=True)
            return 0, ""
        settings = read(name, words)
        module_of(name).run(settings)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except Stopped as stopped:
        return stopped.exit_code, str(stopped)
    except flags.UnrecognizedFlagError as error:
        end = " " if str(error).endswith("?") else ". "  # after "Did you mean: iterations ?"
        return 1, f"{error}{end}`meta-tf {name} --help` lists all flags."
    except (flags.Error, ValueError, ImportError, OSError, RuntimeError) as error:
        return 1, _in_words(error)
    except Exception as error:
        if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
            return 1, _out_of_memory(error, settings)
        return 1, f"{type(error).__name__}: {error}{_log(name, settings)}"
    return 0, ""


def read(name: str, words: Sequence[str]) -> Any:
    """The settings of a subcommand from the words of its command line; a tuple of several kinds."""
    from meta_tf.command.define import settings_in
    from meta_tf.command.read_flags import read_flags
    from meta_tf.command.registry import import_module

    command = module_of(name)
    values = read_flags(f"meta-tf {name}", command.GROUPS, words, WORDS.get(name, ()))
    for module in getattr(values, "import"):
        import_module("import", module)
    if not hasattr(command, "settings"):
        return settings_in(command.GROUPS, values)
    settings = command.settings(values)
    return dataclasses.replace(settings, command=tuple(words)) if name == "train" else settings


def help_text() -> str:
    """What `meta-tf --help` prints."""
    return "\n".join(
        [
            "usage: meta-tf COMMAND [--flag=value ...]",
            "",
            "Meta-learning for TensorFlow and Keras: models that learn new tasks from a handful",
            "of examples.",
            "",
            *(f"  {name:<10}{about}" for name, about in COMMANDS.items()),
            "",
            "  meta-tf COMMAND --help    lists a command's flags",
            "  meta-tf --version         prints the version",
        ]
    )


def help_of(name: str) -> str:
    """What `meta-tf NAME --help` prints."""
    from meta_tf import zoo
    from meta_tf.command.define import flags_of
    from meta_tf.command.read_flags import about_preset, presets

    command = module_of(name)
    words = [f"[{word.upper()}]" for word in WORDS.get(name, ())]
    usage = " ".join(["usage: meta-tf", name, *words, "[--flag=value ...]"])
    values = flags_of(command.GROUPS)
    listed = "\n".join(values.module_help(title) for title in command.GROUPS)
    parts = [usage, COMMANDS[name], listed.strip("\n")]
    if {"learner", "initial_weights"} & set(values):
        parts.append("shipped learners:\n" + "\n".join(f"  {name}" for name in zoo.names()))
    parts.append(f"examples:{command.EXAMPLES.rstrip()}")
    if "preset" in values:
        described = (f"  {name}\n      {about_preset(name)}" for name in presets())
        parts.append("presets:\n" + "\n".join(described))
    return "\n\n".join(parts)


def module_of(name: str) -> Any:
    """The module of a subcommand; see `COMMANDS`."""
    return importlib.import_module(f"meta_tf.command.{name}")


def _in_words(error: Exception) -> str:
    """The message of an error."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    # absl shows the arguments of the exception as a tuple.
    return re.sub(
        r"\('Non-boolean argument to boolean flag', .*\)", "must be true or false", str(error)
    )


def _out_of_memory(error: Exception, settings: Any) -> str:
    """The message if there is not enough memory, with the flags that reduce the need."""
    from meta_tf.command.settings import names_in

    first = (str(error).strip().splitlines() or ["no more is available"])[0].rstrip(".")
    first = re.sub(r"\{\{.*?\}\} | on /job:.*", "", first)  # names of TensorFlow's operations
    names = names_in(settings)
    there = [f"--{name}" for name in _OF_MEMORY.split() if name in names]
    cure = f"Lower {' or '.join(there)}" if there else "Process less data at once"
    return f"out of memory: {first}. {cure}."


def _log(name: str, settings: Any) -> str:
    """Writes the traceback of an unexpected error to the run's folder, if there is one."""
    if not hasattr(settings, "training") or not Path(settings.training.workdir).is_dir():
        return ""
    path = Path(settings.training.workdir) / f"{name}_error.log"
    try:
        write_text(path, traceback.format_exc())
    except OSError:
        return ""
    return f" (details in {path})"
