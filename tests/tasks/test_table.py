"""Tasks from tables; they need pandas, the extra `table`."""

import datetime
import json
from decimal import Decimal

import numpy as np
import pytest

from meta_tf.tasks import from_groups, from_table
from meta_tf.tasks.column import Column

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
    source = from_table(TABLE, "effect", "patient", FEATURES, shots=3)
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


def test_text_makes_classes_and_other_columns_are_features():
    source = from_table(TABLE.drop(columns="minute"), "ill", "patient", shots=2)
    assert (source.kind, source.ways, source.input_shape) == ("classification", 2, (3,))


def test_a_column_of_time_orders_the_groups():
    dates = pandas.Timestamp("2026-11-29") + pandas.to_timedelta(TABLE["minute"], "min")
    table = TABLE.assign(effect=TABLE["minute"] + 0.5, date=dates, text=dates.astype(str))
    for time in ("minute", "date", "text"):
        source = from_table(table, "effect", "patient", FEATURES, time, support="first", shots=3)
        np.testing.assert_array_equal(batch(source)[0]["support_y"][..., 0], [[0.5, 1.5, 2.5]] * 30)


def test_lists_of_groups_come_from_a_file(tmp_path):
    path = tmp_path / "groups.json"
    path.write_text(json.dumps({"train": [100, 101], "valid": ["102"], "test": [103]}))
    source = from_table(TABLE, "effect", "patient", FEATURES, split=path)
    assert [p.groups for p in (source.train, source.valid, source.test)] == [
        ["100", "101"],
        ["102"],
        ["103"],
    ]


def changed(**columns):
    return {"data": TABLE.assign(**columns)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"data": "nowhere.csv"},
            "must be an existing file.*nowhere.csv; there is no such file",
        ),
        ({"data": "nowhere.txt"}, "`data` must be a .csv or .parquet file. Received: nowhere.txt"),
        ({"data": [TABLE]}, "`data` must be the path of .* Received: list"),
        (
            {"data": {"dose": [1.0], "effect": [1.0, 2.0]}},
            "`data` must be columns of the same length",
        ),
        ({"data": TABLE[:0]}, "must have rows.* Received: 0 rows of the columns 'patient', 'min"),
        (
            {"data": TABLE.rename(columns={"ill": "dose"})},
            "distinct column names. Received: 'dose' more",
        ),
        ({"target": "cost"}, "`target` must name a column of the table: patient, minute"),
        ({"group": "doctor"}, "`group` must name a column"),
        ({"group": "effect"}, "`target`, `group` must be different columns"),
        ({"time": "hour"}, "`time` must name a column"),
        ({"time": "effect"}, "`target`, `group`, `time` must be different columns"),
        ({"time": "ill"}, "`time` must be a column of numbers, or of dates .* with 'no'"),
        ({"features": ["dose", "weight"]}, "`features` must name a column"),
        ({"features": ["dose", "effect"]}, "`features` must not contain the target, which is"),
        ({"features": ["dose", "patient"]}, "`features` must not contain the group"),
        ({"features": ["dose", "dose"]}, "`features` must not repeat a column. Received: 'dose'"),
        ({"features": []}, "at least one column"),
        (changed(dose=["low", 1] * 100), "'dose' must contain numbers.*'low'.*texts alone, which"),
        (changed(dose=[1, "low"] * 100), "'dose' must contain numbers.*'low'"),
        (changed(dose=10**30), "'dose' must contain numbers. Received: object, such as '1000000"),
        (
            changed(dose=datetime.date(2026, 1, 2)),
            r"numbers.*\(pandas.to_datetime\(table\['dose'\]\)",
        ),
        (
            changed(dose=[f"dose {i}" for i in range(200)]),
            "'dose' must hold at most 100 different texts. Received: 200",
        ),
        (
            changed(dose=pandas.Timestamp("2026")),
            "'dose' must contain numbers.*'1D'.*, or leave it",
        ),
        (
            changed(dose=[f"2026-01-{i % 28 + 1:02}" for i in range(200)]),
            r"'dose' must contain numbers. Received: dates as .*to_datetime\(table\['dose'\]\) - ",
        ),
        *(
            (changed(dose=date), "'dose' must contain numbers. Received: dates as texts")
            for date in ("24.12.2026", "2026/12/24", "24.12.26")
        ),
        (changed(dose=np.nan), "'dose', in which 200 of 200 rows are empty"),
        (
            changed(dose=np.r_[np.inf, np.ones(199)]),
            "'dose' must contain finite numbers.* 1 of 200",
        ),
        (changed(dose=1e9 + RNG.normal(size=ROWS)), "'dose' must contain numbers that differ in"),
        (
            changed(effect=1e300 * RNG.normal(size=ROWS)),
            "'effect' must contain numbers that differ",
        ),
        (changed(dose=1e39), "'dose' must contain numbers below 3.4e38.* Received: 1e\\+39"),
        ({"kind": "ranking"}, "`kind` must be one of"),
        ({"kind": "regression", "target": "ill"}, "'ill' must contain numbers"),
        (changed(effect=pandas.Timestamp("2026")), "'effect' must contain numbers.*'1D'"),
        (changed(effect=1), "`y` must contain at least two classes. Received: only 1"),
        (changed(effect=TABLE["minute"]), "group '100' with 1 of class 0. .*kind='regression'"),
        ({"split": "nowhere.json"}, "`split` must be a JSON file"),
    ],
    ids=lambda case: str(case)[:40] if isinstance(case, str) else next(iter(case)),
)
def test_invalid_arguments_are_reported(change, message):
    given = {"data": TABLE, "target": "effect", "group": "patient", "features": FEATURES}
    with pytest.raises(ValueError, match=message):
        from_table(**(given | change))


@pytest.mark.parametrize("lists", ["{}", "[1]", '{"train": 3, "valid": [1], "test": "abc"}', ""])
def test_a_file_of_lists_that_holds_none(tmp_path, lists):
    path = tmp_path / "groups.json"
    path.write_text(lists)
    with pytest.raises(ValueError, match="`split` must be a JSON file of the groups"):
        from_table(TABLE, "effect", "patient", FEATURES, split=path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "patient,dose,effect\n",
            "must have rows.*t.csv, 0 rows of the columns 'patient'",
        ),
        ("", "cannot be read.*EmptyDataError"),
        (
            "patient,dose,dose\n1,2,3\n",
            "^`data` must have distinct column names. .*, 'dose' more",
        ),
        ("patient,dose,effect\na,1,2,3\nb,1,2,3\n", "a column name for every value"),
        ("patient,dose,effect\na,1,2\nb,1,2,3,4\n", "cannot be read.*ParserError"),
        (
            "patient,dose,effect\na,1,2\nb,\xff,2\n",
            "cannot be read.*UnicodeDecodeError.*, as UTF-8",
        ),
        ("patient;dose;effect\na;1,5;2\n", "commas between its columns.*';' between them"),
    ],
)
def test_a_file_that_is_no_table(tmp_path, text, message):
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode("latin1"))
    with pytest.raises(ValueError, match=message):
        from_table(path, "effect", "patient")


def test_a_file_larger_than_memory_is_not_read(tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    TABLE.to_csv(tmp_path / "t.csv")
    TABLE.to_parquet(tmp_path / "t.parquet")
    monkeypatch.setattr("os.sysconf", lambda name: 64)  # 64 pages of 64 bytes
    for name in ("t.csv", "t.parquet"):
        with pytest.raises(ValueError, match=f"must fit in memory.*{name}, which takes"):
            from_table(tmp_path / name, "effect", "patient", FEATURES)


def test_a_damaged_parquet_is_read_or_told_in_one_line(tmp_path):
    pytest.importorskip("pyarrow")
    path = tmp_path / "t.parquet"
    TABLE.to_parquet(path)
    whole, rng, told = path.read_bytes(), np.random.default_rng(0), 0
    for _ in range(60):
        content = bytearray(whole)
        content[rng.integers(len(whole) - 3000, len(whole))] ^= 1 << rng.integers(8)
        path.write_bytes(content)
        try:
            from_table(path, "effect", "patient", FEATURES, shots=3)
        except ValueError as error:
            assert len(str(error).splitlines()) == 1
            told += 1
    assert told > 20


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (np.tile([1, 2], 100), "classification"),
        (np.tile([0.0, 1.0], 100), "classification"),
        (np.tile([True, False], 100), "classification"),
        (pandas.Series(np.tile([0, 1], 100), dtype="Int64"), "classification"),
        (pandas.Categorical(np.tile(["b", "a"], 100)), "classification"),
        (np.arange(200), "regression"),
        (np.arange(200.0), "regression"),
        (np.tile([0.5, 1.0], 100), "regression"),
        (pandas.Series([Decimal(i) / 8 for i in range(200)], dtype=object), "regression"),
    ],
    ids=lambda v: v if isinstance(v, str) else str(v[0]) + str(getattr(v, "dtype", "")),
)
def test_few_whole_numbers_and_names_are_classes_and_a_line_says_so(values, kind, capsys):
    source = from_table(TABLE.assign(effect=values), "effect", "patient", FEATURES, shots=2)
    assert source.kind == kind
    line = f"Each task is a {kind} of 'effect' from 2 features: dose, smoker. To change"
    assert capsys.readouterr().out.startswith(line)
    if kind == "classification":
        assert source.ways == 2


def test_names_of_columns_can_be_numbers():
    table = pandas.DataFrame(TABLE[["patient", *FEATURES, "effect"]].to_numpy(float))
    found = from_table(table, 3, 0, [1, 2], shots=3)
    assert found.columns.features == ("1", "2")
    same(batch(found), batch(from_table(TABLE, "effect", "patient", FEATURES, shots=3)))
    rows = {1: [7.0], 2: [1]}
    np.testing.assert_array_equal(found.columns.rows(rows), [[7, 1]])


def test_a_line_says_which_features_are_texts_and_that_numbers_among_them_are_none(capsys):
    ages = np.where(np.arange(200) % 50, (np.arange(200) % 9 + 30).astype(str), "?")
    table = TABLE.assign(age=ages, comma=[f"{i % 3},5" for i in range(200)])
    from_table(table, "effect", "patient", ["dose", "ill", "age", "comma"], shots=3)
    first, *lines = capsys.readouterr().out.splitlines()
    assert "4 features: dose, ill (2 categories), age (10 categories), comma (3 cat" in first
    assert [line.split(":")[0] for line in lines] == [
        "'age' holds 9 different numbers as texts, and '?'",
        "'comma' holds 3 different numbers as texts",
    ]


@pytest.mark.parametrize("text", ["10.0.12.5", "24-12-26-001", "2026.12.1b"])
def test_categories_that_begin_like_dates_are_none(text):
    assert Column(pandas.DataFrame({"code": [text, text]}), "code").categories() == (text,)


def test_whole_numbers_are_numbered_by_size_even_if_they_are_floats():
    table = TABLE.assign(effect=np.tile([10.0, 9.0], 100), dose=np.tile([1.0, 0.0], 100))
    x, y = from_table(table, "effect", "patient", ["dose"], shots=2).train.examples()
    np.testing.assert_array_equal(y, x[:, 0])


def test_columns_that_number_the_rows_are_left_out_and_said(tmp_path, capsys):
    path = tmp_path / "t.csv"
    table = TABLE.assign(place=np.arange(1, 201)).drop(columns=["ill", "minute"])
    table.iloc[::-1].to_csv(path)  # with the index, which counts down here
    source = from_table(path, "effect", "patient")
    assert source.input_shape == (3,)  # `place` counts down as well, and could be anything
    assert "3 features: dose, smoker, place. Left out, as row numbers: 'Unnamed: 0'." in (
        capsys.readouterr().out
    )
    table.to_csv(path)
    assert from_table(path, "effect", "patient").input_shape == (2,)
    assert "Left out, as row numbers: 'Unnamed: 0', 'place'." in capsys.readouterr().out
    named = from_table(path, "effect", "patient", ["place", "dose"], kind="regression")
    assert named.input_shape == (2,)
    assert not capsys.readouterr().out


class OfAnotherLibrary:
    def to_pandas(self):
        return TABLE


def test_columns_in_a_dictionary_and_tables_of_other_libraries():
    expected = from_table(TABLE, "effect", "patient", FEATURES).train.examples()
    for data in (dict(TABLE.items()), TABLE.to_dict("list"), OfAnotherLibrary()):
        found = from_table(data, "effect", "patient", FEATURES).train.examples()
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)


def test_numbers_of_every_type_are_features():
    whole = TABLE["minute"]
    types = {
        "Int64": whole.astype("Int64"),
        "Float32": whole.astype("Float32"),
        "uint8": whole.astype("uint8"),
        "boolean": (whole > 4).astype("boolean"),
        "objects": pandas.Series([bool(v > 4) for v in whole], dtype=object),
        "decimals": pandas.Series([Decimal(int(v)) for v in whole], dtype=object),
    }
    source = from_table(TABLE.assign(**types), "effect", "patient", ["minute", *types], shots=3)
    x, _ = source.train.examples()
    for i in (1, 2, 3, 6):
        np.testing.assert_array_equal(x[..., i], x[..., 0])
    for i in (4, 5):
        np.testing.assert_array_equal(x[..., i], x[..., 0] > 4)
