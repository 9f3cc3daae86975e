"""The stream of episodes: episode e is a function of (seed, e) and of nothing else."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from meta_tf.tasks import HiddenTeacher, Sinusoid, Split, from_arrays, from_function
from meta_tf.tasks.split import uniforms
from tests.marks import exhaustive, few


def numbers(first, count, width=10, seed=3, stream=0):
    return uniforms(seed, stream, tf.constant(first, tf.int64), count, width).numpy()


def classes_source():
    examples = np.random.default_rng(0).integers(0, 256, [60 * 8, 6, 6, 1], dtype=np.uint8)
    labels = np.arange(60 * 8) % 60
    return from_arrays(examples, labels, ways=4, shots=2, queries=3, rotations="task")


def function_source():
    def line(seed):
        slope, x = tf.split(tf.random.stateless_normal([8, 1], seed), [1, 7])
        return x[:3], slope * x[:3], x[3:], slope * x[3:]

    return from_function(line)


SOURCES = {
    "sinusoid": lambda: Sinusoid(shots=5, queries=7),
    "grid": lambda: Sinusoid(shots=5, queries=7, grid=True),
    "teacher": lambda: HiddenTeacher(inputs=3, outputs=2, shots=5),
    "classes": classes_source,
    "function": function_source,
}


@pytest.fixture(params=few(SOURCES, "sinusoid", "classes", others=exhaustive), scope="module")
def source(request):
    return SOURCES[request.param]()


def episodes(part, tasks, number, **options):
    """The first `number` episodes, as flat arrays, taken in batches of `tasks`."""
    batches = [tf.nest.flatten(b) for b in part.batches(tasks, **options).take(-(-number // tasks))]
    return [np.concatenate([t.numpy() for t in ts])[:number] for ts in zip(*batches, strict=True)]


def assert_equal(first, second):
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def philox(key, counter):
    """Philox 4x32 with 10 rounds, from section 3 of Salmon et al. 2011."""
    mask = 2**32 - 1
    k = [key & mask, key >> 32]
    c = list(counter)
    for _ in range(10):
        high_low = [divmod(0xD2511F53 * c[0], 2**32), divmod(0xCD9E8D57 * c[2], 2**32)]
        (high0, low0), (high1, low1) = high_low
        c = [high1 ^ c[1] ^ k[0], low1, high0 ^ c[3] ^ k[1], low0]
        k = [(k[0] + 0x9E3779B9) & mask, (k[1] + 0xBB67AE85) & mask]
    return c


@pytest.mark.parametrize("first", [0, 5, 2**32 - 1, 2**40 + 3])
def test_numbers_are_philox_at_the_place_of_the_episode(first):
    # Ten numbers are 2.5, so 3, counts an episode; 23 bits of each word make a float.
    key, counter = tf.raw_ops.StatelessRandomGetKeyCounter(seed=tf.constant([3, 1], tf.int64))
    high = int(counter[1])
    for episode in (first, first + 1):
        words = []
        for count in range(3 * episode, 3 * episode + 3):
            at = [count % 2**32, count >> 32, high % 2**32, high >> 32]
            words += philox(int(key[0]), at)
        expected = [(w & (2**23 - 1)) / 2**23 for w in words[:10]]
        np.testing.assert_array_equal(numbers(episode, 1, stream=1)[0], np.float32(expected))


@pytest.mark.parametrize("first", [0, 2**32 - 1000, 2**40])
def test_numbers_do_not_depend_on_how_many_are_drawn_at_once(first):
    # Many enough for the generator to share the work among threads.
    many = numbers(first, 20_000)
    for offset, count in [(0, 1), (1, 1), (7, 13), (999, 2), (4999, 10_001), (19_999, 1)]:
        np.testing.assert_array_equal(many[offset : offset + count], numbers(first + offset, count))


def test_numbers_are_uniform_and_independent():
    u = numbers(0, 50_000)
    assert u.min() >= 0 and u.max() < 1
    # Standard errors: of a mean 1 / sqrt(12 n) = 0.0013, of a correlation 1 / sqrt(n) = 0.0045.
    np.testing.assert_allclose(u.mean(0), 0.5, atol=0.0065)
    np.testing.assert_allclose(u.var(0), 1 / 12, atol=0.003)
    both = np.concatenate([u[:-1], u[1:]], axis=1)
    np.testing.assert_allclose(np.corrcoef(both.T), np.eye(20), atol=0.023)
    assert len(np.unique(u, axis=0)) == len(u)


def test_seeds_and_streams_are_apart():
    streams = [numbers(0, 1000, seed=s, stream=p).ravel() for s in (0, 1, -1) for p in range(3)]
    # Standard error of a correlation of 10 000 pairs: 0.01.
    np.testing.assert_allclose(np.corrcoef(streams), np.eye(9), atol=0.05)


def test_batch_size_changes_no_episode(source):
    expected = episodes(source.train, 1, 35)
    for tasks in (2, 7, 35, 40):
        assert_equal(expected, episodes(source.train, tasks, 35))


def test_start_equals_skipping_batches(source):
    whole = episodes(source.train, 3, 30, seed=4)
    for start in (1, 4):
        rest = episodes(source.train, 3, 30 - 3 * start, seed=4, start=start)
        assert_equal([a[3 * start :] for a in whole], rest)


def test_resumes_at_the_same_place_after_very_many_batches(source):
    start = 2**33
    later = episodes(source.train, 3, 6, start=start + 1)
    assert_equal([a[3:] for a in episodes(source.train, 3, 9, start=start)], later)


def test_same_seed_same_episodes_and_another_seed_others(source):
    first = episodes(source.train, 4, 8, seed=1)
    assert_equal(first, episodes(source.train, 4, 8, seed=1))
    other = episodes(source.train, 4, 8, seed=2)
    assert not np.array_equal(first[1], other[1])  # support_x, as the grid's query_x is fixed


def test_parts_differ(source):
    drawn = [episodes(p, 4, 8) for p in (source.train, source.valid, source.test)]
    for one, other in [(0, 1), (0, 2), (1, 2)]:
        assert not np.array_equal(drawn[one][1], drawn[other][1])


def test_batches_are_endless_static_and_typed(source):
    dataset = source.train.batches(4)
    assert dataset.cardinality() == tf.data.INFINITE_CARDINALITY
    x, query_y = dataset.element_spec
    assert set(x) == {"support_x", "support_y", "query_x"}
    for spec in tf.nest.flatten((x, query_y)):
        assert spec.shape.is_fully_defined() and spec.shape[0] == 4
    assert x["support_x"].dtype == x["query_x"].dtype == tf.float32
    labels = tf.int32 if source.kind == "classification" else tf.float32
    assert x["support_y"].dtype == query_y.dtype == labels
    assert x["query_x"].shape[2:] == source.input_shape
    assert query_y.shape[2:] == source.target_shape
    assert x["support_x"].shape[1] == source.shots * (source.ways or 1)
    assert x["query_x"].shape[1] == source.queries * (source.ways or 1)


def test_the_block_of_batches_made_at_once_shows_nowhere():
    # One batch of the large size fills a block; of the small ones, 256 do.
    part = Sinusoid(shots=50, queries=50).train
    # The odd number would put the last episodes of a block at the odd end of vectorised kernels.
    expected = episodes(part, 12_007, 12_007)
    assert_equal(expected, episodes(part, 31, 12_007))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tasks": 0}, "`tasks` must be an integer of at least 1.*Received: 0"),
        ({"tasks": 4, "start": -1}, "`start` must be an integer of at least 0.*Received: -1"),
    ],
)
def test_invalid_counts_are_rejected(options, message):
    with pytest.raises(ValueError, match=message):
        Sinusoid().train.batches(**options)


def test_a_part_of_ones_own():
    def uniform(u):
        return {"support_x": u[:, :2], "support_y": u[:, :2], "query_x": u[:, 2:]}, u[:, 2:]

    part = Split(uniform, numbers=3, stream=5, classes=["a"])
    x, _ = next(iter(part.batches(4, seed=3, start=2)))
    np.testing.assert_array_equal(x["support_x"], numbers(8, 4, width=3, stream=5)[:, :2])
    assert part.classes == ["a"]


@pytest.mark.slow
def test_another_process_with_other_threads_makes_the_same_episodes():
    program = """
import hashlib, tensorflow as tf
tf.config.threading.set_intra_op_parallelism_threads(1)
import meta_tf.tasks
digest = hashlib.sha256()
for source in (meta_tf.tasks.Sinusoid(), meta_tf.tasks.HiddenTeacher()):
    for batch in source.test.batches(13, seed=6, start=2).take(2):
        for tensor in tf.nest.flatten(batch):
            digest.update(tensor.numpy().tobytes())
print(digest.hexdigest())
"""
    digest = hashlib.sha256()
    for source in (Sinusoid(), HiddenTeacher()):
        for batch in source.test.batches(13, seed=6, start=2).take(2):
            for tensor in tf.nest.flatten(batch):
                digest.update(tensor.numpy().tobytes())
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    made = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": root},
    )
    assert made.stdout.split()[-1] == digest.hexdigest()


def test_the_same_batches_are_made_once_and_begin_again_each_time():
    part = Sinusoid(shots=5).train
    batches = part.batches(3, seed=1)
    first = [y.numpy() for _, y in batches.take(2)]
    for other in range(3):
        part.batches(3, seed=2, start=other)
        assert part.batches(3, seed=1) is batches
    np.testing.assert_array_equal([y.numpy() for _, y in batches.take(2)], first)
    for other in range(4):
        part.batches(4, seed=other)
    again = part.batches(3, seed=1)
    assert again is not batches  # no more than the last four are kept
    np.testing.assert_array_equal([y.numpy() for _, y in again.take(2)], first)


def test_the_class_names_of_an_episode():
    # The examples say their class: class i has the vector [i].
    numbers = np.repeat(np.arange(40), 3)
    source = from_arrays(numbers[:, None].astype("float32"), numbers, ways=3, queries=1)
    for part in (source.train, source.test):
        batches = list(part.batches(4, seed=2).take(3))
        for episode in (0, 5, 11):
            x = batches[episode // 4][0]["support_x"][episode % 4, :, 0].numpy()
            assert part.class_names(episode, seed=2) == [str(int(i)) for i in x]
    assert Sinusoid().train.class_names() == []
