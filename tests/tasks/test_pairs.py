"""Tasks of whatever gives pairs: the same as of arrays, and wrong pairs are named."""

import numpy as np
import pytest
import tensorflow as tf

from meta_tf.tasks import from_arrays, from_pairs

IMAGES = np.random.default_rng(0).integers(0, 256, [120, 4, 4, 1], np.uint8)
LABELS = np.arange(120) % 24
NAMES = np.array([f"class {label:02d}" for label in LABELS])
PAIRS = {
    "a generator": lambda: (pair for pair in zip(IMAGES, LABELS, strict=True)),
    "a dataset": lambda: tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)),
    "names": lambda: zip(IMAGES, NAMES, strict=True),
    "a dataset of names": lambda: tf.data.Dataset.from_tensor_slices((IMAGES, NAMES)),
}


@pytest.mark.parametrize("kind", PAIRS)
def test_pairs_make_the_tasks_of_arrays(kind):
    labels = NAMES if "names" in kind else LABELS
    made = from_pairs(PAIRS[kind](), 3, 1, 2)
    expected = from_arrays(IMAGES, labels, 3, 1, 2)
    assert made.train.classes == expected.train.classes
    (x, y), (ex, ey) = (next(iter(s.test.batches(4))) for s in (made, expected))
    np.testing.assert_array_equal(x["support_x"], ex["support_x"])
    np.testing.assert_array_equal(y, ey)


@pytest.mark.parametrize(
    ("pairs", "told"),
    [
        ([], r"must give examples\. Received: none"),
        ([{"image": IMAGES[0], "label": 0}], r"pairs \(example, label\)\. Received: dict .*TFDS"),
        (list(IMAGES), r"pairs \(example, label\)\. Received: ndarray as number 0"),
        ([(IMAGES[0], 0), (IMAGES[0][:2], 1)], r"one shape.*\(4, 4, 1\), and \(2, 4, 1\) as num"),
        ([(IMAGES[:3], LABELS[:3])], r"one label.*shape \(3,\) as number 0.*unbatch"),
    ],
)
def test_invalid_pairs_are_rejected(pairs, told):
    with pytest.raises(ValueError, match=told):
        from_pairs(pairs, 3, 1, 2)
