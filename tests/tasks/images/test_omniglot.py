"""Omniglot on a small data set of the same layout, and on the real one where it is at hand.

META_TF_OMNIGLOT names the folder of the real one.
"""

import functools
import hashlib
import http.server
import os
import re
import threading
import tracemalloc
import zipfile

import numpy as np
import pytest
import tensorflow as tf

from meta_tf.tasks import Omniglot
from meta_tf.tasks.images import download, picture_cache
from tests.marks import exhaustive

SMALL = {"ways": 2, "queries": 2}
SPLITS = ("train", "valid", "test")
HALVES = ("images_background", "images_evaluation")


def drawings(alphabets=4, characters=5, each=3):
    """105 x 105 drawings by path: ink 0 on paper 255, a patch whose place tells the character."""
    made = {}
    for h, half in enumerate(HALVES):
        for a in range(alphabets):
            for c in range(characters):
                for i in range(each):
                    number = (h * alphabets + a) * characters + c
                    picture = np.full([105, 105, 1], 255, np.uint8)
                    row, column = divmod(number, 7)
                    picture[15 * row : 15 * row + 11, 15 * column : 15 * column + 11] = 0
                    picture[100:, : 20 * (i + 1)] = 0
                    path = f"{half}/Alphabet_{a}/character{c + 1:02d}/{number:04d}_{i:02d}.png"
                    made[path] = tf.io.encode_png(picture).numpy()
    return made


FILES = drawings()


def write_tree(folder, files=FILES):
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def write_zips(folder, files=FILES):
    folder.mkdir(parents=True, exist_ok=True)
    for half in HALVES:
        with zipfile.ZipFile(folder / f"{half}.zip", "w") as archive:
            archive.writestr(f"__MACOSX/{half}/Alphabet_0/character01/._0.png", b"not an image")
            archive.writestr(f"{half}/.DS_Store", b"not an image")
            for path, content in files.items():
                if path.startswith(half):
                    archive.writestr(path, content)
    return folder


@pytest.fixture
def data_dir(tmp_path):
    return write_zips(tmp_path / "data")


def drawn(source):
    return [t.numpy() for t in tf.nest.flatten(next(iter(source.train.batches(8))))]


def assert_same(first, second):
    for a, b in zip(drawn(first), drawn(second), strict=True):
        np.testing.assert_array_equal(a, b)
    for part in SPLITS:
        assert getattr(first, part).classes == getattr(second, part).classes


@pytest.fixture
def decodings(monkeypatch):
    """Counts the times that drawings are decoded."""
    calls = []
    original = picture_cache.decoded_chunks

    def counted(*args, **kwargs):
        calls.append(1)
        return original(*args, **kwargs)

    monkeypatch.setattr(picture_cache, "decoded_chunks", counted)
    return calls


@pytest.mark.parametrize(
    "layout", ["zips in python", "mixed", *map(exhaustive, ("tree", "tree in python"))]
)
def test_all_layouts_give_the_same_tasks(layout, data_dir, tmp_path):
    other = tmp_path / "other"
    if layout == "mixed":
        write_tree(other, {p: c for p, c in FILES.items() if p.startswith(HALVES[0])})
        write_zips(tmp_path / "aside")
        (tmp_path / f"aside/{HALVES[1]}.zip").rename(other / f"{HALVES[1]}.zip")
    else:
        write = write_tree if layout.startswith("tree") else write_zips
        write(other / "python" if layout.endswith("python") else other)
    assert_same(Omniglot(data_dir, **SMALL), Omniglot(other, **SMALL))


def test_images_are_upright_inverted_and_of_their_class(data_dir):
    source = Omniglot(data_dir, **SMALL, size=21, rotations=None)
    for part in SPLITS:
        x, query_y = next(iter(getattr(source, part).batches(60)))
        images = np.concatenate([x["support_x"], x["query_x"]], axis=1)
        assert images.shape == (60, 6, 21, 21, 1)
        assert images.min() == 0 and images.max() == 1
        # 105 / 21 = 5: the patch's middle is at 3 (row, column) + 1, its number 7 row + column.
        middles = images[:, :, 1:18:3, 1:21:3, 0].reshape(60, 6, 42)
        assert ((middles > 0.5).sum(-1) == 1).all()
        numbers = middles.argmax(-1)
        names = {
            f"{half}/Alphabet_{a}/character{c + 1:02d}": (h * 4 + a) * 5 + c
            for h, half in enumerate(HALVES)
            for a in range(4)
            for c in range(5)
        }
        assert set(numbers.ravel()) == {names[n] for n in getattr(source, part).classes}
        labels = np.concatenate([x["support_y"], query_y], axis=1)
        for task_labels, task_numbers in zip(labels, numbers, strict=True):
            assert len(set(zip(task_labels, task_numbers, strict=True))) == 2


def test_rotation_is_for_all_parts_or_new_classes_in_training(data_dir):
    source = Omniglot(data_dir, **SMALL)
    upright = Omniglot(data_dir, **SMALL, rotations=None)
    for part in SPLITS:
        x, _ = next(iter(getattr(source, part).batches(30)))
        plain, _ = next(iter(getattr(upright, part).batches(30)))
        turns = np.full([30, 2], -1)
        for task in range(30):
            for label in range(2):
                pairs = zip(
                    np.concatenate([x["support_x"][task], x["query_x"][task]])[label::2],
                    np.concatenate([plain["support_x"][task], plain["query_x"][task]])[label::2],
                    strict=True,
                )
                fitting = [
                    {k for k in range(4) if np.array_equal(image, np.rot90(original, k))}
                    for image, original in pairs
                ]
                (turns[task, label],) = set.intersection(*fitting)
        assert set(turns.ravel()) == {0, 1, 2, 3}
        assert (turns[:, 0] != turns[:, 1]).any()
    classes = Omniglot(data_dir, **SMALL, rotations="classes")
    assert [len(getattr(classes, p).classes) for p in SPLITS] == [4 * 27, 3, 10]


def test_finn_split_shuffles_all_characters_by_name(data_dir):
    # 40 characters in the proportion 1100 : 100 : 423 of 1623: 27.1, 2.5, 10.4, cut at 27.1 and
    # at 29.6.
    names = {os.path.dirname(path) for path in FILES}
    ordered = sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    source = Omniglot(data_dir, **SMALL)
    assert source.train.classes == sorted(ordered[:27])
    assert source.valid.classes == sorted(ordered[27:30])
    assert source.test.classes == sorted(ordered[30:])


def test_lake_split_tests_on_the_evaluation_alphabets(data_dir):
    source = Omniglot(data_dir, **SMALL, split="lake")
    assert [len(getattr(source, p).classes) for p in SPLITS] == [18, 2, 20]
    assert all(name.startswith("images_background/") for name in source.train.classes)
    assert all(name.startswith("images_background/") for name in source.valid.classes)
    assert all(name.startswith("images_evaluation/") for name in source.test.classes)
    assert not set(source.train.classes) & set(source.valid.classes)


def test_order_of_the_archive_does_not_matter(data_dir, tmp_path):
    shuffled = list(FILES.items())
    np.random.default_rng(0).shuffle(shuffled)
    other = write_zips(tmp_path / "shuffled", dict(shuffled))
    assert_same(Omniglot(data_dir, **SMALL), Omniglot(other, **SMALL))


def test_second_time_reads_the_cache(data_dir, decodings):
    first = Omniglot(data_dir, **SMALL)
    assert_same(first, Omniglot(data_dir, **SMALL, split="finn"))
    assert len(decodings) == 1
    assert sorted(f.name for f in data_dir.iterdir()) == [
        "images_background.zip",
        "images_evaluation.zip",
        "omniglot_28",
    ]
    Omniglot(data_dir, **SMALL, size=14)
    assert len(decodings) == 2


def test_changed_drawings_are_read_again(data_dir, decodings):
    first = Omniglot(data_dir, **SMALL)
    changed = {path: FILES[path.replace("_02.png", "_01.png")] for path in FILES}
    write_zips(data_dir, changed)
    assert not np.array_equal(drawn(first)[0], drawn(Omniglot(data_dir, **SMALL))[0])
    assert len(decodings) == 2


@pytest.mark.parametrize("damage", ["cut", "flip", *map(exhaustive, ("empty", "other", "lost"))])
def test_damaged_cache_is_made_again(damage, data_dir, decodings):
    first = Omniglot(data_dir, **SMALL)
    cache = data_dir / "omniglot_28" / "pictures.npy"
    content = bytearray(cache.read_bytes())
    if damage == "cut":
        cache.write_bytes(content[: len(content) // 2])
    elif damage == "flip":
        content[len(content) // 3] ^= 0xFF
        cache.write_bytes(content)
    elif damage == "empty":
        cache.write_bytes(b"")
    elif damage == "other":
        np.save(cache, np.zeros(3))
    else:
        cache.with_name("about.json").unlink()
    assert_same(first, Omniglot(data_dir, **SMALL))
    assert len(decodings) == 2
    Omniglot(data_dir, **SMALL)
    assert len(decodings) == 2


def test_read_only_folder_is_left_alone(data_dir, user_cache, decodings):
    data_dir.chmod(0o555)
    try:
        Omniglot(data_dir, **SMALL)
        Omniglot(data_dir, **SMALL)
    finally:
        data_dir.chmod(0o755)
    assert len(decodings) == 1
    assert not (data_dir / "omniglot_28").exists()
    assert [f.name for f in user_cache.iterdir()] == ["omniglot_28"]


def test_cache_is_written_where_requested(data_dir, tmp_path, decodings):
    Omniglot(data_dir, **SMALL, cache_dir=tmp_path / "mine")
    Omniglot(data_dir, **SMALL, cache_dir=tmp_path / "mine")
    assert len(decodings) == 1
    assert (tmp_path / "mine" / "omniglot_28").exists()
    assert not (data_dir / "omniglot_28").exists()


def test_no_place_for_the_cache_is_told_but_no_error(data_dir, tmp_path, monkeypatch, capsys):
    (tmp_path / "a_file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a_file"))
    Omniglot(data_dir, **SMALL, cache_dir=tmp_path / "a_file")
    assert re.search(r"cannot be kept on disk: .*a_file.*`cache_dir`", capsys.readouterr().out)


def test_missing_data_names_the_places_and_the_cures(tmp_path, data_dir):
    places = [f"nowhere/{half}.zip" for half in HALVES] + ["nowhere/python/images_background"]
    with pytest.raises(FileNotFoundError) as error:
        Omniglot(tmp_path / "nowhere")
    for part in [*places, "download=True", "--download", "brendenlake"]:
        assert part in str(error.value)
    (data_dir / "images_evaluation.zip").unlink()
    with pytest.raises(FileNotFoundError, match=r"Put images_evaluation.zip there"):
        Omniglot(data_dir)


def test_corrupt_drawing_is_named(tmp_path):
    bad = "images_background/Alphabet_2/character03/0012_01.png"
    folder = write_zips(tmp_path / "bad", FILES | {bad: FILES[bad][:50]})
    with pytest.raises(ValueError, match=rf"Cannot decode.*{re.escape(bad)} \(50 bytes\)"):
        Omniglot(folder, **SMALL)
    assert not (folder / "omniglot_28").exists()


def test_corrupt_archive_is_named(data_dir):
    place = data_dir / "images_background.zip"
    content = bytearray(place.read_bytes())
    inside = content.find(b"IDAT")
    content[inside + 6] ^= 0xFF
    place.write_bytes(content)
    with pytest.raises(ValueError, match=r"Cannot read images_background/.*images_background.zip"):
        Omniglot(data_dir, **SMALL)
    place.write_bytes(content[:1000])
    with pytest.raises(ValueError, match=r"images_background.zip is not a complete zip archive"):
        Omniglot(data_dir, **SMALL)
    with zipfile.ZipFile(place, "w") as archive:
        archive.writestr("something/else.txt", "")
    with pytest.raises(FileNotFoundError, match=r"images_background.zip contains no drawings"):
        Omniglot(data_dir, **SMALL)


def test_a_drawing_that_would_fill_the_memory_is_named_before_it_does(tmp_path):
    bad = "images_background/Alphabet_2/character03/0012_01.png"
    folder = write_zips(tmp_path / "bad")
    place = folder / "images_background.zip"
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(bad, bytes(2**26))
    content = place.read_bytes()
    place.write_bytes(content.replace((2**26).to_bytes(4, "little"), (2**8).to_bytes(4, "little")))
    for stated in (content, place.read_bytes()):  # the true size, and one that is not
        place.write_bytes(stated)
        tracemalloc.start()
        with pytest.raises(ValueError, match=rf"Cannot read {bad} in .*Replace the archive"):
            Omniglot(folder, **SMALL)
        assert tracemalloc.get_traced_memory()[1] < 2**24
        tracemalloc.stop()


def test_download_fetches_what_is_missing_only_when_told(data_dir, tmp_path, monkeypatch):
    asked = []

    def fetch(url, path, md5):
        asked.append((url, md5))
        path.write_bytes((data_dir / path.name).read_bytes())

    monkeypatch.setattr(download, "fetch", fetch)
    source = Omniglot(tmp_path / "fresh", **SMALL, download=True)
    assert asked == [(f"{download.OMNIGLOT_URL}/{n}", m) for n, m in download.OMNIGLOT_MD5.items()]
    assert_same(source, Omniglot(data_dir, **SMALL, download=True))
    half = write_tree(
        tmp_path / "half", {p: c for p, c in FILES.items() if p.startswith(HALVES[0])}
    )
    assert_same(source, Omniglot(half, **SMALL, download=True))
    assert asked[2:] == [asked[1]]  # the half that was there is left alone


def test_a_mirror_is_asked_in_place_of_the_official_address(data_dir, tmp_path, monkeypatch):
    checksums = {p.name: hashlib.md5(p.read_bytes()).hexdigest() for p in data_dir.iterdir()}
    monkeypatch.setattr(download, "OMNIGLOT_MD5", checksums)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    monkeypatch.setattr(http.server.SimpleHTTPRequestHandler, "log_message", lambda *args: None)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        mirror = f"http://127.0.0.1:{server.server_port}/data/"
        fetched = Omniglot(tmp_path / "fresh", **SMALL, download=True, mirror=mirror)
        server.shutdown()
    assert_same(fetched, Omniglot(data_dir, **SMALL))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "vinyals"}, "`split` must be one of 'finn', 'lake'"),
        ({"size": 0}, "`size` must be an integer of at least 1"),
        ({"ways": 4}, "The valid split has 3 of the 40 classes.*ways=4"),
        ({"queries": 3}, "has 3 examples"),
    ],
)
def test_invalid_options_are_rejected(data_dir, options, message):
    with pytest.raises(ValueError, match=message):
        Omniglot(data_dir, **(SMALL | options))


@pytest.mark.skipif("META_TF_OMNIGLOT" not in os.environ, reason="META_TF_OMNIGLOT is not set")
@pytest.mark.parametrize(("split", "sizes"), [("finn", [1100, 100, 423]), ("lake", [868, 96, 659])])
def test_the_real_omniglot(split, sizes, tmp_path_factory):
    cache = tmp_path_factory.getbasetemp() / "real_omniglot"
    source = Omniglot(os.environ["META_TF_OMNIGLOT"], ways=20, split=split, cache_dir=cache)
    assert [len(getattr(source, p).classes) for p in SPLITS] == sizes
    assert len({c for p in SPLITS for c in getattr(source, p).classes}) == 1623
    x, _ = next(iter(source.train.batches(16)))
    images = x["query_x"].numpy()
    assert images.shape == (16, 300, 28, 28, 1)
    assert images.min() == 0 and images.max() == 1
    assert 0.03 < images.mean() < 0.2  # thin bright strokes on black
