"""Tasks from tables; they need pandas, the extra `table`."""

import json

import numpy as np
import pytest

import meta_tf
from meta_tf.tasks import from_groups, from_table

pandas = pytest.importorskip("pandas")

ROWS = 200
RNG = np.random.default_rng(0)
TABLE = pandas.DataFrame(
    {
        "patient": np.repeat(np.arange(20), 10) + 100,
        "minute": np.tile(np.arange(10)[::-1], 20),
        "dose": RNG.uniform(5, 9, ROWS),
        "smoker": RNG.uniform(size=ROWS) < 0.5,
        "ill": np.tile(["no", "yes"], ROWS // 2),
        "effect": RNG.normal(size=ROWS),
    }
)
FEATURES = ["dose", "smoker"]


def batch(source, part="train"):
    return next(iter(getattr(source, part).batches(30)))


def same(one, other):
    for a, b in zip(*map(_flat, (one, other)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def _flat(pair):
    return [*pair[0].values(), pair[1]]


def test_a_table_is_its_columns_as_arrays():
    source = from_table(TABLE, "effect", "patient", FEATURES, shots=3, standardize=False)
    x = TABLE[FEATURES].to_numpy(np.float32)
    same(
        batch(source),
        batch(from_groups(x, TABLE["effect"].to_numpy(), TABLE["patient"].to_numpy(), shots=3)),
    )


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_files_are_read(tmp_path, suffix):
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"patients.{suffix}"
    getattr(TABLE, f"to_{suffix}")(path, index=False)
    given = {"target": "effect", "group": "patient", "features": FEATURES, "shots": 3}
    same(batch(from_table(path, **given)), batch(from_table(TABLE, **given)))


def test_features_are_standardised_by_the_training_groups_alone():
    lists = [range(100, 110), range(110, 115), range(115, 120)]
    shifted = TABLE.assign(dose=TABLE["dose"] + 50 * (TABLE["patient"] >= 115))
    source = from_table(shifted, "effect", "patient", FEATURES, shots=5, split=lists)
    rows = TABLE[TABLE["patient"] < 110]["dose"]
    train = np.concatenate(
        [x["query_x"].numpy() for x, _ in source.train.whole_groups(40).batches()]
    )
    assert abs(train[..., 0].mean()) < 0.1
    assert abs(train[..., 0].std() - 1) < 0.1
    test = batch(source, "test")[0]["query_x"].numpy()
    expected = 50 / rows.std(ddof=0)
    assert test[..., 0].mean() == pytest.approx(expected, rel=0.1)


def test_text_makes_classes_and_other_columns_are_features():
    source = from_table(TABLE.drop(columns="minute"), "ill", "patient", shots=2)
    assert (source.kind, source.ways, source.input_shape) == ("classification", 2, (3,))


def test_a_column_of_time_orders_the_groups():
    table = TABLE.assign(effect=TABLE["minute"].astype(float))
    source = from_table(
        table, "effect", "patient", FEATURES, time="minute", support="first", shots=3
    )
    np.testing.assert_array_equal(batch(source)[0]["support_y"][..., 0], [[0, 1, 2]] * 30)


def test_lists_of_groups_come_from_a_file(tmp_path):
    path = tmp_path / "groups.json"
    path.write_text(json.dumps({"train": [100, 101], "valid": ["102"], "test": [103]}))
    source = from_table(TABLE, "effect", "patient", FEATURES, split=path)
    assert [p.groups for p in (source.train, source.valid, source.test)] == [
        ["100", "101"],
        ["102"],
        ["103"],
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": "nowhere.csv"}, "`data` must be a .csv or .parquet file"),
        ({"target": "cost"}, "`target` must name a column of the table: patient, minute"),
        ({"group": "doctor"}, "`group` must name a column"),
        ({"time": "hour"}, "`time` must name a column"),
        ({"features": ["dose", "weight"]}, "`features` must name a column"),
        ({"features": []}, "a column at least"),
        ({"features": ["ill"]}, "'ill' must hold numbers"),
        ({"data": TABLE.assign(dose=np.nan)}, "'dose', in which 200 of 200 rows are empty"),
        ({"kind": "ranking"}, "`kind` must be one of"),
        ({"kind": "regression", "target": "ill"}, "'ill' must hold numbers"),
        ({"split": "nowhere.json"}, "`split` must be a JSON file"),
        ({"standardize": 1}, "`standardize` must be True or False"),
    ],
    ids=lambda case: str(case)[:40] if isinstance(case, str) else next(iter(case)),
)
def test_wrong_arguments_are_told(change, message):
    given = {"data": TABLE, "target": "effect", "group": "patient", "features": FEATURES}
    with pytest.raises(ValueError, match=message):
        from_table(**(given | change))


def test_whole_numbers_are_classes_unless_told_otherwise():
    table = TABLE.assign(effect=np.tile([1, 2], ROWS // 2))
    assert from_table(table, "effect", "patient", FEATURES, shots=2).ways == 2
    numbers = from_table(table, "effect", "patient", FEATURES, kind="regression")
    assert isinstance(numbers, meta_tf.tasks.Source)
    assert numbers.kind == "regression"
