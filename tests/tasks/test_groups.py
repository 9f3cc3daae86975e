"""Tasks that are groups: who is in which part, who is in which set, and what is refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_tf
from meta_tf.tasks import from_arrays, from_groups
from tests.marks import slow

# Group g has 4 + g % 3 examples; an example's x is (group, its number there), its y 100 g + number.
GROUPS = np.concatenate([np.full(4 + g % 3, g) for g in range(20)])
NUMBERS = np.concatenate([np.arange(4 + g % 3) for g in range(20)])
X = np.stack([GROUPS, NUMBERS], 1).astype(np.float32)
Y = (100 * GROUPS + NUMBERS).astype(np.float32)
LISTS = (range(10), [10, 11, 12], [13, 14])


def first_batch(part, tasks=40, seed=0, start=0):
    return next(iter(part.batches(tasks, seed=seed, start=start)))


def test_a_task_is_one_group_and_no_example_is_in_both_sets():
    source = from_groups(X, Y, GROUPS, shots=2)
    assert (source.kind, source.shots, source.queries) == ("regression", 2, 2)
    x, query_y = first_batch(source.train)
    both = np.concatenate([x["support_x"], x["query_x"]], 1)
    assert (both[..., 0] == both[:, :1, 0]).all()
    for task in both:
        assert len(set(task[:, 1])) == 4
    np.testing.assert_array_equal(query_y, x["query_x"].numpy() @ [[100.0], [1.0]])
    np.testing.assert_array_equal(x["support_y"], x["support_x"].numpy() @ [[100.0], [1.0]])


def test_all_groups_and_all_their_examples_occur():
    source = from_groups(X, Y, GROUPS, shots=2, split=LISTS)
    x, _ = first_batch(source.train, tasks=600)
    drawn = set(map(tuple, x["support_x"].numpy().reshape(-1, 2).astype(int)))
    assert drawn == {(g, n) for g, n in zip(GROUPS, NUMBERS, strict=True) if g < 10}


def test_parts_share_no_group_and_the_seed_chooses_them():
    def groups(**options):
        source = from_groups(X, Y, GROUPS, **({"shots": 2} | options))
        return [part.groups for part in (source.train, source.valid, source.test)]

    parts = groups()
    assert sorted(name for part in parts for name in part) == sorted(map(str, range(20)))
    assert [len(part) for part in parts] == [13, 3, 4]
    assert groups() == parts != groups(seed=1)
    named = dict(zip(("train", "valid", "test"), LISTS, strict=True))
    assert groups(split=LISTS) == groups(split=named) == [[str(g) for g in part] for part in LISTS]


def test_the_order_of_the_rows_changes_no_task_if_there_is_a_time():
    order = np.random.default_rng(0).permutation(len(X))
    one = from_groups(X, Y, GROUPS, shots=2, time=NUMBERS)
    other = from_groups(X[order], Y[order], GROUPS[order], shots=2, time=NUMBERS[order])
    for a, b in zip(*(tf.nest.flatten(first_batch(s.train)) for s in (one, other)), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("support", [slow("random"), "first"])
def test_an_episode_depends_on_the_seed_and_its_number_alone(support):
    part = from_groups(X, Y, GROUPS, shots=2, support=support).train
    whole = first_batch(part, 12)
    for tasks, start in ((4, 2), (1, 8), (2, 4)):
        some = first_batch(part, tasks, start=start)
        for a, b in zip(tf.nest.flatten(whole), tf.nest.flatten(some), strict=True):
            np.testing.assert_array_equal(a[tasks * start : tasks * (start + 1)], b)
    others = first_batch(part, 12, seed=1)[1]
    assert (whole[1].numpy() != others.numpy()).any()


def test_the_first_are_the_earliest_by_time_and_the_rest_are_later():
    source = from_groups(X, Y, GROUPS, shots=2, support="first", time=-NUMBERS)
    x, _ = first_batch(source.train)
    last = 3 + x["support_x"][:, 0, 0] % 3
    np.testing.assert_array_equal(x["support_x"][..., 1], np.stack([last, last - 1], 1))
    assert (x["query_x"].numpy()[..., 1] < x["support_x"].numpy()[:, 1:, 1]).all()


@pytest.mark.parametrize(("shots", "sizes"), [(2, {2}), (0.5, {2, 3}), (0.9, {3, 4, 5})])
def test_queries_of_whole_groups_are_all_other_examples(shots, sizes):
    source = from_groups(X, Y, GROUPS, shots=shots, split=LISTS)
    whole = source.train.whole_groups(draws=2)
    batches = list(whole.batches(25, seed=3))
    assert len(batches) == len(whole) == 20
    for (x, query_y), group in zip(batches, whole.groups, strict=True):
        rows = np.concatenate([x["support_x"][0], x["query_x"][0]])
        assert sorted(map(tuple, rows)) == [(int(group), n) for n in range(4 + int(group) % 3)]
        assert query_y.shape[1] == x["query_x"].shape[1]
    assert {x["support_x"].shape[1] for x, _ in batches} == sizes


def test_whole_groups_draw_again_and_are_the_same_every_time():
    part = from_groups(X, Y, GROUPS, shots=2, split=LISTS).train

    def supports(seed):
        return [x["support_x"].numpy() for x, _ in part.whole_groups(draws=5).batches(seed=seed)]

    one, same, other = supports(0), supports(0), supports(1)
    assert all((a == b).all() for a, b in zip(one, same, strict=True))
    assert any((a != b).any() for a, b in zip(one, other, strict=True))
    assert any((a != b).any() for a, b in zip(one[:10], one[10:20], strict=True))


def test_evaluate_takes_whole_groups():
    keras.utils.set_random_seed(0)
    source = from_groups(X / 20, Y / 2000, GROUPS, shots=2, split=LISTS)
    learner = meta_tf.MetaLearner(meta_tf.models.mlp(2), meta_tf.MAML(), loss="mse")
    whole = source.test.whole_groups(draws=3)
    result = meta_tf.evaluate(learner, whole, len(whole), steps=1, tasks_at_once=1)
    expected = []
    for x, y in whole.batches():
        expected.append(np.mean((learner.trajectory(x, 1)[0] - y) ** 2, axis=(1, 2)))
    np.testing.assert_allclose(result.per_task, expected, rtol=1e-5)
    # The interval is one for new groups: draws of one group are not independent.
    groups = len(source.test.groups)
    means = np.reshape(expected, [3, groups, 2]).mean(0)
    np.testing.assert_allclose(result.mean, means.mean(0), rtol=1e-5)
    half = 1.96 * means.std(0, ddof=1) / np.sqrt(groups)
    np.testing.assert_allclose(result.ci95, half, rtol=1e-4)
    lines = str(result).splitlines()
    assert lines[0].startswith(f"{3 * groups} new tasks of {groups} groups (seed 0)")
    assert lines[2] == "mean over groups ± 95 % confidence interval"


def test_a_classification_takes_so_many_of_each_class():
    labels = np.array(["up", "down"])[np.arange(200) % 2]
    of_group = np.char.add("g", (np.arange(200) // 20).astype(str))
    x = np.arange(200.0)[:, None]
    source = from_groups(x, labels, of_group, shots=2, queries=3)
    assert (source.kind, source.ways, source.shots, source.queries) == ("classification", 2, 2, 3)
    batch, query_y = first_batch(source.train)
    assert batch["support_x"].shape == (40, 4, 1)
    # "down" is class 0, as it is first in the alphabet; it has the odd numbers.
    np.testing.assert_array_equal(batch["support_y"], 1 - batch["support_x"][..., 0] % 2)
    np.testing.assert_array_equal(query_y, 1 - batch["query_x"][..., 0] % 2)
    assert (batch["support_y"].numpy().sum(1) == 2).all()


def test_pictures_are_scaled_and_several_targets_kept():
    x = np.full([40, 2, 2], 255, np.uint8)
    source = from_groups(x, np.zeros([40, 3]), np.arange(40) % 8, shots=1)
    assert (source.input_shape, source.target_shape) == ((2, 2), (3,))
    batch, _ = first_batch(source.test, 2)
    np.testing.assert_array_equal(batch["query_x"], 1.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": X[:, 0]}, "at least one axis after the first"),
        ({"y": Y[:-1]}, "y of shape"),
        ({"y": Y.astype(complex)}, "`y` must be floats"),
        ({"x": np.where(X > 18, np.nan, X)}, "`x` must be finite"),
        ({"y": np.where(Y > 1800, np.nan, Y)}, "`y` must be finite"),
        ({"y": np.ma.masked_greater(Y, 1800)}, "`y` must not be masked"),
        (
            {"x": 1.7e9 + X.astype(float)},
            "`x` must be numbers that differ in float32.*in column 0, .*17000000",
        ),
        ({"y": 1e9 + 0.01 * Y.astype(float)}, "`y` must be numbers that differ in float32"),
        ({"y": Y.astype(int)}, "pass floats as `y`"),
        ({"groups": GROUPS / 2}, "`groups` must be integers or strings"),
        ({"shots": 0}, "`shots` must be an integer"),
        ({"shots": 1.5}, "a fraction above"),
        ({"shots": 4}, "Received: group '0' with 4"),
        ({"shots": 2, "queries": 3}, "shots \\+ queries = 2 \\+ 3"),
        ({"queries": 0}, "`queries` must be an integer"),
        ({"support": "last"}, "`support` must be one of"),
        ({"time": NUMBERS[1:]}, "`time` must be"),
        ({"time": np.where(NUMBERS > 4, np.nan, 1.0)}, "without gaps"),
        ({"split": (0.5, 0.5)}, "three fractions"),
        ({"split": (0.99, 0.01, 0.0)}, "none for valid"),
        ({"split": ([0], [1])}, "three lists"),
        ({"split": ([0], [1], [2, 77])}, "Received: '77'"),
        ({"split": ([0, 1], [1], [2])}, "Received: '1' more than once"),
        ({"split": ([0], 1, [2])}, "three lists of groups"),
        ({"split": None}, "three lists of groups. Received: None"),
        ({"split": 0.8}, "three lists of groups. Received: 0.8"),
        ({"split": "random"}, "three lists of groups. Received: 'random'"),
        ({"split": {"train": [0], "test": [1]}}, "three lists of groups. Received: 'train' in it"),
        ({"split": (float("nan"), 0.5, 0.5)}, "three fractions"),
        ({"x": [[1.0], [1.0, 2.0]]}, "`x` must be an array, or lists of the same length"),
        ({"time": [[1.0], [1.0, 2.0]]}, "`time` must be an array"),
        ({"y": np.arange(len(Y)) % 1 == 0}, "`y` must contain at least two classes"),
        ({"y": np.arange(len(Y))}, "Received: 99 classes, and group '0' with 4"),
        ({"seed": -1}, "`seed` must be"),
    ],
    ids=str,
)
def test_invalid_arguments_are_reported(change, message):
    with pytest.raises(ValueError, match=message):
        from_groups(**({"x": X, "y": Y, "groups": GROUPS, "shots": 2} | change))


def test_rounding_errors_are_no_differences():
    x = np.stack([X[:, 0], 0.3 + 1e-16 * X[:, 0].astype(float)], 1)
    assert len(np.unique(x[:, 1])) > 1
    assert from_groups(x, Y, GROUPS, shots=3).input_shape == (2,)


def test_a_group_too_small_or_without_a_class_is_named():
    with pytest.raises(ValueError, match="group 'only one' with 1"):
        from_groups(
            np.ones([5, 1]),
            np.ones(5),
            ["a", "a", "b", "b", "only one"],
            split=(["a"], ["b"], ["only one"]),
        )
    with pytest.raises(ValueError, match="group 'b' with 0 of class 'yes'"):
        from_groups(
            np.ones([8, 1]),
            ["no", "no", "yes", "yes", "no", "no", "no", "no"],
            [*"aaaabbcc"],
            split=(["a"], ["b"], ["c"]),
        )


def test_another_draw_of_the_earliest_is_refused():
    part = from_groups(X, Y, GROUPS, shots=2, support="first").test
    with pytest.raises(ValueError, match="`draws` must be 1"):
        part.whole_groups(draws=2)


def test_columns_of_a_table_are_their_values():
    """pandas's columns of text, and tables of mixed types, are arrays of Python objects."""
    pandas = pytest.importorskip("pandas")
    row = np.arange(120)
    numbers = np.stack([np.random.default_rng(0).normal(size=120), row % 2], 1)
    group, ill = np.array(list("abcdefghijkl"))[row % 12], np.array(["no", "yes"])[row // 12 % 2]
    table = pandas.DataFrame(numbers, columns=["dose", "smokes"]).astype({"smokes": bool})
    of_group, of_ill = (pandas.Series(texts).astype("category") for texts in (group, ill))
    plain = from_groups(numbers, ill, group, shots=2)
    made = from_groups(table, of_ill, of_group, shots=2)
    assert made.test.groups == plain.test.groups
    for found, expected in zip(made.test.examples(), plain.test.examples(), strict=True):
        np.testing.assert_array_equal(found, expected)
    sizes = {"ways": 2, "shots": 1, "queries": 1}
    plain, made = from_arrays(numbers, group, **sizes), from_arrays(table, of_group, **sizes)
    for found, expected in zip(
        *(first_batch(s.test)[0].values() for s in (made, plain)), strict=True
    ):
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match=r"`groups` must be integers or strings.*object"):
        from_groups(table, ill, np.array([None, *group[1:]]))
