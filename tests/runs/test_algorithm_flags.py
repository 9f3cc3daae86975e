"""The flags of the algorithms are the fields of their dataclasses."""

import dataclasses

import pytest

import meta_tf
from meta_tf.runs import fields, kinds
from meta_tf.runs.algorithm_flags import (
    BUILT_IN,
    NOT_FLAGS,
    algorithm_flags,
    fields_of_algorithm,
    flag_name,
)

CLASSES = sorted({known.class_name or known.maker for known in BUILT_IN.values()})


@pytest.mark.parametrize("name", CLASSES)
def test_the_fields_read_off_the_source_are_those_of_the_dataclass(name):
    real = dataclasses.fields(getattr(meta_tf, name))
    found = fields.fields_of(name)
    assert [field.name for field in found] == [field.name for field in real]
    for field, true in zip(found, real, strict=True):
        assert field.annotation == true.type
        assert field.default == (... if true.default is dataclasses.MISSING else true.default)
        assert field.about, f"{name} does not describe {field.name}"


def test_every_algorithm_of_the_package_can_be_chosen():
    classes = {name for name in meta_tf.__all__ if isinstance(getattr(meta_tf, name), type)}
    derived = {n for n in classes if issubclass(getattr(meta_tf, n), meta_tf.Algorithm)}
    concrete = {n for n in derived if not getattr(meta_tf, n).__abstractmethods__}
    assert concrete == set(CLASSES)


@pytest.mark.parametrize("name", [n for n, known in BUILT_IN.items() if known.settles])
def test_what_a_name_settles_is_no_flag_of_it_and_refused_by_the_function(name):
    known = BUILT_IN[name]
    assert known.settles not in [field.name for field in fields_of_algorithm(name)]
    with pytest.raises(ValueError, match=known.settles):
        getattr(meta_tf, known.maker)(**{known.settles: None})


def test_every_field_is_a_flag_and_those_of_one_name_are_of_one_kind():
    flags = {flag.name: flag for flag in algorithm_flags()}
    found = [field for name in BUILT_IN for field in fields_of_algorithm(name)]
    assert flags.keys() == {flag_name(f.name) for f in found if f.name not in NOT_FLAGS}
    for field in found:
        if field.name not in NOT_FLAGS:
            kind = kinds.of_annotation(field.annotation)
            assert kind.expected == flags[flag_name(field.name)].kind.expected, field


def test_the_help_tells_the_meaning_and_the_defaults():
    told = {flag.name: flag.help for flag in algorithm_flags()}
    assert told["cg_steps"] == (
        "Steps of conjugate gradients; the paper takes 5. Default: 5 for imaml."
    )
    assert "2.0 for imaml; 1.0 for logistic_regression, r2d2" in told["regularization"]


def test_fields_of_a_base_class_come_first_and_take_the_subclass_words(tmp_path, monkeypatch):
    (tmp_path / "one.py").write_text(
        '''
class Base(Algorithm):
    """Base.

    Args:
      rate: of the base,
        two lines.
      steps: how many.
    """

    rate: float = 0.5
    steps: int = dataclasses.field(default=3, kw_only=True)


class Derived(Base):
    """Derived.

    Args:
      steps: how many of these.
      own: its own.

    Raises:
      ValueError: never.
    """

    own: Literal["a", "b"] = "a"
    rate: float = NUMBER
'''
    )
    monkeypatch.setattr(fields, "FOLDER", tmp_path)
    fields._classes.cache_clear()
    try:
        assert fields.fields_of("Derived") == (
            ("rate", "float", "NUMBER", "of the base, two lines."),
            ("steps", "int", 3, "how many of these."),
            ("own", "Literal['a', 'b']", "a", "its own."),
        )
    finally:
        monkeypatch.undo()
        fields._classes.cache_clear()
        fields.fields_of.cache_clear()


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        ("int", "3", 3),
        ("float", "0.5", 0.5),
        ("bool", "False", False),
        ("str", "adam", "adam"),
        ("int | None", "none", None),
        ("int | None", "4", 4),
        ("str | tuple[str, ...] | None", "a,!b", ("a", "!b")),
        ("Literal['x', 'y'] | None", "y", "y"),
        ("dict[str, int]", "{'a': 1}", {"a": 1}),
    ],
)
def test_kinds_follow_the_annotation(annotation, text, value):
    assert kinds.of_annotation(annotation).read(text) == value


@pytest.mark.parametrize(
    ("annotation", "text"), [("int", "x"), ("bool", "maybe"), ("Literal['x', 'y']", "z")]
)
def test_another_kind_is_refused(annotation, text):
    with pytest.raises((ValueError, KeyError)):
        kinds.of_annotation(annotation).read(text)
