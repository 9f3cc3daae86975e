"""Pictures of all kinds, names that are not UTF-8, folders with few classes, full disks."""

import errno
import io
import os

import numpy as np
import pytest

from meta_tf import tasks
from meta_tf.command import build, main, pictures
from meta_tf.files import whole_file, write_text
from meta_tf.tasks.decode import ImageFile, decode_images
from meta_tf.tasks.picture_files import needs_colour

Image = pytest.importorskip("PIL.Image")
PIXELS = np.kron(np.random.default_rng(0).integers(0, 256, [4, 4, 3]), np.ones([8, 8, 1]))
PICTURE = Image.fromarray(PIXELS.astype(np.uint8))


def encoded(kind, mode="RGB", **options):
    file = io.BytesIO()
    PICTURE.convert(mode).save(file, kind, **options)
    return file.getvalue()


KINDS = {
    "png": encoded("PNG"),
    "gif": encoded("GIF", "P"),
    "animated gif": encoded("GIF", "P", save_all=True, append_images=[PICTURE.rotate(90)]),
    "webp": encoded("WEBP", lossless=True),
    "bmp": encoded("BMP"),
    "grey bmp": encoded("BMP", "L"),
    "jpeg": encoded("JPEG", quality=95),
    "jpeg of inks": encoded("JPEG", "CMYK", quality=95),
    "grey jpeg": encoded("JPEG", "L", quality=95),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_pictures_of_every_kind_are_read_as_pillow_reads_them(kind, channels):
    content = KINDS[kind]
    seen = decode_images([ImageFile(kind, lambda: content)], (32, 32), channels)[0]
    mode = {1: "L", 3: "RGB"}[channels]
    expected = np.asarray(Image.open(io.BytesIO(content)).convert(mode)).reshape(seen.shape)
    # Pillow rounds grey otherwise, and decodes a JPEG by another library.
    np.testing.assert_allclose(seen.astype(int), expected, atol=8)


def test_only_what_has_no_grey_decoder_goes_by_colour():
    by_colour = {kind for kind, content in KINDS.items() if needs_colour(content)}
    assert by_colour == {"gif", "animated gif", "webp", "bmp", "grey bmp", "jpeg of inks"}
    assert not any(needs_colour(content[:n]) for content in [KINDS["jpeg"]] for n in range(30))


@pytest.mark.parametrize("suffix", [".tif", ".TIFF", ".heic", ".avif", ".svg"])
def test_pictures_of_other_kinds_are_named_and_not_passed_over(tmp_path, suffix):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").write_bytes(KINDS["png"])
    (tmp_path / "two" / f"b{suffix}").write_bytes(b"whatever it is")
    for read in (tasks.ImageFolder, lambda path: pictures.classes_in(path, "support")):
        with pytest.raises(ValueError, match=rf"two/b\{suffix}. Convert it, to PNG"):
            read(tmp_path)


@pytest.mark.parametrize("content", [b"", b"no picture", KINDS["png"][:40], KINDS["gif"][:20]])
def test_a_picture_that_cannot_be_decoded_is_named_in_one_line(content):
    with pytest.raises(ValueError, match=r"Cannot decode the image b\.png") as raised:
        files = [ImageFile("a.png", lambda: KINDS["png"]), ImageFile("b.png", lambda: content)]
        decode_images(files, (8, 8), 1)
    assert "\n" not in str(raised.value) and "{{" not in str(raised.value)


def test_names_that_are_not_utf8_are_read_and_shown(tmp_path):
    for number in range(10):
        folder = os.fsencode(tmp_path) + b"/caf\xe9%d" % number
        os.mkdir(folder)
        for i in range(2):
            with open(folder + b"/%d.png" % i, "wb") as file:
                file.write(KINDS["png"])
    source = tasks.ImageFolder(tmp_path, ways=1, queries=1)
    assert source.input_shape == (28, 28, 1)
    classes = pictures.classes_in(tmp_path, "support")
    assert classes.names[0] == "caf\ufffd0"
    "".join(classes.names).encode("utf-8")  # can be printed


@pytest.fixture
def few_test_classes(tmp_path):
    for part, classes in (("train", 6), ("valid", 2), ("test", 2)):
        for number in range(classes):
            folder = tmp_path / part / f"c{number}"
            folder.mkdir(parents=True)
            for i in range(3):
                (folder / f"{i}.png").write_bytes(KINDS["png"])
    return tmp_path


def test_the_ways_and_shots_of_training_are_its_own(few_test_classes):
    words = [
        *("--task=images", f"--data_dir={few_test_classes}", "--ways=2", "--train_ways=5"),
        *("--shots=1", "--train_shots=2", "--queries=1"),
    ]
    source = build.build_tasks(main.read("train", words).tasks)
    for part, ways, shots in ((source.train, 5, 2), (source.valid, 2, 1), (source.test, 2, 1)):
        x, y = next(iter(part.batches(3)))
        assert x["support_y"].shape == (3, ways * shots) and y.shape == (3, ways)
        assert set(y.numpy().ravel()) == set(range(ways))
    with pytest.raises(ValueError, match=r"train part has 6 of the 10 classes.*ways=7"):
        tasks.ImageFolder(few_test_classes, ways=2, queries=1, train_ways=7)


def test_training_episodes_are_those_of_a_source_of_that_size():
    # So that a run of before goes on with the same episodes.
    from meta_tf.tasks.episodes import ClassData, class_parts

    names = [f"class{i}" for i in range(12)]
    data = ClassData(np.arange(60.0, dtype="float32")[:, None], np.full(12, 5), names)
    options = {"queries": 2, "rotations": None}
    split = (names[:8], names[8:10], names[10:])
    mixed = class_parts(data, split, ways=2, shots=1, train_ways=6, train_shots=3, **options)[0]
    pure = class_parts(data, (names[:8],) * 3, ways=6, shots=3, **options)[0]
    (x, y), (pure_x, pure_y) = (next(iter(part.batches(4))) for part in (mixed, pure))
    for name in x:
        np.testing.assert_array_equal(x[name], pure_x[name])
    np.testing.assert_array_equal(y, pure_y)


def test_a_full_disk_is_told_with_the_path(tmp_path):
    path = tmp_path / "results.json"
    full = OSError(errno.ENOSPC, "No space left on device")
    with (
        pytest.raises(OSError, match=r"No space left on device: '.*results\.json'"),
        whole_file(path),
    ):
        raise full
    write_text(path, "all of it")
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]
