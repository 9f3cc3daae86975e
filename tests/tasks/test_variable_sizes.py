"""Tasks whose ways, shots and queries vary: sizes, labels, sets without a common example."""

import math

import numpy as np
import pytest
import tensorflow as tf

import meta_tf
from meta_tf.tasks import from_arrays
from meta_tf.tasks.meta_dataset import MetaDatasetSizes
from tests.marks import slow

WAYS, SHOTS, QUERIES = (2, 5), (1, 4), (2, 3)


def source(counts=(8,) * 20, **options):
    """Examples that name their class and their own number, [n, 2]."""
    counts = np.array(counts)
    labels = np.repeat(np.arange(len(counts)), counts)
    examples = np.stack([labels, np.arange(len(labels))], 1).astype(np.float32)
    options = {"ways": WAYS, "shots": SHOTS, "queries": QUERIES, "split": (0.4, 0.3, 0.3)} | options
    return from_arrays(examples, labels, **options)


def tasks_of(part, number, **options):
    """Each task's real rows: support_x, support_y, query_x, query_y."""
    x, y = next(iter(part.batches(number, **options)))
    x, y = {name: tensor.numpy() for name, tensor in x.items()}, y.numpy()
    for t, (s, q) in enumerate(zip(x["support_size"], x["query_size"], strict=True)):
        yield x["support_x"][t, :s], x["support_y"][t, :s], x["query_x"][t, :q], y[t, :q]


def check_task(support_x, support_y, query_x, query_y):
    """Labels are 0 … n - 1 in both sets, one class a label, and no example is there twice."""
    ways = support_y.max() + 1
    np.testing.assert_array_equal(np.unique(support_y), np.arange(ways))
    np.testing.assert_array_equal(np.unique(query_y), np.arange(ways))
    pairs = {
        *zip(support_x[:, 0], support_y, strict=True),
        *zip(query_x[:, 0], query_y, strict=True),
    }
    assert len(pairs) == ways == len({name for name, _ in pairs})
    numbers = np.concatenate([support_x[:, 1], query_x[:, 1]])
    assert len(set(numbers)) == len(numbers)
    return int(ways)


def test_every_size_of_the_ranges_is_drawn_equally_often_and_by_itself():
    drawn = []
    for task in tasks_of(source().train, 4000):
        ways, (_, support_y, _, query_y) = check_task(*task), task
        shots, queries = np.bincount(support_y), np.bincount(query_y)
        assert len(set(shots)) == len(set(queries)) == 1
        drawn.append((ways, shots[0], queries[0]))
    found, counts = np.unique(drawn, axis=0, return_counts=True)
    combinations = 4 * 4 * 2
    assert len(found) == combinations
    for name, column, (first, last) in zip(
        "wsq", np.transpose(drawn), (WAYS, SHOTS, QUERIES), strict=True
    ):
        assert (column.min(), column.max()) == (first, last), name
    # χ² with 31 degrees of freedom: its mean, and six of its deviations √(2 · 31).
    expected = len(drawn) / combinations
    chi2 = np.sum((counts - expected) ** 2 / expected)
    assert chi2 < 31 + 6 * np.sqrt(2 * 31)


@pytest.mark.parametrize("sampling", ["ranges", slow("meta_dataset")])
def test_an_episode_is_a_function_of_its_number(sampling):
    part = source().train
    part = part if sampling == "ranges" else part.meta_dataset()
    together = list(tasks_of(part, 12, seed=3))
    one_by_one = [next(tasks_of(part, 1, seed=3, start=i)) for i in range(12)]
    for ours, theirs in zip(together, one_by_one, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(one, other)


def test_shapes_are_the_largest_and_padding_repeats_the_first_example():
    tasks = source()
    x, y = next(iter(tasks.valid.batches(6)))
    assert x["support_x"].shape == (6, 5 * 4, 2) and x["query_x"].shape == (6, 5 * 3, 2)
    assert (tasks.ways, tasks.shots, tasks.queries) == (5, 4, 3)
    for t, n in enumerate(x["support_size"].numpy()):
        rest = x["support_x"][t, n:].numpy()
        np.testing.assert_array_equal(rest, np.broadcast_to(x["support_x"][t, 0], rest.shape))
    assert y.shape == (6, 15)


def test_one_number_and_a_range_of_one_are_the_same_episodes():
    ours, theirs = (
        next(iter(source(ways=w, shots=2, queries=2).train.batches(4))) for w in (3, (3, 3))
    )
    assert "support_size" not in ours[0]
    np.testing.assert_array_equal(ours[0]["support_x"], theirs[0]["support_x"])


def test_turns_and_features_keep_the_sizes():
    rng = np.random.default_rng(0)
    pictures = rng.normal(size=[160, 4, 4]).astype("float32")
    for rotations in ("task", "classes"):
        part = from_arrays(
            pictures,
            np.arange(160) % 20,
            ways=(2, 4),
            shots=(1, 3),
            queries=2,
            split=(0.4, 0.3, 0.3),
            rotations=rotations,
        ).train
        names = part.class_names(episode=1)
        x, _ = next(iter(part.batches(2)))
        n = x["support_size"].numpy()[1]
        assert len(names) == x["support_y"].numpy()[1, :n].max() + 1
    flat = meta_tf.models.mlp((4, 4), None, (3,))
    features, _ = next(iter(part.embedded(flat).batches(2)))
    np.testing.assert_array_equal(features["support_size"], x["support_size"])


def test_wrong_ranges_are_named():
    vectors = np.random.default_rng(0).normal(size=[160, 4])
    with pytest.raises(ValueError, match=r"`ways` must be an integer, or a range"):
        from_arrays(vectors, np.arange(160) % 20, ways=(5, 2))
    with pytest.raises(ValueError, match=r"`shots` must be an integer of at least 1"):
        from_arrays(vectors, np.arange(160) % 20, shots=(0, 2))
    with pytest.raises(ValueError, match=r"shots \+ queries = 9 \+ 1"):
        from_arrays(vectors, np.arange(160) % 20, ways=2, shots=(1, 9))


def sizes_by_hand(u, counts, limits):
    """Meta-Dataset's formula for one task, class by class."""
    least, most, queries, support, shots = limits
    n = least + int(u[0] * (most - least + 1))
    c = counts[:n]
    q = min([queries, *(count // 2 for count in c)])
    wished = sum(math.ceil((1 - u[1]) * min(shots, count - q)) for count in c)
    size = min(support, wished)
    weights = [count * 0.5 * 4.0**a for count, a in zip(c, u[2:], strict=False)]
    k = [
        min(math.floor(w / sum(weights) * (size - n)) + 1, count - q)
        for w, count in zip(weights, c, strict=True)
    ]
    absent = [0] * (len(counts) - n)
    return k + absent, [q] * n + absent


@pytest.mark.parametrize("limits", [(5, 12, 10, 500, 100), (2, 12, 3, 40, 100), (5, 12, 10, 60, 4)])
def test_meta_datasets_formula_is_met(limits):
    rng = np.random.default_rng(0)
    counts = rng.integers(2, 60, 12)
    sizes = MetaDatasetSizes(counts, *limits)
    u = rng.uniform(size=[300, sizes.numbers]).astype(np.float32)
    drawn = np.array([rng.permutation(counts) for _ in u]).astype(np.int32)
    shots, queries = sizes.draw(tf.constant(u), tf.constant(drawn))
    for t in range(len(u)):
        k, q = sizes_by_hand(u[t].astype(float).tolist(), drawn[t].tolist(), limits)
        np.testing.assert_array_equal(shots[t], k)
        np.testing.assert_array_equal(queries[t], q)
    assert np.sum(shots, 1).max() <= sizes.support
    assert np.max(shots + queries) <= sizes.shots + sizes.queries


def test_meta_datasets_tasks_are_tasks():
    counts = np.random.default_rng(1).integers(2, 40, 30)
    part = source(counts, ways=1, shots=1, queries=1).train.meta_dataset(
        least_ways=3, most_ways=8, most_queries=4, most_support=50
    )
    ways, imbalanced = set(), 0
    for task in tasks_of(part, 200):
        ways.add(check_task(*task))
        shots = np.bincount(task[1])
        imbalanced += len(set(shots)) > 1
        assert len(set(np.bincount(task[3]))) == 1 and shots.sum() <= 50
    assert ways == set(range(3, 9))
    assert imbalanced > 100
    names = part.class_names(episode=7)
    assert len(names) == check_task(*list(tasks_of(part, 8))[7])


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"least_ways": 0}, "`least_ways` must be an integer of at least 1"),
        ({"least_ways": 4, "most_ways": 3}, "`most_ways` must be an integer of at least 4"),
        ({"most_support": 5}, "`most_support` must be an integer of at least 50"),
        ({"least_ways": 9}, "`least_ways` must be at most the number of classes, 8"),
    ],
)
def test_wrong_limits_of_meta_dataset_are_named(limits, message):
    with pytest.raises(ValueError, match=message):
        source().train.meta_dataset(**limits)
