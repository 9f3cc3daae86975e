"""Folders of images, made here: each class of its own shades, the files of many kinds."""

import os
import shutil

import numpy as np
import pytest
import tensorflow as tf

from meta_tf.tasks import ImageFolder, from_arrays
from meta_tf.tasks.images import image_folder

HALVES = {"split": (0.5, 0.25, 0.25)}


def shade(number, image):
    return 10 + 12 * number + image


def number_of(shade):
    # Images 0 … 4, and a JPEG may be off by one.
    return int((np.round(shade) - 6) // 12)


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    encode = tf.io.encode_png if path.suffix.lower() == ".png" else tf.io.encode_jpeg
    path.write_bytes(encode(array.astype(np.uint8)).numpy())


@pytest.fixture
def folder(tmp_path):
    """Twenty classes of five images: different sizes, PNG and JPEG, and what is to be ignored."""
    for c in range(20):
        for i, suffix in enumerate([".png", ".jpg", ".JPEG", ".PNG", ".jpeg"]):
            size = [8 + i, 11 + c, 3]
            write(tmp_path / f"images/class{c:02d}/{i}{suffix}", np.full(size, shade(c, i)))
        (tmp_path / f"images/class{c:02d}/notes.txt").write_text("not an image")
        (tmp_path / f"images/class{c:02d}/.hidden.png").write_text("not an image")
    (tmp_path / "images/.git").mkdir()
    (tmp_path / "images/README").write_text("not a folder")
    return tmp_path / "images"


def shades(part, tasks=50):
    x, _ = next(iter(part.batches(tasks)))
    return x["support_x"].numpy() * 255


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_resized_and_belong_to_their_class(folder, channels):
    source = ImageFolder(folder, ways=3, queries=4, size=(9, 7), channels=channels, **HALVES)
    assert source.input_shape == (9, 7, channels)
    for part in (source.train, source.valid, source.test):
        pixels = shades(part)
        # One shade an image; JPEG may be off by one.
        assert np.ptp(pixels, axis=(2, 3, 4)).max() <= 2
        found = {number_of(p) for p in pixels.mean(axis=(2, 3, 4)).ravel()}
        assert {f"class{c:02d}" for c in found} == set(part.classes)


def test_part_folders_are_the_parts(folder, tmp_path):
    for c, source_folder in enumerate(sorted(folder.glob("class*"))):
        part = "train" if c < 10 else "val" if c < 15 else "test"
        shutil.copytree(source_folder, tmp_path / "parts" / part / source_folder.name)
    source = ImageFolder(tmp_path / "parts", ways=3, queries=4)
    assert source.train.classes == [f"train/class{c:02d}" for c in range(10)]
    assert source.valid.classes == [f"val/class{c:02d}" for c in range(10, 15)]
    assert source.test.classes == [f"test/class{c:02d}" for c in range(15, 20)]
    (tmp_path / "parts/val").rename(tmp_path / "parts/other")
    with pytest.raises(FileNotFoundError, match=r"exactly one of.*'valid', 'val', 'validation'"):
        ImageFolder(tmp_path / "parts")


def test_a_class_in_two_split_folders_is_refused(folder, tmp_path):
    for split in ("train", "val", "test"):
        for c in range(3):
            shutil.copytree(folder / f"class{c:02d}", tmp_path / f"parts/{split}/class{c:02d}")
    with pytest.raises(ValueError, match=r"must hold different classes.* 'class00', 'class01'"):
        ImageFolder(tmp_path / "parts", ways=2)


def test_order_of_the_file_system_does_not_matter(folder, monkeypatch):
    def drawn():
        source = ImageFolder(folder, ways=3, queries=4, **HALVES)
        return source.valid.classes, shades(source.valid)

    classes, pixels = drawn()
    listdir, scandir = os.listdir, os.scandir

    class Reversed(list):
        def __enter__(self):
            return self

        def __exit__(self, *args):
            pass

    monkeypatch.setattr(os, "listdir", lambda *a: listdir(*a)[::-1])
    monkeypatch.setattr(os, "scandir", lambda *a: Reversed(list(scandir(*a))[::-1]))
    reversed_classes, reversed_pixels = drawn()
    assert classes == reversed_classes
    np.testing.assert_array_equal(pixels, reversed_pixels)


def test_an_image_that_cannot_be_read_is_named(folder):
    broken = folder / "class07" / "3.PNG"
    broken.write_bytes(broken.read_bytes()[:45])
    with pytest.raises(ValueError, match=r"Cannot decode the image .*class07/3.PNG \(45 bytes\)"):
        ImageFolder(folder, ways=3, queries=4, **HALVES)


def test_what_is_missing_is_named(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(image_folder, "decoded_pictures", None)  # before any picture is read
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere"):
        ImageFolder(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="contains no folder"):
        ImageFolder(tmp_path / "empty")
    with pytest.raises(ValueError, match=r"`ways` = 11 of them.* 20 classes.*meta-tf adapt"):
        ImageFolder(folder, ways=11, queries=1, **HALVES)
    with pytest.raises(ValueError, match=r"has 5 examples.*shots [+] queries = 2 [+] 4 = 6"):
        ImageFolder(folder, ways=3, shots=2, queries=4, **HALVES)
    with pytest.raises(ValueError, match="valid split has 3 of the 20 classes"):
        ImageFolder(folder, ways=4)
    (folder / "class99").mkdir()
    with pytest.raises(ValueError, match="class99, which has none"):
        ImageFolder(folder, ways=3, queries=4, **HALVES)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 2}, "`channels` must be one of 1, 3"),
        ({"size": 0}, "`size` must be an integer of at least 1"),
        ({"size": (4, 5, 3)}, "`size` must be an integer"),
        ({"size": (4, 2.5)}, r"`size` must be an integer.*Received: 2.5"),
        ({"size": (4, 5), "rotations": "task"}, "Only square images"),
    ],
)
def test_invalid_options_are_rejected(folder, options, message):
    with pytest.raises(ValueError, match=message):
        ImageFolder(folder, ways=3, queries=4, **HALVES, **options)


def test_queries_are_what_the_smallest_class_leaves(folder):
    assert ImageFolder(folder, ways=3, **HALVES).queries == 4  # of 5 images, 1 is support
    assert ImageFolder(folder, ways=3, train_shots=3, **HALVES).queries == 2
    (folder / "class03" / "0.png").unlink()
    source = ImageFolder(folder, ways=3, shots=2, **HALVES)
    assert source.queries == 2
    assert next(iter(source.test.batches(1)))[1].shape == (1, 3 * 2)
    with pytest.raises(ValueError, match=r"'class03' .* has 4 examples.* shots [+] queries = 4 "):
        ImageFolder(folder, ways=3, shots=4, **HALVES)


def test_three_lines_make_tasks_of_ten_pictures_a_class(tmp_path):
    labels = np.arange(320) % 32
    pixels = np.zeros([320, 4, 4, 1], np.uint8)
    for i, (picture, label) in enumerate(zip(pixels, labels, strict=True)):
        write(tmp_path / f"class{label:02d}" / f"{i}.png", picture)
    for source in (
        ImageFolder(tmp_path, ways=5, shots=1),
        from_arrays(pixels, labels, ways=5, shots=1),
    ):
        assert source.queries == 9
        assert next(iter(source.valid.batches(2)))[1].shape == (2, 5 * 9)
    assert from_arrays(np.repeat(pixels, 3, axis=0), np.repeat(labels, 3)).queries == 15


def test_what_is_lost_is_printed_and_nothing_else(folder, tmp_path, capsys):
    ImageFolder(folder, ways=3, **HALVES)
    # Sizes 8 + i by 11 + c, for i below 5 and c below 20, in colour.
    told = "100 pictures, of 8 x 11 to 12 x 30 pixels, all stored in colour, are stretched to 28 x "
    assert told + "28 in grey. `size`" in capsys.readouterr().out
    ImageFolder(folder, ways=3, channels=3, **HALVES)
    assert "12 x 30 pixels, are stretched to 28 x 28. `size`" in capsys.readouterr().out
    for c in range(20):
        for i, suffix in enumerate((".png", ".jpg")):
            write(tmp_path / f"grey/class{c:02d}/{i}{suffix}", np.full([9, 9, 1], shade(c, i)))
    ImageFolder(tmp_path / "grey", ways=3, size=9, **HALVES)
    ImageFolder(tmp_path / "grey", ways=3, size=9, channels=3, **HALVES)
    assert capsys.readouterr().out == ""
    write(tmp_path / "grey/class00/0.png", np.full([9, 9, 3], 10))
    ImageFolder(tmp_path / "grey", ways=3, size=9, **HALVES)
    told = "40 pictures, of 9 x 9 pixels, 1 of them stored in colour, are read as 9 x 9 in grey."
    assert told in capsys.readouterr().out


def test_ranges_may_be_for_training_alone(folder):
    tasks = ImageFolder(folder, ways=2, queries=1, train_ways=(2, 3), train_shots=(1, 2))
    assert "support_size" in tasks.train.task_spec[0]
    assert "support_size" not in tasks.test.task_spec[0]
