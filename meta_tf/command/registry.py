"""The tasks, models and algorithms of the command line, and their arguments.

A built-in name stands for a `package.module:Name`, and is handled like one from outside the
package: the arguments of what it names are its flags.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import inspect
import os
import re
import sys
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from meta_tf.command.flag_types import parser_for

# To add one to the command line, add a line here.
BUILT_IN = {
    "task": {
        "sinusoid": "meta_tf.tasks:Sinusoid",
        "hidden_teacher": "meta_tf.tasks:HiddenTeacher",
        "omniglot": "meta_tf.tasks:Omniglot",
        "images": "meta_tf.tasks:ImageFolder",
        "table": "meta_tf.tasks:from_table",
    },
    "model": {
        "mlp": "meta_tf.models:mlp",
        "conv4": "meta_tf.models:conv4",
    },
    "algorithm": {
        "alpaca": "meta_tf.algorithms:ALPaCA",
        "imaml": "meta_tf.algorithms:IMAML",
        "in_context": "meta_tf.algorithms:InContext",
        "logistic_regression": "meta_tf.algorithms:LogisticRegression",
        "anil": "meta_tf.algorithms:ANIL",
        "boil": "meta_tf.algorithms:BOIL",
        "fomaml": "meta_tf.algorithms:FOMAML",
        "maml": "meta_tf.algorithms:MAML",
        "meta_sgd": "meta_tf.algorithms:MetaSGD",
        "mamlpp": "meta_tf.algorithms:MAMLPlusPlus",
        "matching_net": "meta_tf.algorithms:MatchingNet",
        "meta_curvature": "meta_tf.algorithms:MetaCurvature",
        "protomaml": "meta_tf.algorithms:ProtoMAML",
        "protonet": "meta_tf.algorithms:ProtoNet",
        "r2d2": "meta_tf.algorithms:R2D2",
        "reptile": "meta_tf.algorithms:Reptile",
    },
}
AUTO = "auto"  # the algorithm that the command chooses
# Flags whose names differ from those of their arguments. If two components use a name for different
# arguments, the key begins with the name of the component, or with its kind.
RENAMED = {
    "path": "data_dir",
    "size": "image_size",
    "table.split": "groups_file",
    "task.scale": "scale_pixels",
    "optimizer": "inner_optimizer",
    "adapted": "adapt",
}
# Arguments that the command itself passes; they are not flags of a component.
GIVEN = {
    "task": {"train_ways", "train_shots", "seed"},
    "model": {"inputs", "input_shape", "outputs", "ways"},
    "algorithm": {"ways", "head"},
}


@dataclasses.dataclass(frozen=True)
class Argument:
    """An argument of a function or class, or a field of a dataclass.

    `default` is `inspect.Parameter.empty` if there is none; `about` is the description in the
    docstring, in one line.
    """

    name: str
    annotation: Any
    default: Any
    about: str

    @property
    def is_required(self) -> bool:
        """Whether it has no default."""
        return self.default is inspect.Parameter.empty


@dataclasses.dataclass(frozen=True)
class Component:
    """A task source, model or algorithm.

    Args:
      kind: `"task"`, `"model"` or `"algorithm"`.
      name: its name on the command line.
      make: the function or class that creates it.
      takes: the arguments of `make`, by name.
    """

    kind: str
    name: str
    make: Callable[..., Any]
    takes: dict[str, Argument]

    @property
    def is_built_in(self) -> bool:
        """Whether it is part of the package."""
        return ":" not in self.name

    def flag_of(self, argument: str) -> str:
        """The flag that sets an argument."""
        keys = f"{self.name}.{argument}", f"{self.kind}.{argument}", argument
        return next((RENAMED[key] for key in keys if key in RENAMED), argument)

    def flags(self) -> dict[str, Argument]:
        """The arguments by flag, without those that the command passes or text cannot express."""
        return {
            self.flag_of(name): argument
            for name, argument in self.takes.items()
            if name not in GIVEN[self.kind]
            and not (self.is_built_in and parser_for(argument.annotation) is None)
        }

    def in_errors(self) -> dict[str, str]:
        """How error messages name the arguments, and the flags in place of that."""
        hidden = set() if self.kind == "task" else GIVEN[self.kind]
        return {f"`{name}`": f"--{self.flag_of(name)}" for name in self.takes.keys() - hidden}


@functools.cache
def find(kind: str, name: str) -> Component:
    """The component with this name.

    Raises:
      ValueError: if it cannot be imported, or is not a task, model or algorithm.
    """
    module_name, _, attribute = BUILT_IN[kind].get(name, name).partition(":")
    found = getattr(import_module(kind, module_name), attribute, None)
    if found is None:
        raise ValueError(
            f"--{kind} must name an object in a module. Received: {name}; {module_name} has no "
            f"{attribute!r}."
        )
    if kind == "algorithm" and ":" in name:
        _check_algorithm(found, name)
    try:
        return Component(kind, name, found, arguments_of(found))
    except (TypeError, ValueError):  # it is not callable, or written in C
        raise ValueError(
            f"--{kind} must name a function or class with a signature. Received: {name}, of type "
            f"{type(found).__name__}, which has none. Wrap it in a function."
        ) from None


@functools.cache
def component_flags(kind: str) -> dict[str, list[tuple[Component, Argument]]]:
    """The flags of all built-in tasks, models or algorithms, with the components that have them."""
    found: dict[str, list[tuple[Component, Argument]]] = {}
    for component in (find(kind, name) for name in BUILT_IN[kind]):
        for flag, argument in component.flags().items():
            found.setdefault(flag, []).append((component, argument))
    return found


@contextlib.contextmanager
def renamed(names: Mapping[str, str]) -> Iterator[None]:
    """In a ValueError of the block, replaces texts such as "`steps`" by flags, "--eval_steps"."""
    try:
        yield
    except ValueError as error:
        message = str(error)
        for text, flag in names.items():
            message = message.replace(text, flag)
        raise ValueError(message) from error


def import_module(flag: str, name: str) -> Any:
    """Imports a module, also from the current directory."""
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ValueError(
            f"--{flag} must name a module in {os.getcwd()} or an installed one. Received: "
            f"{name!r}. Python reports: {error}."
        ) from error


@functools.cache
def arguments_of(maker: Any) -> dict[str, Argument]:
    """The named arguments of a function or class, by name.

    Example:
      >>> list(arguments_of(meta_tf.R2D2)), arguments_of(meta_tf.R2D2)["ways"].annotation
      (['ways', 'regularization', 'scale'], <class 'int'>)
    """
    hints = _hints(maker)
    made = hints.get("return")  # such as MAML, which FOMAML returns
    about: dict[str, str] = {}
    for documented in (made, *reversed(getattr(maker, "__mro__", (maker,)))):
        about |= _described(documented)
    return {
        name: Argument(name, hints.get(name), parameter.default, about.get(name, ""))
        for name, parameter in inspect.signature(maker).parameters.items()
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    }


def _hints(maker: Any) -> dict[str, Any]:
    is_class = isinstance(maker, type) and not dataclasses.is_dataclass(maker)
    try:
        hints = typing.get_type_hints(maker.__init__ if is_class else maker, include_extras=True)
    except (NameError, TypeError):  # names that are imported only for type checkers
        return {}
    made = hints.get("return")
    return {**_hints(made), **hints} if dataclasses.is_dataclass(made) else hints


def _described(thing: Any) -> dict[str, str]:
    """The descriptions in the section `Args:` of a docstring, by name."""
    text = inspect.cleandoc(getattr(thing, "__doc__", None) or "")
    section = re.search(r"^Args:\n((?:[ ]+.*\n?|\n)*)", text, re.MULTILINE)
    entries = re.split(r"^  (?=\w)", section[1] if section else "", flags=re.MULTILINE)
    parts = (entry.partition(":") for entry in entries if ":" in entry)
    return {n: " ".join(text.split()) for names, _, text in parts for n in names.split(", ")}


def first_sentence(text: str) -> str:
    """The first sentence of a description, for the help.

    Example:
      >>> first_sentence("step size; `0.01` in the paper. Another sentence.")
      'Step size; 0.01 in the paper.'
    """
    sentence = re.split(r"\.(?= [A-Z(])", text)[0].rstrip(".")
    first = sentence[:1].upper() if sentence[:1].isascii() else sentence[:1]  # not of λ
    return re.sub('[`"]', "", f"{first}{sentence[1:]}.") if text else ""


def has_inner_loop(algorithm: Component) -> bool:
    """Whether an algorithm learns a task in steps."""
    return "inner_steps" in algorithm.takes


def needs_classes(algorithm: Component) -> bool:
    """Whether a built-in algorithm can only classify."""
    ways = algorithm.takes.get("ways")
    required = ways is not None and ways.is_required
    # The prototypes of the classes are the last layer of ProtoMAML.
    return algorithm.is_built_in and (required or algorithm.name == "protomaml")


def _check_algorithm(found: Any, name: str) -> None:
    from keras import saving

    from meta_tf.algorithms import Algorithm

    if not (isinstance(found, type) and issubclass(found, Algorithm)):
        raise ValueError(
            f"--algorithm must name a class derived from meta_tf.Algorithm. Received: {name}, "
            f"which is {found!r}."
        )
    if saving.get_registered_object(saving.get_registered_name(found)) is not found:
        raise ValueError(
            f"--algorithm must name a class that Keras can save and load again. Received: {name}, "
            'which is not registered. Decorate it: @keras.saving.register_keras_serializable("my").'
        )
