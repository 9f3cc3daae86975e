"""Pictures of all kinds, names that are not UTF-8, folders with few classes, full disks."""

import errno
import io
import os
import struct
import sys
import types
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from meta_tf import tasks
from meta_tf.command import build, main
from meta_tf.command.new_pictures import note_ignored
from meta_tf.files import whole_file, write_text
from meta_tf.tasks.images import picture_files
from meta_tf.tasks.images.conversion import Conversion
from meta_tf.tasks.images.decode import decode_images, decoded
from meta_tf.tasks.images.picture import ImageFile
from meta_tf.tasks.images.picture_files import classes_in
from meta_tf.tasks.images.picture_input import PictureInput

PIXELS = np.kron(np.random.default_rng(0).integers(0, 256, [4, 4, 3]), np.ones([8, 8, 1]))
PICTURE = Image.fromarray(PIXELS.astype(np.uint8))


INK = PICTURE.convert("RGBA")
INK.putalpha(Image.fromarray(np.kron([[0, 255], [128, 255]], np.ones([16, 16])).astype(np.uint8)))


def encoded(kind, picture=PICTURE, **options):
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def converted(kind, mode, **options):
    return encoded(kind, PICTURE.convert(mode), **options)


def turned(orientation, kind="JPEG", **options):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(kind, PICTURE.crop((0, 0, 32, 24)), exif=exif, **options)


def interlaced_png():
    """Adam7, which Pillow reads and does not write: seven smaller pictures, one after another."""
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2)]
    pixels, rows = np.asarray(PICTURE), b""
    for top, left, down, right in [*passes, (1, 0, 2, 1)]:
        rows += b"".join(b"\0" + row.tobytes() for row in pixels[top::down, left::right])
    header = struct.pack(">IIBBBBB", 32, 32, 8, 2, 0, 0, 1)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


KINDS = {
    "png": encoded("PNG"),
    "interlaced png": interlaced_png(),
    "png of 1 bit": converted("PNG", "1"),
    "png of 2 bits": converted("PNG", "P", bits=2),
    "png of 4 bits": encoded("PNG", PICTURE.quantize(16), bits=4),
    "grey png": converted("PNG", "L"),
    "palette with a transparent colour": converted("PNG", "P", transparency=3),
    "colour with a transparent one": encoded("PNG", transparency=PICTURE.getpixel((0, 0))),
    "grey with a transparent one": converted("PNG", "L", transparency=77),
    "ink": encoded("PNG", INK),
    "grey ink": encoded("PNG", INK.convert("LA")),
    "opaque": converted("PNG", "RGBA"),
    "ink as webp": encoded("WEBP", INK, lossless=True),
    "ink as gif": encoded("GIF", INK.quantize(16)),
    "ink as tiff": encoded("TIFF", INK),
    "gif": converted("GIF", "P"),
    "animated gif": converted("GIF", "P", save_all=True, append_images=[PICTURE.rotate(90)]),
    "webp": encoded("WEBP", lossless=True),
    "bmp": encoded("BMP"),
    "grey bmp": converted("BMP", "L"),
    "jpeg": encoded("JPEG", quality=95),
    "progressive jpeg": encoded("JPEG", progressive=True),
    "jpeg of inks": converted("JPEG", "CMYK", quality=95),
    "grey jpeg": converted("JPEG", "L", quality=95),
    "tiff": encoded("TIFF", compression="tiff_lzw"),
    "tiff of inks": converted("TIFF", "CMYK"),
    "tiff of pages": encoded("TIFF", save_all=True, append_images=[PICTURE.rotate(90)]),
    "ppm": encoded("PPM"),
    "pgm": converted("PPM", "L"),
    "tga": encoded("TGA"),
    "qoi": encoded("QOI"),
    "ico": encoded("ICO", sizes=[(32, 32)]),
    **{f"turned {orientation}": turned(orientation) for orientation in range(1, 9)},
    "turned png": turned(6, "PNG"),
    "turned webp": turned(8, "WEBP", lossless=True),
    "turned tiff": turned(6, "TIFF"),
    "turned, said badly": turned(6).replace(b"Exif\0\0MM", b"Exif\0\0XX"),
}


def as_pillow_reads(content, channels):
    picture = Image.open(io.BytesIO(content))
    if channels == 1:
        picture.draft("L", picture.size)  # the grey that a JPEG holds, instead of colours' grey
    picture = ImageOps.exif_transpose(picture)
    if picture.has_transparency_data:
        paper = Image.new("RGBA", picture.size, "white")
        paper.alpha_composite(picture.convert("RGBA"))
        picture = paper
    pixels = np.asarray(picture.convert({1: "L", 3: "RGB"}[channels]))
    return pixels.reshape(*pixels.shape[:2], channels)


def read(content, channels=1, size=(32, 32), crop=False):
    conversion = Conversion(size, channels, crop)
    file = ImageFile("a.png", lambda: content)
    return decoded([file], conversion)[0], conversion.in_words()


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_of_every_kind_are_read_as_pillow_reads_them(channels):
    for kind, content in KINDS.items():
        expected = as_pillow_reads(content, channels)
        seen, _ = read(content, channels, expected.shape[:2])
        np.testing.assert_array_equal(seen, expected, err_msg=kind)


def test_a_picture_is_upright_by_its_exif_orientation():
    upright = np.zeros([24, 32, 3], np.uint8)
    upright[:8] = 200
    exif = Image.Exif()
    exif[0x0112] = 6  # its top is at the right
    content = encoded("JPEG", Image.fromarray(np.rot90(upright)), exif=exif, quality=98)
    seen, told = read(content, 3, (24, 32))
    np.testing.assert_allclose(seen.astype(int), upright, atol=3)
    assert told == ""  # of the size 24 x 32, that is, not 32 x 24


def test_transparent_pictures_are_read_on_white():
    seen, told = read(encoded("PNG", Image.new("RGBA", (4, 2), (0, 0, 0, 0))), size=(2, 4))
    assert (seen == 255).all() and "1 of them are transparent, and are read on white." in told
    assert "transparent" not in read(KINDS["opaque"])[1]


def test_of_several_pictures_in_a_file_the_first_is_read_and_that_is_told():
    for kind in ("animated gif", "tiff of pages"):
        assert "1 of the files hold several; only the first is read." in read(KINDS[kind])[1]


@pytest.mark.parametrize("tall", [False, True])
def test_a_crop_is_the_middle_of_the_picture_at_its_own_aspect_ratio(tall):
    wide = np.random.default_rng(0).integers(0, 256, [24, 40, 3], np.uint8)
    middle = wide[:, 8:32]

    def seen(size):
        picture = wide.swapaxes(0, 1) if tall else wide
        found, told = read(encoded("PNG", Image.fromarray(picture)), 3, size, crop=True)
        return (found.swapaxes(0, 1) if tall else found), told

    found, told = seen((24, 24))
    np.testing.assert_array_equal(found, middle)
    assert f"of {'40 x 24' if tall else '24 x 40'} pixels, is cropped to its middle and" in told
    # At half of the size: the filter reaches 6 pixels beyond, which are those of the picture.
    whole = tf.image.resize(wide, (12, 20), "lanczos3", antialias=True)
    expected = np.clip(np.rint(whole[:, 4:16]), 0, 255)
    np.testing.assert_allclose(seen((12, 12))[0].astype(int), expected, atol=1)
    assert "cropped" not in read(encoded("PNG", Image.fromarray(middle)), 3, (9, 9), crop=True)[1]


DEEP = np.arange(0, 4096, 16, dtype=np.uint16).reshape(16, 16)  # of a camera of 12 bits


@pytest.mark.parametrize("kind", ["png", "tiff", "tiff of a big-endian machine", "pgm"])
@pytest.mark.parametrize("channels", [1, 3])
def test_grey_of_more_than_8_bits_keeps_its_levels(kind, channels):
    if kind == "pgm":  # says itself what is white
        content = b"P5 16 16 4095\n" + DEEP.astype(">u2").tobytes()
    elif kind == "tiff of a big-endian machine":
        content = encoded("TIFF", Image.frombytes("I;16B", (16, 16), DEEP.astype(">u2").tobytes()))
    else:
        content = encoded(kind, Image.fromarray(DEEP))
    seen, told = read(content, channels, (16, 16))
    expected = np.round(DEEP * (255 / 4095))
    np.testing.assert_array_equal(seen, np.repeat(expected[..., None], channels, -1))
    assert len(np.unique(seen)) > 250
    assert ("The 16-bit pictures are read with 4095 as white." in told) == (kind != "pgm")


def test_all_of_a_set_of_16_bits_have_the_same_white():
    dark = DEEP // 4
    files = [encoded("PNG", Image.fromarray(levels)) for levels in (dark, DEEP, dark * 2)]
    files.append(encoded("PNG", Image.new("L", (16, 16), 100)))
    pictures = [ImageFile("a", lambda c=content: c) for content in files]
    seen = decode_images(pictures, (16, 16), 1)[..., 0]
    for got, levels in zip(seen, (dark, DEEP, dark * 2), strict=False):
        np.testing.assert_array_equal(got, np.round(levels * (255 / 4095)))
    assert (seen[3] == 100).all()


def test_a_large_jpeg_is_decoded_small_and_is_the_same_picture(monkeypatch):
    large = PICTURE.resize((2048, 1536), Image.Resampling.BICUBIC)
    content, sizes = encoded("JPEG", large, quality=95), []
    load = Image.Image.load
    monkeypatch.setattr(Image.Image, "load", lambda i: (sizes.append(i.size), load(i))[1])
    seen, told = read(content, 3, (24, 32))
    monkeypatch.undo()
    assert max(sizes) == (256, 192)  # an eighth; a quarter of it would still do
    assert "of 1536 x 2048 pixels, is resized to 24 x 32" in told
    expected = large.resize((32, 24), Image.Resampling.LANCZOS)
    np.testing.assert_allclose(seen.astype(int), np.asarray(expected), atol=3)


def test_what_would_take_too_much_memory_is_refused_before_it_does():
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + header
    bomb += struct.pack(">I", zlib.crc32(b"IHDR" + header)) + KINDS["png"][33:]
    with pytest.raises(ValueError, match=r"a\.png .*3600000000 pixels.*Make it smaller") as raised:
        read(bomb)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("ending", [".heic", ".HEIF", ".svg", ".cr2"])
def test_pictures_of_other_kinds_are_named_and_not_passed_over(tmp_path, ending):
    for name in ("one", "two", *"abcdefghijklm"):  # enough classes for 5 ways
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").write_bytes(KINDS["png"])
    (tmp_path / "two" / f"b{ending}").write_bytes(b"whatever it is")
    cure = "Convert it to JPEG .*pillow-heif" if "he" in ending.lower() else "Convert it, to PNG"
    for reader in (tasks.ImageFolder, lambda path: classes_in(path, "--support")):
        with pytest.raises(ValueError, match=rf"two/b\{ending}\. .*{cure}"):
            reader(tmp_path)


def test_a_package_that_reads_heic_is_used(monkeypatch):
    asked = []
    package = types.SimpleNamespace(register_heif_opener=lambda: asked.append("register"))
    monkeypatch.setitem(sys.modules, "pillow_heif", package)
    picture_files.register_heif.cache_clear()
    assert "JPEG" in picture_files.formats() and picture_files.formats()
    picture_files.register_heif.cache_clear()  # others do not have the package
    assert asked == ["register"]


def test_heic_is_named_whatever_the_file_is_called():
    with pytest.raises(ValueError, match=r"a\.png .*it is HEIC, whatever its name.*to JPEG"):
        read(b"\0\0\0\x18ftypheic" + bytes(40))


def test_all_that_pillow_opens_is_read_and_what_is_no_picture_is_counted(tmp_path, capsys):
    endings = ["png", "PNG", "jfif", "jpe", "pgm", "tga", "TIFF", "webp", "bmp", "gif", "ppm"]
    for name in "abcdef":
        (tmp_path / name / "more").mkdir(parents=True)
        (tmp_path / name / ".hidden").write_text("")
        (tmp_path / name / "notes.txt").write_text("")
        for i, ending in enumerate(endings):
            Image.new("L", (28, 28), 10 * i).save(tmp_path / name / f"{i}.{ending}")
    (tmp_path / "loose.jpg").write_bytes(KINDS["jpeg"])
    source = tasks.ImageFolder(tmp_path, ways=2, split=(0.34, 0.33, 0.33))
    parts = (source.train, source.valid, source.test)
    assert sum(len(list(part.labelled())) for part in parts) == 6 * len(endings)
    line = "13 files are ignored (not a picture directly in a class folder): "
    assert capsys.readouterr().out.startswith(line)
    (tmp_path / "loose.jpg").unlink()
    found = classes_in(tmp_path, "--support").pictures
    assert len(found) == 6 * len(endings)
    assert len(PictureInput((28, 28), 1).read(found)) == len(found)
    line = "12 files are ignored (not a picture directly in a class folder): a/more/, a/notes.txt, "
    notes = []
    note_ignored(found, notes.append)
    assert notes == [line + "b/more/, …."]


def test_a_name_may_be_wrong_about_the_kind():
    np.testing.assert_array_equal(read(KINDS["bmp"], 3)[0], PICTURE)


DEPTH_32 = encoded("TIFF", Image.fromarray(np.full([4, 4], 70_000, np.int32)))
FLOATS = encoded("TIFF", Image.fromarray(np.full([4, 4], 0.5, np.float32)))
CUT = [KINDS[kind][: len(KINDS[kind]) // 2] for kind in ("png", "jpeg", "gif", "webp", "tiff")]


@pytest.mark.parametrize("content", [b"", b"no picture", *CUT, DEPTH_32, FLOATS])
def test_a_picture_that_cannot_be_decoded_is_named_in_one_line(content):
    with pytest.raises(ValueError, match=r"Cannot decode the image b\.png") as raised:
        files = [ImageFile("a.png", lambda: KINDS["png"]), ImageFile("b.png", lambda: content)]
        decode_images(files, (8, 8), 1)
    assert "\n" not in str(raised.value)


def test_names_that_are_not_utf8_are_read_and_shown(tmp_path):
    for number in range(10):
        folder = os.fsencode(tmp_path) + b"/caf\xe9%d" % number
        os.mkdir(folder)
        for i in range(2):
            with open(folder + b"/%d.png" % i, "wb") as file:
                file.write(KINDS["png"])
    source = tasks.ImageFolder(tmp_path, ways=1, queries=1)
    assert source.input_shape == (28, 28, 1)
    classes = classes_in(tmp_path, "--support")
    assert classes.names[0] == "caf\ufffd0"
    "".join(classes.names).encode("utf-8")  # can be printed


@pytest.fixture
def few_test_classes(tmp_path):
    for part, classes in (("train", 6), ("valid", 2), ("test", 2)):
        for number in range(classes):
            folder = tmp_path / part / f"{part}{number}"
            folder.mkdir(parents=True)
            for i in range(3):
                (folder / f"{i}.png").write_bytes(KINDS["png"])
    return tmp_path


def test_the_ways_and_shots_of_training_are_its_own(few_test_classes):
    words = [
        *("--task=images", f"--data_dir={few_test_classes}", "--ways=2", "--train_ways=5"),
        *("--shots=1", "--train_shots=2", "--queries=1"),
    ]
    train = main.read("train", words)
    source = build.build_tasks(train.task, train.sizes)
    for part, ways, shots in ((source.train, 5, 2), (source.valid, 2, 1), (source.test, 2, 1)):
        x, y = next(iter(part.batches(3)))
        assert x["support_y"].shape == (3, ways * shots) and y.shape == (3, ways)
        assert set(y.numpy().ravel()) == set(range(ways))
    with pytest.raises(ValueError, match=r"train split has 6 of the 10 classes.*ways=7"):
        tasks.ImageFolder(few_test_classes, ways=2, queries=1, train_ways=7)


def test_training_episodes_are_those_of_a_source_of_that_size():
    # So that a run of before goes on with the same episodes.
    from meta_tf.tasks.class_source import ClassData, ClassSource

    names = [f"class{i}" for i in range(12)]
    data = ClassData(np.arange(60.0, dtype="float32")[:, None], np.full(12, 5), names)
    options = {"queries": 2, "rotations": None}
    split = (names[:8], names[8:10], names[10:])
    mixed = ClassSource(data, split, ways=2, shots=1, train_ways=6, train_shots=3, **options).train
    pure = ClassSource(data, (names[:8],) * 3, ways=6, shots=3, **options).train
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
