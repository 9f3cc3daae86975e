"""Large folders of pictures: the same tasks from disk as from memory, and little memory."""

import json
import os
import shutil
import sys
import time
from collections import namedtuple
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_tf
from meta_tf.tasks import ImageFolder, mapped
from meta_tf.tasks.images import image_folder, picture_cache
from tests.command_line import run_program
from tests.marks import exhaustive, few, slow

ROOT = Path(__file__).resolve().parents[3]
SMALL = {"ways": 3, "queries": 2, "size": 6, "channels": 3, "split": (0.5, 0.25, 0.25)}


def write(folder, classes, pictures, size=7, seed=0):
    rng = np.random.default_rng(seed)
    for number in range(classes):
        (folder / f"class{number:02d}").mkdir(parents=True)
        for i in range(pictures):
            picture = rng.integers(0, 256, [size, size, 3], dtype=np.uint8)
            path = folder / f"class{number:02d}" / f"{i}.png"
            path.write_bytes(tf.io.encode_png(picture).numpy())
    return folder


@pytest.fixture
def folder(tmp_path):
    """Twenty classes of five pictures."""
    return write(tmp_path / "pictures", 20, 5)


@pytest.fixture
def decodings(monkeypatch):
    """A list with an entry for each time that pictures were decoded into a file."""
    done = []
    decode = picture_cache.decoded_chunks

    def counted(*args):
        done.append(args)
        return decode(*args)

    monkeypatch.setattr(picture_cache, "decoded_chunks", counted)
    return done


def drawn(part, **options):
    return [t.numpy() for t in tf.nest.flatten(next(iter(part.batches(6, **options))))]


def everything(part):
    """All pictures of a split, and their labels."""
    return [t.numpy() for t in next(iter(part.labelled().batch(1000)))]


def assert_same(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


ONE, RANGE = {}, {"ways": (2, 4), "shots": (1, 2)}


@pytest.mark.parametrize(
    ("rotations", "sizes"),
    [
        ("classes", RANGE),
        slow("task", ONE),
        exhaustive(None, ONE),
        exhaustive(None, RANGE),
        exhaustive("task", RANGE),
        exhaustive("classes", ONE),
    ],
)
def test_tasks_are_the_same_from_disk_as_from_memory(folder, rotations, sizes):
    options = {**SMALL, "rotations": rotations, **sizes}
    on_disk, held = (ImageFolder(folder, **options, cache=cache) for cache in (True, False))
    for part in ("train", "valid", "test"):
        ours, theirs = getattr(on_disk, part), getattr(held, part)
        assert ours.task_spec == theirs.task_spec
        assert_same(drawn(ours, seed=3), drawn(theirs, seed=3))
        later = ours.batches(6, seed=3).skip(2)
        assert_same(
            [t.numpy() for t in tf.nest.flatten(next(iter(later)))],
            drawn(ours, seed=3, start=2),
        )
        assert_same(drawn(ours, seed=3, start=2), drawn(theirs, seed=3, start=2))
        for one, other in zip(ours.labelled(), theirs.labelled(), strict=True):
            assert_same(one, other)
    assert_same(*(drawn(source.train.meta_dataset(least_ways=2)) for source in (on_disk, held)))
    flat = keras.Sequential([keras.Input([6, 6, 3]), keras.layers.Flatten()])
    assert_same(*(drawn(source.test.embedded(flat)) for source in (on_disk, held)))


@pytest.mark.slow
def test_a_learner_learns_from_disk_as_from_memory(folder):
    weights = []
    for cache in (True, False):
        keras.utils.set_random_seed(0)
        tasks = ImageFolder(folder, **SMALL, cache=cache)
        learner = meta_tf.MetaLearner(
            meta_tf.models.mlp((6, 6, 3), 3, (4,)),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        learner.compile("adam", steps_per_execution=2)
        learner.fit(tasks.train.batches(2), steps_per_epoch=4, verbose=0)
        weights.append(learner.get_weights())
    assert_same(*weights)


def test_nothing_is_read_behind_the_programs_back(folder, monkeypatch):
    # A thread that waits for Python while the process ends would keep it from ending.
    tasks, reads = ImageFolder(folder, **SMALL, cache=True), []
    read = mapped.MappedExamples.read
    counted = lambda self, rows: (reads.append(1), read(self, rows))[1]  # noqa: E731
    monkeypatch.setattr(mapped.MappedExamples, "read", counted)
    batches = iter(tasks.train.batches(2))
    next(batches)
    made = len(reads)
    time.sleep(0.3)
    assert made == len(reads) == 1


def test_a_set_is_kept_on_disk_if_it_would_take_much_memory(folder, user_cache, monkeypatch):
    monkeypatch.setattr(image_folder, "_LARGE", 100 * 6 * 6 * 3 + 1)
    ImageFolder(folder, **SMALL)
    assert not user_cache.exists()
    ImageFolder(folder, **SMALL, rotations="task", cache=False)
    assert not user_cache.exists()
    ImageFolder(folder, **SMALL, rotations="task")  # four copies
    (place,) = user_cache.iterdir()
    assert place.name.startswith("pictures-6x6x3-")
    assert np.load(place / "pictures.npy", mmap_mode="r").shape == (100, 6, 6, 3)


def test_the_second_time_nothing_is_decoded_and_the_same_told(folder, decodings, capsys):
    first = ImageFolder(folder, **SMALL, cache=True)
    told = capsys.readouterr().out
    assert "100 pictures, of 7 x 7 pixels, are resized to 6 x 6." in told
    again = ImageFolder(folder, **{**SMALL, "split": (0.4, 0.3, 0.3)}, cache=True)
    assert capsys.readouterr().out == told
    again = ImageFolder(folder, **SMALL, cache=True)
    assert len(decodings) == 1
    assert_same(drawn(first.train), drawn(again.train))
    ImageFolder(folder, **{**SMALL, "size": 5}, cache=True)
    ImageFolder(folder, **{**SMALL, "channels": 1}, cache=True)
    ImageFolder(folder, **SMALL, cache=True)
    assert len(decodings) == 3  # each in a place of its own


DAMAGES = {
    "a part": lambda place: _cut(place / "pictures.npy", -1),
    "more": lambda place: _cut(place / "pictures.npy", None),
    "another file": lambda place: (place / "pictures.npy").write_bytes(b"PK\x03\x04 and more"),
    "empty": lambda place: (place / "pictures.npy").write_bytes(b""),
    "another byte": lambda place: _change(place / "pictures.npy", 5000),
    "another array": lambda place: np.save(place / "pictures.npy", np.zeros([3, 2])),
    "no pictures": lambda place: (place / "pictures.npy").unlink(),
    "nothing about it": lambda place: (place / "about.json").unlink(),
    "no JSON": lambda place: (place / "about.json").write_bytes(b"\xff{"),
    "other JSON": lambda place: (place / "about.json").write_text("[]"),
    "no folder": shutil.rmtree,
}


def _change(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def _cut(path, end):
    content = path.read_bytes()
    path.write_bytes(content[:end] if end else content + b"\0")


@pytest.mark.parametrize(
    "damage", few(DAMAGES, "a part", "another byte", "no JSON", "no folder", others=exhaustive)
)
def test_a_damaged_file_is_rebuilt(folder, user_cache, decodings, damage):
    before = everything(ImageFolder(folder, **SMALL, cache=True).train)
    (place,) = user_cache.iterdir()
    DAMAGES[damage](place)
    assert_same(before, everything(ImageFolder(folder, **SMALL, cache=True).train))
    ImageFolder(folder, **SMALL, cache=True)
    assert len(decodings) == 2
    assert [path.name for path in user_cache.iterdir()] == [place.name]


def test_an_outdated_file_is_replaced(folder, user_cache, decodings):
    first = ImageFolder(folder, **SMALL, cache=True)
    before = drawn(first.train)
    changed = folder / "class03" / "2.png"
    os.utime(changed, ns=(0, changed.stat().st_mtime_ns + 1))
    ImageFolder(folder, **SMALL, cache=True)
    (folder / "class03" / "2.png").rename(folder / "class03" / "9.png")
    ImageFolder(folder, **SMALL, cache=True)
    write(folder / "more", 1, 5)
    (folder / "more" / "class00").rename(folder / "class99")
    (folder / "more").rmdir()
    last = ImageFolder(folder, **SMALL, cache=True)
    assert len(decodings) == 4 and len(list(user_cache.iterdir())) == 1
    assert_same(drawn(last.train), drawn(ImageFolder(folder, **SMALL, cache=False).train))
    # Whoever reads what has been replaced goes on with it.
    assert_same(before, drawn(first.train))


def test_where_nothing_can_be_written_pictures_are_held_in_memory(
    folder, tmp_path, monkeypatch, capsys
):
    held = ImageFolder(folder, **SMALL, cache=False)
    capsys.readouterr()
    (tmp_path / "a_file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a_file"))
    tasks = ImageFolder(folder, **SMALL, cache=True)
    line = capsys.readouterr().out.splitlines()[0]
    assert line.startswith(f"The decoded pictures of {folder} are kept in memory, as they cannot")
    assert str(tmp_path / "a_file") in line and "Not a directory" in line and "cache=False" in line
    assert_same(drawn(tasks.train), drawn(held.train))


def test_a_disk_without_room_is_told_before_anything_is_decoded(
    folder, user_cache, monkeypatch, decodings, capsys
):
    usage = namedtuple("usage", ["free"])
    monkeypatch.setattr(picture_cache.shutil, "disk_usage", lambda _: usage(100 * 6 * 6 * 3 - 1))
    ImageFolder(folder, **SMALL, cache=True)
    assert "No space left on device" in capsys.readouterr().out
    assert not decodings and not list(user_cache.iterdir())


def test_a_picture_that_cannot_be_read_leaves_nothing_behind(folder, user_cache):
    (folder / "class07" / "3.png").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"Cannot decode the image .*class07/3.png"):
        ImageFolder(folder, **SMALL, cache=True)
    assert not list(user_cache.iterdir())


def test_two_processes_that_write_at_once_end_with_the_same(
    folder, monkeypatch, user_cache, capsys
):
    write_it = picture_cache._write

    def later(*args):
        write_it(*args)  # the other one
        raise OSError(39, "Directory not empty", "there")

    monkeypatch.setattr(picture_cache, "_write", later)
    ImageFolder(folder, **SMALL, cache=True)
    assert len(list(user_cache.iterdir())) == 1
    assert "in memory" not in capsys.readouterr().out


def test_what_a_killed_process_left_is_removed(folder, user_cache):
    ImageFolder(folder, **SMALL, cache=True)
    (place,) = user_cache.iterdir()
    old, new = (user_cache / f".{digit * 32}-{place.name}" for digit in "ab")
    for left in (old, new):
        left.mkdir()
        (left / "pictures.npy").write_bytes(b"half")
    for path in (old, old / "pictures.npy"):
        os.utime(path, (time.time() - 7200,) * 2)
    (place / "about.json").unlink()
    ImageFolder(folder, **SMALL, cache=True)
    assert {path.name for path in user_cache.iterdir()} == {place.name, new.name}


def test_a_line_is_printed_for_slow_decoding(folder, monkeypatch, capsys):
    monkeypatch.setattr(picture_cache, "_SLOW", 0.0)
    monkeypatch.setattr("meta_tf.tasks.images.decode._CHUNK", 40)
    ImageFolder(folder, **SMALL, cache=True)
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("Decoding 100 pictures into ") and "once: 40 % after" in told[0]
    assert len(told) == 2  # and what is lost


def test_another_cache_is_refused(folder):
    with pytest.raises(ValueError, match="`cache` must be one of 'auto', True, False"):
        ImageFolder(folder, **SMALL, cache="always")


MEMORY = r"""
import json, re, sys
from pathlib import Path
import numpy as np
import meta_tf

def peak():  # not ru_maxrss, which begins with that of the process that started this one
    return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])

small = meta_tf.tasks.from_arrays(np.zeros([60, 4]), np.arange(60) % 20, ways=1, queries=1)
next(iter(small.train.batches(1)))
before = peak()
tasks = meta_tf.tasks.ImageFolder(
    sys.argv[1], ways=1, queries=1, size=512, channels=3, cache=json.loads(sys.argv[2])
)
batches = iter(tasks.train.batches(1))
for _ in range(400):
    next(batches)
print(json.dumps({"grown": peak() - before}))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak like this")
def test_a_large_set_takes_little_memory(tmp_path):
    """Eight times the pictures, all of the training part seen, take next to no more memory."""
    a_picture = 512 * 512 * 3
    write(tmp_path / "small", 20, 2, size=8)
    write(tmp_path / "large", 20, 16, size=8)

    program = tmp_path / "program.py"
    program.write_text(MEMORY)

    def grown(folder, cache):
        code, out, err = run_program(program, tmp_path / folder, cache, cwd=tmp_path)
        assert code == 0, err
        return json.loads(out.splitlines()[-1])["grown"]

    # What decoding and the batches take is in both.
    small, large, held = (
        grown(*of) for of in (("small", "true"), ("large", "true"), ("large", "false"))
    )
    more = 20 * (16 - 2) * a_picture
    assert large - small < more / 4 < more < held, (small, large, held)
