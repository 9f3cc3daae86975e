"""The command `meta-tf`: its subcommands, its help, and what it says when something is wrong."""

from __future__ import annotations

import importlib
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from meta_tf import __version__
from meta_tf.files import write_text
from meta_tf.runs import flags, preset_files, quiet
from meta_tf.runs.meaning import check_meaning
from meta_tf.runs.parser import Parser
from meta_tf.runs.read_flags import read_flags
from meta_tf.runs.stop import Stopped, StopRequest


class Command(NamedTuple):
    """A subcommand: the module whose `run` does it; what it does; its flags; its plain words."""

    module: str
    about: str
    groups: Callable[[], flags.Groups]
    words: tuple[str, ...] = ()


COMMANDS = {
    "train": Command(
        "meta_tf.runs.train",
        "Trains a meta-learner, evaluates it on new tasks and exports it.",
        flags.train_groups,
    ),
    "evaluate": Command(
        "meta_tf.runs.evaluate",
        "Measures how well a trained learner learns new tasks.",
        flags.evaluate_groups,
    ),
    "adapt": Command(
        "meta_tf.runs.adapt",
        "Learns classes from a few pictures of each, and names new pictures.",
        flags.adapt_groups,
        ("support", "query"),
    ),
    "export": Command(
        "meta_tf.runs.export",
        "Writes a trained learner for TensorFlow alone, or for a device without it.",
        flags.export_groups,
    ),
    "demo": Command(
        "meta_tf.runs.demo",
        "Shows a page that learns what you draw, in your browser alone.",
        flags.demo_groups,
    ),
}
EXAMPLES = {
    "train": """\
  meta-tf train                         Finn's 10-shot sinusoid, in about a minute
  meta-tf train --preset=omniglot_5way_1shot --data_dir=DIR --iterations=3000
  meta-tf train --task=images --data_dir=DIR
  meta-tf train --algorithm=my.module:MyAlgorithm --set my_setting=3
The same command again goes on where an interrupted run stopped, or shows a finished
one's results. A preset is a file of flags; flags given beside it go over it. --noNAME
is the same as --NAME=False.""",
    "evaluate": """\
  meta-tf evaluate --learner=omniglot_5way_1shot --data_dir=DIR
  meta-tf evaluate --learner=runs/sinusoid_10shot/learner.keras --eval_steps=20""",
    "adapt": """\
  meta-tf adapt my_characters new_drawings --output=answers.csv
Each subfolder of SUPPORT is a class and holds its pictures: PNG, JPEG, GIF, WebP or BMP. Instead,
SUPPORT may hold one picture for each class, named after it. Pictures are resized to what the
learner takes. Each new picture is named by itself, whichever others are in its folder.""",
    "export": """\
  meta-tf export --learner=omniglot_5way_1shot --output=saved_model
  meta-tf export --learner=runs/sinusoid_10shot --output=saved_model
  meta-tf export --learner=omniglot_5way_1shot --format=litert --output=learner.tflite
What is not for TensorFlow is run, and compared with TensorFlow, before it is handed over.""",
    "demo": """\
  meta-tf demo
  meta-tf demo --output=page
  meta-tf demo --learner=runs/mine/learner.keras --output=page
It needs the extra onnx, and npm once: what runs the learner in a browser is fetched by it.""",
}

# Flags that decide how much memory a command needs, those that help most first.
_OF_MEMORY = (
    *("meta_batch_size", "shots", "queries", "ways", "inner_steps", "eval_steps"),
    *("image_size", "hidden", "filters"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code; whatever goes wrong is told in one line.

    Args:
      argv: the words after `meta-tf`; those that the process was given if None.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return _main(words)
    except BrokenPipeError:  # `meta-tf train --help | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _main(words: list[str]) -> int:
    """The exit code of a command line; help and version are told at once."""
    if not words or words[0] in ("-h", "--help", "help"):
        print(help_text())
        return 0
    if words[0] == "--version":
        print(f"meta-tf {__version__}")
        return 0
    name = words.pop(0)
    if name not in COMMANDS:
        known = ", ".join(COMMANDS)
        return _complain("", f"the first word must be one of {known}. Received: {name!r}.")
    if {"-h", "--help"} & set(words):
        try:
            print(parser_of(name).format_help().rstrip(), flush=True)
        except ValueError as error:  # of two flags of one name
            return _complain(name, str(error))
        return 0
    return _run(name, words)


def _run(name: str, words: list[str]) -> int:
    """Runs a subcommand and returns its exit code; tells in a line what went wrong."""
    again = " The same command goes on from the last checkpoint." * (name == "train")
    stop = StopRequest(f"meta-tf {name}", again)
    with stop.signals():
        code, line = _tried(name, words)
    if line:  # not before: a signal that ends the process has its own
        print(f"meta-tf {name}: {line}{again if code > 1 else ''}", file=sys.stderr)
    return code


def _tried(name: str, words: list[str]) -> tuple[int, str]:
    """The exit code of a subcommand, and what went wrong."""
    found = None
    try:
        found = read_flags(parser_of(name), words)
        if "task" in found:  # as far as it can be told without TensorFlow
            check_meaning(found)
        quiet.load()
        importlib.import_module(COMMANDS[name].module).run(found)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except Stopped as stopped:
        return stopped.exit_code, str(stopped)
    except (ValueError, OSError, RuntimeError) as error:
        return 1, _complaint(_told(error))
    except Exception as error:
        if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
            return 1, _complaint(_out_of_memory(error, found))
        details = _log(name, getattr(found, "workdir", None))
        return 1, _complaint(f"{type(error).__name__}: {error}{details}")
    return 0, ""


def _told(error: Exception) -> str:
    """An error in words; one of the disk with the path first."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _out_of_memory(error: Exception, found: Any) -> str:
    """What to say if there is too little memory: by which flags a run needs less."""
    first = (str(error).strip().splitlines() or ["no more is to be had"])[0].rstrip(".")
    first = re.sub(r"\{\{.*?\}\} | on /job:.*", "", first)  # where in TensorFlow
    there = [f"--{flag}" for flag in _OF_MEMORY if getattr(found, flag, None) is not None]
    cure = f"Lower {' or '.join(there)}" if there else "Give it less at once"
    return f"out of memory: {first}. {cure}."


def _log(name: str, folder: str | None) -> str:
    """Writes the details of an unforeseen error to the run's folder, if there is one."""
    if folder is None or not Path(folder).is_dir():
        return ""
    path = Path(folder) / f"{name}_error.log"
    try:
        write_text(path, traceback.format_exc())
    except OSError:
        return ""
    return f" (details in {path})"


def help_text() -> str:
    """What `meta-tf --help` prints."""
    return "\n".join(
        [
            "usage: meta-tf COMMAND [--flag=value ...]",
            "",
            "Meta-learning for TensorFlow and Keras: models that learn new tasks from a handful",
            "of examples.",
            "",
            *(f"  {name:<10}{command.about}" for name, command in COMMANDS.items()),
            "",
            "  meta-tf COMMAND --help    tells a command's flags",
            "  meta-tf --version         tells the version",
        ]
    )


def parser_of(name: str) -> Parser:
    """The parser of a subcommand's flags."""
    command = COMMANDS[name]
    after = f"examples:\n{EXAMPLES[name]}"
    if name == "train":
        listed = (
            f"  {preset}\n      {preset_files.about(preset)}" for preset in preset_files.names()
        )
        after += "\n\npresets:\n" + "\n".join(listed)
    return Parser(f"meta-tf {name}", command.about, command.groups(), after, command.words)


def _complain(name: str, message: str) -> int:
    """Prints an error in one line and returns the exit code."""
    program = " ".join(["meta-tf", name]).strip()
    print(f"{program}: {_complaint(message)}", file=sys.stderr)
    return 1


def _complaint(message: str) -> str:
    return f"error: {' '.join(message.split())}"
