"""The flags of the algorithms, derived from the fields of their dataclasses."""

from __future__ import annotations

import re
from typing import NamedTuple

from meta_tf.runs import kinds
from meta_tf.runs.fields import Field, fields_of, offered
from meta_tf.runs.flag import Flag


class BuiltIn(NamedTuple):
    """An algorithm of the package.

    `maker`: its name in `meta_tf.algorithms`. `class_name`: the dataclass that it makes, if it
    is a function. `settles`: the field that the function settles itself.
    """

    maker: str
    class_name: str = ""
    settles: str = ""


# Functions that settle a field of a class; algorithms with a short name of their own.
_SETTLING = {
    "FOMAML": BuiltIn("FOMAML", "MAML", settles="first_order"),
    "ANIL": BuiltIn("ANIL", "MAML", settles="adapted"),
    "BOIL": BuiltIn("BOIL", "MAML", settles="adapted"),
    "MetaSGD": BuiltIn("MetaSGD", "MAML", settles="learned_lr"),
}
_SHORT = {"MAMLPlusPlus": "mamlpp", "ProtoMAML": "protomaml", "ProtoNet": "protonet"}
_NO_ALGORITHMS = ("Algorithm", "InnerLoop", "LoopState")


def _snake_case(name: str) -> str:
    """`MetaSGD` as `meta_sgd`, `R2D2` as `r2d2`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


BUILT_IN = {
    _SHORT.get(name, _snake_case(name)): _SETTLING.get(name, BuiltIn(name))
    for name in offered()
    if name not in _NO_ALGORITHMS
}
# Their inner loops are so unlike the others' that settings of the one do not suit the other.
OF_ITS_OWN = ("imaml", "reptile")
RENAMED = {"optimizer": "inner_optimizer", "adapted": "adapt"}  # flag by field, where they differ
# The ways are the tasks'; the last layer of the built-in networks has the name that it needs.
NOT_FLAGS = ("ways", "head")


def flag_name(field: str) -> str:
    """The flag of a field."""
    return RENAMED.get(field, field)


def field_name(flag: str) -> str:
    """The field of a flag."""
    return next((field for field, name in RENAMED.items() if name == flag), flag)


def fields_of_algorithm(name: str) -> tuple[Field, ...]:
    """The fields that a built-in algorithm lets one choose."""
    algorithm = BUILT_IN[name]
    fields = fields_of(algorithm.class_name or algorithm.maker)
    return tuple(field for field in fields if field.name != algorithm.settles)


def needs_classes(name: str) -> bool:
    """Whether a built-in algorithm cannot do regression."""
    needed = [f.name for f in fields_of_algorithm(name) if f.default is ...]
    return "ways" in needed or name == "protomaml"  # its last layer has the ways


def algorithm_flags() -> list[Flag]:
    """A flag for every field; fields of one name are one flag. Their default is the algorithm's."""
    found: dict[str, list[tuple[str, Field]]] = {}
    for algorithm in BUILT_IN:
        for field in fields_of_algorithm(algorithm):
            if field.name not in NOT_FLAGS:
                found.setdefault(field.name, []).append((algorithm, field))
    return [
        Flag(flag_name(name), kinds.of_annotation(uses[0][1].annotation), None, _help(uses))
        for name, uses in found.items()
    ]


def _help(uses: list[tuple[str, Field]]) -> str:
    """What the field means, and the algorithms that have it by their defaults."""
    defaults: dict[str, list[str]] = {}
    for algorithm, field in uses:
        defaults.setdefault(kinds.as_text(field.default), []).append(algorithm)
    listed = "; ".join(f"{value} for {', '.join(names)}" for value, names in defaults.items())
    return f"{_meaning(uses)} Default: {listed}."


def _meaning(uses: list[tuple[str, Field]]) -> str:
    """The first sentence of the description; each algorithm's, if two mean different things."""
    classes = {BUILT_IN[a].class_name or BUILT_IN[a].maker: field for a, field in uses}
    sentences = {name: _first_sentence(field.about) for name, field in classes.items()}
    if len(sentences) == 2 and len(set(sentences.values())) == 2:
        return " ".join(f"{name}: {sentence}" for name, sentence in sentences.items())
    return next(iter(sentences.values()))


def _first_sentence(text: str) -> str:
    text = text.replace("`", "").replace('"', "")
    text = re.split(r"\.(?= [A-Z(])", text)[0].rstrip(".")
    first = text[:1].upper() if text[:1].isascii() else text[:1]  # not of λ
    return f"{first}{text[1:]}." if text else ""
