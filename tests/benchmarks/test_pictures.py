"""The recipes of pictures, on typefaces and signs that stand in for the real ones."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.data import chinese_characters, faces, road_signs
from benchmarks.data.distort import seen_by_a_camera
from meta_tf.tasks.divide import split_by_fractions

Image = pytest.importorskip("PIL.Image")
ImageFont = pytest.importorskip("PIL.ImageFont")


def _face(name="DejaVuSans.ttf"):
    matplotlib = pytest.importorskip("matplotlib")
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts/ttf" / name), 96)


def _picture(value):
    return Image.fromarray(np.full([28, 28], value, np.uint8))


def test_held_out_characters_are_of_one_part_each():
    told = json.loads(chinese_characters.SPLIT.read_text(encoding="utf-8"))
    assert len(set(told["valid"]) | set(told["test"])) == len(told["valid"]) + len(told["test"])
    assert told["brush_faces"] == [f.name for f in chinese_characters.FACES if f.brush]


def test_kinds_of_signs_are_divided_by_their_names():
    told = json.loads(road_signs.SPLIT.read_text(encoding="utf-8"))
    parts = [told[part] for part in ("train", "valid", "test")]
    everything = [kind for part in parts for kind in part]
    expected = split_by_fractions(everything, (0.64, 0.16, 0.20))
    assert [sorted(part) for part in expected] == parts


def test_a_character_fills_its_picture_and_stands_in_its_middle():
    for character in "WI":  # one wide, one high
        ink = np.argwhere(np.asarray(faces.draw(_face(), character)) > 0)
        low, high = ink.min(0), ink.max(0) + 1
        assert max(high - low) == faces.SIZE - 4
        assert np.all(np.abs(low + high - faces.SIZE) <= 1)


def test_a_glyph_without_ink_gives_no_picture():
    assert faces.draw(_face(), " ") is None


def test_what_a_typeface_draws_alike_for_two_characters_is_left_out(monkeypatch):
    monkeypatch.setattr(chinese_characters, "characters_of", lambda face: {"A", "Α", "B"})
    # The Latin and the Greek A are one drawing.
    assert set(chinese_characters.drawn({"sans": _face()})) == {"B"}


def test_unseen_characters_are_not_trained_on_and_unseen_faces_only_tested():
    pictures = {c: {f: _picture(1) for f in ("type1", "type2", "brush")} for c in "abcd"}
    pictures["rare"] = {"type1": _picture(1)}
    split = {"valid": "b", "test": "d"}
    parts = chinese_characters.parts_of(pictures, split, least=3)
    assert {part: set(found) for part, found in parts.items()} == {
        "train": {"a", "c"}, "valid": {"b"}, "test": {"d"},
    }  # fmt: skip
    parts = chinese_characters.parts_by_face(pictures, split, ["brush"], least=2)
    faces_of = {part: set().union(*found.values()) for part, found in parts.items()}
    assert faces_of == {"train": {"type1", "type2"}, "valid": {"type1", "type2"}, "test": {"brush"}}
    assert set(parts["train"]) == {"a", "c"}


def test_a_held_out_character_that_nobody_draws_is_named():
    with pytest.raises(ValueError, match=r"valid part needs characters .* drew: x"):
        chinese_characters.parts_of({"a": {}}, {"valid": "x", "test": "a"}, least=1)


def test_written_pictures_are_read_as_tasks(tmp_path):
    meta_tf = pytest.importorskip("meta_tf")
    for part, characters in {"train": "天地人", "valid": "日月星", "test": "山水火"}.items():
        drawn = {c: {f: _picture(10 * i) for f in "12"} for i, c in enumerate(characters)}
        chinese_characters.write(drawn, tmp_path / part)
    source = meta_tf.tasks.ImageFolder(tmp_path, ways=3, shots=1, queries=1)
    x, y = next(iter(source.test.batches(1)))
    np.testing.assert_allclose(x["support_x"][0, :, 0, 0, 0], x["query_x"][0, :, 0, 0, 0])
    assert sorted(y[0].numpy()) == [0, 1, 2]


def _sign(colour):
    pixels = np.zeros([96, 96, 4], np.uint8)
    pixels[8:-8, 8:-8] = [*colour, 255]
    return Image.fromarray(pixels)


def test_views_of_a_sign_differ_and_keep_its_colour():
    rng = np.random.default_rng(0)
    views = np.stack([seen_by_a_camera(_sign([220, 0, 0]), rng) for _ in range(40)])
    assert views.shape == (40, 32, 32, 3) and views.dtype == np.uint8
    assert len({view.tobytes() for view in views}) == 40
    red, green, blue = views[:, 12:20, 12:20].astype(float).mean((0, 1, 2))
    assert red > 2 * green and red > 2 * blue


def test_coloured_signs_are_three_kinds_more_and_grey_ones_one():
    found = road_signs.repainted({"red": [_sign([220, 0, 0])], "grey": [_sign([90, 90, 90])]})
    assert set(found) == {"red--negative", "red--moved1", "red--moved2", "grey--negative"}
    colours = {name: tuple(np.asarray(d[0])[48, 48, :3]) for name, d in found.items()}
    assert colours["red--negative"] == (35, 255, 255)
    assert {colours["red--moved1"], colours["red--moved2"]} == {(0, 0, 220), (0, 220, 0)}


def test_a_kind_is_written_the_same_again_whatever_else_is_written(tmp_path):
    one, two = {"stop": [_sign([220, 0, 0])]}, {"yield": [_sign([0, 0, 220])]}
    road_signs.write(one, tmp_path / "alone", variants=2)
    road_signs.write(two | one, tmp_path / "both", variants=2)
    alone, both = ((tmp_path / n / "stop/01.png").read_bytes() for n in ("alone", "both"))
    assert alone == both


def test_another_package_is_refused(tmp_path):
    (tmp_path / "other.tgz").write_bytes(b"other")
    with pytest.raises(ValueError, match=r"must have SHA-512 .* Received: "):
        road_signs.read(str(tmp_path / "other.tgz"))


def test_designs_of_one_kind_share_its_name():
    assert road_signs.kind_of("regulatory--stop--g12") == "regulatory--stop"
