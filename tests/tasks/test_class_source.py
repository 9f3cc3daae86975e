"""N-way K-shot episodes, followed example by example."""

import hashlib
import itertools

import numpy as np
import pytest
import tensorflow as tf

from meta_tf.tasks import from_arrays

SPLITS = ("train", "valid", "test")


def marked(counts):
    """Vectors (class, number within the class), so that each can be told in an episode."""
    return np.array([(c, i) for c, count in enumerate(counts) for i in range(count)], np.float32)


def source_of(counts, **options):
    examples = marked(counts)
    return from_arrays(examples, examples[:, 0].astype(int), **options)


def first_batch(part, tasks, **options):
    x, query_y = next(iter(part.batches(tasks, **options)))
    return {name: t.numpy() for name, t in x.items()}, query_y.numpy()


@pytest.mark.parametrize("split", [(0.64, 0.16, 0.2), (1 / 3, 1 / 3, 1 / 3)])
def test_parts_share_no_class(split):
    source = source_of([6] * 50, ways=5, shots=2, queries=4, split=split)
    drawn = {}
    for name in SPLITS:
        part = getattr(source, name)
        x, _ = first_batch(part, 400)
        drawn[name] = set(x["support_x"][..., 0].ravel()) | set(x["query_x"][..., 0].ravel())
        assert drawn[name] == {float(c) for c in part.classes}
    assert not any(drawn[a] & drawn[b] for a, b in itertools.combinations(SPLITS, 2))
    assert set.union(*drawn.values()) == set(range(50))


def test_support_and_query_share_no_example_and_classes_are_distinct():
    x, query_y = first_batch(
        source_of([7] * 30, ways=4, shots=2, queries=5, split=(0.5, 0.25, 0.25)).train, 300
    )
    for task in range(300):
        examples = np.concatenate([x["support_x"][task], x["query_x"][task]])
        labels = np.concatenate([x["support_y"][task], query_y[task]])
        assert len(np.unique(examples, axis=0)) == 4 * 7  # all, each once
        # Label and class determine one another.
        assert len(np.unique(np.column_stack([labels, examples[:, 0]]), axis=0)) == 4
        assert set(labels) == {0, 1, 2, 3}


def test_any_leading_slice_is_balanced():
    x, query_y = first_batch(
        source_of([8] * 30, ways=3, shots=2, queries=4, split=(0.5, 0.25, 0.25)).train, 5
    )
    np.testing.assert_array_equal(x["support_y"], [[0, 1, 2] * 2] * 5)
    np.testing.assert_array_equal(query_y, [[0, 1, 2] * 4] * 5)


def test_every_class_example_and_label_is_equally_likely():
    x, _ = first_batch(
        source_of([5] * 20, ways=2, shots=1, queries=1, split=(0.5, 0.25, 0.25)).train, 20_000
    )
    first = x["support_x"][:, 0]
    classes, counts = np.unique(first[:, 0], return_counts=True)
    assert len(classes) == 10
    # Binomial: 2000 ± 42 for one of ten classes, 4000 ± 57 for one of five examples.
    np.testing.assert_allclose(counts, 2000, atol=5 * 42)
    _, counts = np.unique(first[:, 1], return_counts=True)
    np.testing.assert_allclose(counts, 4000, atol=5 * 57)
    # Pairs of classes, in order: 90, each 222 ± 15.
    _, counts = np.unique(x["support_x"][..., 0], axis=0, return_counts=True)
    assert len(counts) == 90
    np.testing.assert_allclose(counts, 20_000 / 90, atol=5 * 15)


def test_classes_may_differ_in_size():
    sizes = [2 + c % 5 for c in range(30)]
    part = source_of(sizes, ways=3, shots=1, queries=1, split=(0.5, 0.25, 0.25)).train
    x, _ = first_batch(part, 3000)
    seen = {tuple(e) for e in x["support_x"].reshape(-1, 2)}
    # All examples of the part's classes, and none that does not exist.
    assert seen == {(float(c), float(i)) for c in map(int, part.classes) for i in range(sizes[c])}


def images(classes=12, each=6, size=5, channels=1):
    """Distinct pictures without symmetry; pixel (0, 1) holds the class, (0, 2) the number."""
    made = np.random.default_rng(1).integers(0, 256, [classes * each, size, size, channels])
    labels = np.repeat(np.arange(classes), each)
    return made.astype(np.uint8), labels


@pytest.mark.parametrize("channels", [1, 3])
def test_rotation_turns_each_class_of_a_task_by_itself(channels):
    pictures, labels = images(channels=channels)
    # What each turned picture is: (class, turn) by its bytes, the turns made by NumPy.
    known = {
        np.rot90(picture, turn).tobytes(): (label, turn)
        for picture, label in zip(pictures, labels, strict=True)
        for turn in range(4)
    }
    source = from_arrays(
        pictures, labels, ways=3, shots=2, queries=3, split=(0.5, 0.25, 0.25), rotations="task"
    )
    for name in SPLITS:
        x, _ = first_batch(getattr(source, name), 400)
        pixels = np.concatenate([x["support_x"], x["query_x"]], axis=1)
        pixels = np.round(pixels * 255).astype(np.uint8)
        turns = np.zeros([400, 3], int)
        for task in range(400):
            which = [known[p.tobytes()] for p in pixels[task]]
            by_label = np.array(which).reshape(5, 3, 2)  # shots-major
            assert (by_label == by_label[:1]).all()  # one class, one turn for each label
            turns[task] = by_label[0, :, 1]
        # The turns of the labels are uniform and independent: each triple 1 / 64 of 400, 6.25.
        assert len(np.unique(turns, axis=0)) > 55
        for label in range(3):  # 100 ± 8.7
            np.testing.assert_allclose(np.bincount(turns[:, label]), 100, atol=5 * 8.7)


def test_rotation_does_not_change_which_examples_are_drawn():
    pictures, labels = images()
    options = {"ways": 3, "queries": 3, "split": (0.5, 0.25, 0.25)}
    turned, _ = first_batch(from_arrays(pictures, labels, rotations="task", **options).train, 20)
    plain, _ = first_batch(from_arrays(pictures, labels, **options).train, 20)
    np.testing.assert_array_equal(
        np.sort(turned["query_x"].reshape(20, 9, -1)), np.sort(plain["query_x"].reshape(20, 9, -1))
    )


def test_turned_classes_are_new_classes_in_training_only():
    pictures, labels = images()
    source = from_arrays(
        pictures, labels, ways=3, shots=1, queries=2, split=(0.5, 0.25, 0.25), rotations="classes"
    )
    assert [len(getattr(source, p).classes) for p in SPLITS] == [4 * 6, 3, 3]
    for name in SPLITS:
        part = getattr(source, name)
        known = {}
        for picture, label in zip(pictures, labels, strict=True):
            for turn in range(4):
                mark = f"{label}/turned{90 * turn}" if name == "train" else str(label)
                if name == "train" or turn == 0:
                    known[np.rot90(picture, turn).tobytes()] = mark
        x, _ = first_batch(part, 300)
        pixels = np.concatenate([x["support_x"], x["query_x"]], axis=1)
        pixels = np.round(pixels * 255).astype(np.uint8)
        marks = np.array([[known[p.tobytes()] for p in task] for task in pixels])
        assert set(marks.ravel()) == set(part.classes)
        marks = marks.reshape(300, 3, 3)
        assert (marks == marks[:, :1]).all()
        assert all(len(set(task[0])) == 3 for task in marks)


def test_split_follows_from_the_names_alone():
    source = source_of([3] * 20, ways=2, queries=1, split=(0.5, 0.3, 0.2))
    ordered = sorted(
        (str(c) for c in range(20)), key=lambda name: hashlib.sha256(name.encode()).hexdigest()
    )
    assert source.train.classes == sorted(ordered[:10])
    assert source.valid.classes == sorted(ordered[10:16])
    assert source.test.classes == sorted(ordered[16:])
    examples = marked([3] * 20)
    order = np.random.default_rng(0).permutation(60)
    shuffled = from_arrays(
        examples[order], examples[order, 0].astype(int), ways=2, queries=1, split=(0.5, 0.3, 0.2)
    )
    for name in SPLITS:
        assert getattr(shuffled, name).classes == getattr(source, name).classes


@pytest.mark.parametrize(
    ("dtype", "expected_dtype", "scale"),
    [
        (np.uint8, tf.float32, 1 / 255),
        (np.float16, tf.float32, 1),
        (np.float64, tf.float32, 1),
        (np.int64, tf.int32, 1),
        (np.int16, tf.int32, 1),
    ],
)
def test_types_of_examples(dtype, expected_dtype, scale):
    examples = np.arange(30 * 4 * 7).reshape(120, 7) % 200
    source = from_arrays(examples.astype(dtype), np.arange(120) % 30, ways=3, shots=1, queries=3)
    x, _ = next(iter(source.train.batches(2)))
    assert x["query_x"].dtype == expected_dtype
    assert x["query_x"].shape == [2, 9, 7]
    rows = {tuple(row) for row in (examples * np.float32(scale)).astype(np.float32).tolist()}
    for row in tf.cast(x["query_x"], tf.float32).numpy().reshape(-1, 7).tolist():
        assert tuple(row) in rows


@pytest.mark.parametrize("labels", [["cat", "dog", "eel"], [b"cat", b"dog", b"eel"]])
def test_labels_may_be_words(labels):
    labels = np.repeat(labels, 4)
    source = from_arrays(marked([4] * 3), labels, ways=1, queries=3, split=(1 / 3, 1 / 3, 1 / 3))
    assert sorted(c for p in SPLITS for c in getattr(source, p).classes) == ["cat", "dog", "eel"]


def arrays(**changed):
    given = {"images": marked([16] * 40), "labels": np.repeat(np.arange(40), 16)}
    return given | changed


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"labels": np.zeros(3, int)}, r"images of shape \(640, 2\) and labels of shape \(3,\)"),
        ({"images": np.zeros([0, 2]), "labels": np.zeros(0, int)}, "with n above 0"),
        ({"images": np.zeros(640)}, r"to \[n, 1\] with images\[:, None\]"),
        ({"labels": np.eye(40)[np.repeat(np.arange(40), 16)]}, r"labels.argmax\(-1\)"),
        ({"labels": np.zeros(640)}, "dtype float64.*astype"),
        ({"images": np.full([640, 2], "a")}, "must be numbers"),
        ({"images": np.zeros([640, 2], complex)}, "must be numbers.*complex128"),
        ({"images": np.full([640, 2], 2**40)}, "fit into int32"),
        ({"images": np.full([640, 2], 1e300)}, "finite in float32.*640 of 640"),
        ({"images": np.where(np.arange(640) == 7, np.nan, 1.0)[:, None]}, "first at index 7"),
        ({"ways": 0}, "`ways`"),
        ({"queries": True}, "`queries`"),
        ({"split": (0.5, 0.5)}, "`split` must be three fractions"),
        ({"split": (0.5, 0.4, 0.2)}, "add up to 1"),
        ({"split": (1.5, -0.7, 0.2)}, "`split`"),
        ({"ways": 7}, "The valid split has 6 of the 40 classes.*ways=7.*lower `ways`"),
        ({"queries": 16}, r"has 16 examples.*shots \+ queries = 1 \+ 16 = 17.*lower"),
        (
            {"rotations": "all"},
            "`rotations` must be one of 'task', 'classes', None",
        ),
        ({"rotations": "task"}, r"Only square images.*\(640, 2\)"),
        ({"rotations": "classes", "images": np.zeros([640, 4, 5])}, "Only square images"),
    ],
)
def test_errors_name_what_is_wrong(given, message):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        from_arrays(**arrays(**given))


def test_the_class_that_is_too_small_is_named():
    sizes = [16] * 40
    sizes[23] = 9
    with pytest.raises(ValueError, match=r"Class '23' of the \w+ split has 9 examples"):
        source_of(sizes, queries=15)
