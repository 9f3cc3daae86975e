import numpy as np
import pytest
import tensorflow as tf

from examples import recognise_drawings


def picture(path, strokes):
    """Writes a drawing of straight strokes, dark on light, 105 x 105."""
    page = np.full([105, 105, 1], 255, np.uint8)
    for start, end in strokes:
        for t in np.linspace(0, 1, 200):
            row, column = np.round(np.array(start) + t * (np.array(end) - start)).astype(int)
            page[row - 1 : row + 2, column - 1 : column + 2] = 0
    path.write_bytes(tf.io.encode_png(page).numpy())


CHARACTERS = {
    "cross": [((10, 10), (90, 90)), ((10, 90), (90, 10))],
    "plus": [((10, 50), (90, 50)), ((50, 10), (50, 90))],
    "square": [
        ((15, 15), (15, 85)),
        ((15, 85), (85, 85)),
        ((85, 85), (85, 15)),
        ((85, 15), (15, 15)),
    ],
    "stairs": [((20, 10), (20, 50)), ((20, 50), (60, 50)), ((60, 50), (60, 90))],
    "tent": [((85, 10), (10, 50)), ((10, 50), (85, 90))],
}


def test_new_drawings_are_given_the_names_of_the_first(tmp_path, capsys):
    for name in ("first", "new"):
        (tmp_path / name).mkdir()
    rng = np.random.default_rng(0)
    for name, strokes in CHARACTERS.items():
        picture(tmp_path / "first" / f"{name}.png", strokes)
        shaken = np.clip(np.array(strokes) + rng.integers(-4, 5, [len(strokes), 2, 2]), 3, 100)
        picture(tmp_path / "new" / f"another_{name}.png", shaken)
    answers = recognise_drawings.main(tmp_path / "first", tmp_path / "new")
    assert answers == {f"another_{name}.png": name for name in CHARACTERS}
    assert "another_tent.png: tent" in capsys.readouterr().out


def test_a_folder_of_one_picture_is_refused(tmp_path):
    picture(tmp_path / "one.png", CHARACTERS["plus"])
    with pytest.raises(ValueError, match=r"must hold at least two classes.*, with 1"):
        recognise_drawings.main(tmp_path, tmp_path)
