"""The flags of tasks, models and algorithms are the arguments of what makes them."""

import dataclasses
import inspect
import math
from collections.abc import Sequence
from typing import Annotated, Literal

import pytest

import meta_tf
from meta_tf.command import registry
from meta_tf.command.define import flags_of
from meta_tf.command.flag_types import Integer, OrNone, Sizes, Words, as_text, parser_for
from meta_tf.run.settings import Above, AtLeast

COMPONENTS = [
    registry.find(what, name) for what in registry.BUILT_IN for name in registry.BUILT_IN[what]
]


@pytest.mark.parametrize("part", COMPONENTS, ids=lambda part: part.name)
def test_every_argument_that_is_a_flag_is_described(part):
    for flag, argument in part.flags().items():
        assert argument.about, f"{part.name} does not describe {argument.name} (--{flag})"


# It predicts Gaussians, for which the command line has no loss and no metric.
NOT_CHOSEN = {meta_tf.ALPaCA}


def test_every_algorithm_of_the_package_can_be_chosen():
    classes = {name for name in meta_tf.__all__ if isinstance(getattr(meta_tf, name), type)}
    derived = {n for n in classes if issubclass(getattr(meta_tf, n), meta_tf.Algorithm)}
    concrete = {getattr(meta_tf, n) for n in derived if not getattr(meta_tf, n).__abstractmethods__}
    assert concrete - NOT_CHOSEN <= {part.make for part in COMPONENTS}


@pytest.mark.parametrize(
    ("name", "settled"),
    [
        ("fomaml", "first_order"),
        ("anil", "adapted"),
        ("boil", "adapted"),
        ("meta_sgd", "learned_lr"),
    ],
)
def test_what_a_name_settles_is_no_argument_of_it_and_refused_by_the_function(name, settled):
    part = registry.find("algorithm", name)
    fields = {field.name for field in dataclasses.fields(meta_tf.MAML)}
    assert part.takes.keys() - {"head"} == fields - {settled}
    with pytest.raises(ValueError, match=settled):
        part.make(**{settled: None})
    default = inspect.signature(part.make).parameters["inner_lr"].default
    assert part.make().inner_lr == default == meta_tf.MAML().inner_lr


def test_arguments_of_one_name_are_read_alike():
    for kind in registry.BUILT_IN:
        for flag, uses in registry.component_flags(kind).items():
            parsers = [parser_for(argument.annotation) for _, argument in uses]
            types = {type(p.inner if isinstance(p, OrNone) else p) for p in parsers}
            assert len(types) == 1 or types == {Integer, Sizes}, flag  # a range may be one number


def test_the_help_has_the_meaning_and_the_defaults():
    values = flags_of({"algorithm": ["algorithm"]})
    assert values["cg_steps"].help == (
        "Steps of conjugate gradients; the paper takes 5. Default: 5 for imaml."
    )
    assert "2.0 for imaml; 1.0 for logistic_regression, r2d2" in values["regularization"].help


class Base:
    """Base.

    Args:
      rate: of the base,
        two lines.
      steps: how many.
    """


@dataclasses.dataclass
class Derived(Base):
    """Derived.

    Args:
      steps, more: how many of these.

    Raises:
      ValueError: never.
    """

    rate: float = 0.5
    steps: int = 3
    more: Literal["a", "b"] = "a"


def test_a_class_describes_what_it_inherits_or_its_base_does():
    found = registry.arguments_of(Derived)
    assert [(a.name, a.annotation, a.default, a.about) for a in found.values()] == [
        ("rate", float, 0.5, "of the base, two lines."),
        ("steps", int, 3, "how many of these."),
        ("more", Literal["a", "b"], "a", "how many of these."),
    ]


def test_what_is_imported_for_a_type_checker_alone_does_no_harm():
    def source(shots: "Nowhere", ways=3, *rest, **more): ...  # noqa: F821

    assert [(a.name, a.default) for a in registry.arguments_of(source).values()] == [
        ("shots", inspect.Parameter.empty),
        ("ways", 3),
    ]


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (int, "3", 3),
        (float, "0.5", 0.5),
        (bool, "False", False),
        (str, "adam", "adam"),
        (int | None, "none", None),
        (int | None, "4", 4),
        (str | tuple[str, ...] | None, "a,!b", ("a", "!b")),
        (Sequence[int], "40,30", (40, 30)),
        (Sequence[int], "", ()),
        (Literal["x", "y"] | None, "y", "y"),
        (int | Sequence[int], "2-5", (2, 5)),
        (Annotated[int | Sequence[int], AtLeast(2)] | None, "2", 2),
        (Annotated[float, Above(0)], "1e-3", 0.001),
        (Annotated[int, {"unit": "examples"}], "3", 3),
        (int | tuple[int, int], "28", 28),
    ],
)
def test_texts_are_read_by_the_annotation(annotation, text, value):
    assert parser_for(annotation).parse(text) == value


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (int, "x"),
        (bool, "maybe"),
        (Literal["x", "y"], "z"),
        (Annotated[int, AtLeast(2)], "1"),
        (Annotated[int | Sequence[int], AtLeast(2)], "1-5"),
        (Annotated[float, Above(0)], "0"),
        (float, str(math.inf)),
        (Sequence[int], "40,0"),
    ],
)
def test_other_texts_are_refused(annotation, text):
    with pytest.raises((ValueError, TypeError)):
        parser_for(annotation).parse(text)


@pytest.mark.parametrize("annotation", [dict[str, int], Sequence[float], None, Literal["a"] | bool])
def test_what_no_text_can_be_is_no_flag(annotation):
    assert parser_for(annotation) is None


@pytest.mark.parametrize("text", ['"dose (mg/L), new",kind', ' "dose (mg/L), new" , kind '])
def test_words_in_quotation_marks_may_have_commas(text):
    words = ("dose (mg/L), new", "kind")
    assert Words().parse(text) == Words().parse(as_text(words)) == words
    assert Words().parse(as_text(('5" pipe', "a"))) == ('5" pipe', "a")
    assert Words(widths=True).parse(as_text((40, 8))) == (40, 8)
    assert as_text(("a", "b")) == "a,b" and Words().parse("") == ()
    assert Words().parse("a,\nb\n,c") == ("a", "b", "c")
