"""Tasks, models and algorithms from outside the package, given as `package.module:Name`."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import inspect
import os
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

from meta_tf.runs import quiet
from meta_tf.runs.kinds import literal

WHAT = ("task", "model", "algorithm")


def is_outside(name: str) -> bool:
    """Whether a name is that of something outside the package."""
    return ":" in name


def check_allowed(file: str, values: Mapping[str, Any], by_hand: Mapping[str, Any]) -> None:
    """Raises ValueError if a file asks for code from outside the package.

    Files are data: a task, model or algorithm of the form `module:Name` is imported only if the
    command line itself gives it, or names its module by `--import`.

    Args:
      file: what the error calls the file.
      values: the flags that it holds, by name.
      by_hand: the flags of the command line itself.
    """
    for what in WHAT:
        name = values.get(what) or ""
        module = name.partition(":")[0]
        if is_outside(name) and what not in by_hand and module not in by_hand.get("import", ()):
            raise ValueError(
                f"{file} asks for --{what}={name}, which is code from outside the package: a file "
                f"alone does not run any. If you trust that code, add --import={module}, or give "
                f"--{what} on the command line."
            )


def load(what: str, name: str) -> Any:
    """What `package.module:Name` names; the current directory can be imported from.

    Args:
      what: the flag that it was given to: `"task"`, `"model"` or `"algorithm"`.
      name: the module and the name in it.

    Raises:
      ValueError: if it cannot be imported, or is nothing that the flag takes.
    """
    module_name, _, attribute = name.partition(":")
    found = getattr(import_module(what, module_name), attribute, None)
    if found is None:
        raise ValueError(
            f"--{what} must name something in a module. Received: {name}; {module_name} has no "
            f"{attribute!r}."
        )
    if what == "algorithm":
        _check_algorithm(found, name)
    elif not callable(found):
        raise ValueError(
            f"--{what} must name a function or class. Received: {name}, of type "
            f"{type(found).__name__}."
        )
    try:
        inspect.signature(found)
    except ValueError:  # of something written in C
        raise ValueError(
            f"--{what} must name a function or class whose arguments Python can tell. Received: "
            f"{name}. Wrap it in a function of your own."
        ) from None
    return found


def import_module(flag: str, name: str) -> Any:
    """Imports a module, also from the current directory."""
    quiet.load()
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ValueError(
            f"--{flag} must name a module that can be imported, from {os.getcwd()} or from what is "
            f"installed. Received: {name!r}; Python says: {error}."
        ) from error


def loading_error(error: Exception) -> str:
    """What Keras complains of when it cannot load something; it wraps that in pages."""
    inner = re.search(r"Could not locate \w+ '\w+'\.", str(error))
    return inner[0] if inner else str(error).split("\n")[0]


def assigned(flags: argparse.Namespace, makers: dict[str, Callable[..., Any]]) -> dict[str, dict]:
    """What `--set` says for the task, the model and the algorithm, by argument.

    Args:
      flags: with `set`, a tuple of texts `what.name=value` or `name=value`.
      makers: what makes each of them; its signature says which arguments there are.

    Raises:
      ValueError: if there is no such argument, or a name without a word before it is one of
        several makers.
    """
    found: dict[str, dict[str, Any]] = {what: {} for what in WHAT}
    for text in flags.set:
        name, equals, value = text.partition("=")
        what, dot, argument = name.rpartition(".")
        if not equals or (dot and what not in makers):
            forms = ", ".join(f"{w}.name=value" for w in makers)
            raise ValueError(
                f"--set must be name=value, or one of {forms}. Received: --set={text}."
            )
        takers = [what] if dot else [w for w in makers if is_outside(getattr(flags, w))]
        takers = [w for w in takers if argument in arguments_of(makers[w])]
        if len(takers) != 1:
            raise ValueError(_not_one(text, argument, takers, flags, makers))
        found[takers[0]][argument] = literal(value)
    return found


def arguments_of(maker: Callable[..., Any]) -> set[str]:
    """The names of the arguments that a function or class takes."""
    parameters = inspect.signature(maker).parameters.values()
    named = {p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    if any(p.kind is p.VAR_KEYWORD for p in parameters) and inspect.isfunction(maker):
        made = inspect.get_annotations(maker, eval_str=True).get("return")  # FOMAML and the like
        if dataclasses.is_dataclass(made):
            named |= {field.name for field in dataclasses.fields(made)}
    return named


def _not_one(
    text: str,
    argument: str,
    takers: list[str],
    flags: argparse.Namespace,
    makers: dict[str, Callable[..., Any]],
) -> str:
    """What to say of a `--set` that no maker takes, or several."""
    if takers:
        return (
            f"--set must say whose argument {argument!r} is, as "
            f"{' or '.join(f'{w}.{argument}' for w in takers)} have one of that name. Received: "
            f"--set={text}."
        )
    known = "; ".join(
        f"--{what}={getattr(flags, what)} takes {', '.join(sorted(arguments_of(maker)))}"
        for what, maker in makers.items()
    )
    return f"--set must name an argument. Received: --set={text}, which none has: {known}."


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
