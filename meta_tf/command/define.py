"""Defines absl flags for settings, and for the arguments of tasks, models and algorithms."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any

from absl import flags

from meta_tf.command import registry
from meta_tf.command.flag_types import AsText, Name, as_text, parser_for
from meta_tf.command.registry import Argument, Component
from meta_tf.run.settings import AtLeast
from meta_tf.tasks.size_range import SizeRange

DEFAULT = {"task": "sinusoid", "model": "mlp", "algorithm": "maml"}
_ABOUT = {
    "task": "Where tasks come from. package.module:Name can be a function or class that returns a "
    "meta_tf.tasks.Source; it gets the flags of tasks that it has arguments for.",
    "model": "The network. package.module:Name can be a function that returns a built keras.Model; "
    "it gets input_shape, outputs and ways if it has such arguments.",
    "algorithm": "How a task is learned; auto tries those that suit the tasks and takes the best "
    "on validation tasks. package.module:Name can be a dataclass derived from "
    "meta_tf.Algorithm.",
}
# Flags that are not settings; all but the first can be given several times.
_OWN = {
    "--preset": "Settings by name, listed below; other flags override them.",
    "--flagfile": "A file of flags, one per line; lines that begin with # are comments.",
    "--set": "An argument of a task, model or algorithm that has no flag, such as task.phase=(0,1) "
    "or model.units=64. Those given as module:Name do not need the first word.",
    "--import": "A module to import first, which defines the classes of a learner. A file of flags "
    "can then contain a task, model or algorithm of this module.",
}
# Arguments that tasks share, whose annotations differ: some tasks take ranges.
_SIZES = {
    "ways": (
        Annotated[SizeRange, AtLeast(2)],
        "The number of classes in a task, or a range such as 2-20.",
    ),
    "shots": (
        Annotated[SizeRange, AtLeast(1)],
        "The number of support examples (of each class), or a range.",
    ),
    "queries": (
        Annotated[SizeRange, AtLeast(1)] | None,
        "The number of query examples (of each class), or a range; by default as many as --shots, "
        "and for folders of images as many as the smallest class allows, at most 15.",
    ),
}
# By title in the help: dataclasses of settings, kinds of components in `registry`, flags of `_OWN`.
Groups = Mapping[str, Sequence[type | str]]


def flags_of(groups: Groups) -> flags.FlagValues:
    """The flags of one subcommand."""
    values = flags.FlagValues()
    values.set_gnu_getopt()
    for title, members in groups.items():
        for member in members:
            if member == "--preset":
                flags.DEFINE_string("preset", None, _OWN[member], values, module_name=title)
            elif member in _OWN:
                own: dict[str, Any] = {"flag_values": values, "module_name": title}
                flags.DEFINE_multi_string(member[2:], [], _OWN[member].rstrip("."), **own)
            elif isinstance(member, str):
                _define_components(values, title, member)
            else:
                for argument in registry.arguments_of(member).values():
                    about = registry.first_sentence(argument.about)
                    _define(values, title, dataclasses.replace(argument, about=about))
    return values


def settings_of(kind: type, values: flags.FlagValues, without: Collection[str] = ()) -> Any:
    """A dataclass of settings from the flags of its fields, except for those in `without`.

    Raises:
      ValueError: if a field without a default is not given.
    """
    fields = {n: field for n, field in registry.arguments_of(kind).items() if n not in without}
    for name, field in fields.items():
        if field.is_required and values[name].value is None:
            raise ValueError(f"--{name} is needed: {field.about}")
    return kind(**{name: values[name].value for name in fields})


def settings_in(groups: Groups, values: flags.FlagValues) -> Any:
    """The dataclass of settings in the groups, from the flags; a tuple if there are several."""
    kinds = [
        member for members in groups.values() for member in members if isinstance(member, type)
    ]
    found = tuple(settings_of(kind, values) for kind in kinds)
    return found if len(found) > 1 else found[0]


def _define_components(values: flags.FlagValues, title: str, kind: str) -> None:
    """Defines the flag that selects a task, model or algorithm, and those of all built-in ones."""
    chosen = [registry.AUTO] if kind == "algorithm" else []
    name, default = Name(*registry.BUILT_IN[kind], *chosen), DEFAULT[kind]
    flags.DEFINE(name, kind, default, _ABOUT[kind], values, AsText(), module_name=title)
    for flag, uses in registry.component_flags(kind).items():
        annotation, about = uses[0][1].annotation, _about(uses)
        if kind == "task" and flag in _SIZES:
            annotation, about = _SIZES[flag]
        _define(values, title, Argument(flag, annotation, None, about))


def _define(values: flags.FlagValues, title: str, argument: Argument) -> None:
    """Defines a flag with the name, annotation, default and description of an argument."""
    options: dict[str, Any] = {"flag_values": values, "module_name": title}
    name, about, parser = argument.name, argument.about, parser_for(argument.annotation)
    default = None if argument.is_required else argument.default
    if isinstance(parser, flags.BooleanParser):
        flags.DEFINE_bool(name, default, about, **options)
    elif type(parser) is flags.EnumParser:
        flags.DEFINE_enum(name, default, parser.enum_values, about, **options)
    elif parser:
        flags.DEFINE(parser, name, default, about, serializer=AsText(), **options)


def _about(uses: list[tuple[Component, Argument]]) -> str:
    """The help of an argument, with its default for each component."""
    defaults: dict[str, list[str]] = {}
    for component, argument in uses:
        if not argument.is_required:
            defaults.setdefault(as_text(argument.default), []).append(component.name)
    listed = "; ".join(f"{text} for {', '.join(names)}" for text, names in defaults.items())
    sentences = {registry.first_sentence(a.about): component for component, a in reversed(uses)}
    about = registry.first_sentence(uses[0][1].about)
    if len(sentences) == 2:  # two components use the name differently
        about = " ".join(
            f"{component.name}: {text}" for text, component in reversed(sentences.items())
        )
    return f"{about} Default: {listed}." if listed else f"{about} Needed for {uses[0][0].name}."
