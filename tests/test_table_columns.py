"""Learners of tables: gaps, texts and units inside, and the next rows of a new group."""

import json
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_tf
from meta_tf.command import adapt_table, evaluate
from meta_tf.command.adapt_table import Rows
from meta_tf.command.main import read
from meta_tf.command.settings import Adaptation
from meta_tf.layers.table_columns import MISSING, TableColumns
from meta_tf.tasks.column import Column
from tests.exported import litert_signatures, needs_litert, needs_onnx, run_onnx

pandas = pytest.importorskip("pandas")
SPARSE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@pytest.fixture(scope="module")
def table():
    """Nine patients of eight rows; a column with gaps, and texts with gaps."""
    rng = np.random.default_rng(0)
    columns = {
        "patient": [f"p{i}" for i in np.arange(72) // 8],
        "site": rng.choice(["north", "east", None], 72),
        "dose": rng.normal(50, 9, 72),
        "age": np.where(rng.random(72) < 0.3, np.nan, rng.normal(1e4, 99, 72)),
    }
    columns["effect"] = columns["dose"] * 3 + np.where(columns["site"] == "east", 40, 0.0)
    columns["ill"] = np.where(np.arange(72) % 2, "yes", "no")
    return pandas.DataFrame(columns)


FEATURES = ("site", "dose", "age")
LISTS = [[f"p{i}" for i in part] for part in (range(5), [5], range(6, 9))]


@pytest.fixture(scope="module")
def trained(table):
    tasks = meta_tf.tasks.from_table(table, "effect", "patient", FEATURES, split=LISTS, shots=4)
    body = meta_tf.models.mlp(tasks.columns.width, None, (4,), "tanh", "glorot_uniform")
    learner = meta_tf.MetaLearner(body, meta_tf.ALPaCA(), meta_tf.GaussianLoss())
    learner.standardize(tasks.train)
    return learner, tasks


def test_the_layer_fills_gaps_scales_numbers_and_spreads_categories(table, trained):
    learner, tasks = trained
    rows = tasks.columns.rows(table)
    known = table[table["patient"].isin(LISTS[0])]
    found = learner.model.layers[0](rows).numpy()
    expected = [
        (table["dose"] - known["dose"].mean()) / known["dose"].std(ddof=0),
        ((table["age"] - known["age"].mean()) / known["age"].std(ddof=0)).fillna(0),
        table["age"].isna(),
        table["site"] == "east",  # in alphabetical order
        table["site"] == "north",
    ]
    np.testing.assert_allclose(found, np.stack(expected, 1).astype(float), atol=1e-3)
    new = table.head(1).assign(site="west", age=None)
    made = tasks.columns.rows(new)
    np.testing.assert_array_equal(made[0, [0, 2]], np.float32([-1, MISSING]))
    np.testing.assert_allclose(learner.model.layers[0](made)[0, 1:], [0, 1, 0, 0])


def test_the_layer_comes_back_from_its_config(trained):
    layer = trained[0].model.layers[0]
    again = TableColumns.from_config(json.loads(json.dumps(layer.get_config())))
    x = np.array([[0.0, 50, 1e4], [MISSING, 40, MISSING]], np.float32)
    np.testing.assert_array_equal(again(x), layer(x))


@pytest.fixture(scope="module")
def evaluated(trained):
    """The first test group, and the error that `evaluate` reports for it."""
    learner, tasks = trained
    whole = tasks.test.whole_groups()
    x, y = next(iter(whole.batches()))
    result = meta_tf.evaluate(learner, whole, len(whole), baselines=tasks.train)
    assert "ridge on all groups" in result.baselines
    return {n: t[0].numpy() for n, t in x.items()}, y[0].numpy(), result.per_task[0, -1]


def error_of(predictions, y):
    mean, _ = np.split(np.asarray(predictions), 2, -1)
    return pytest.approx(float(np.mean(np.square(mean - y))), rel=1e-3)


def test_raw_rows_through_files_have_the_evaluated_error(trained, evaluated, tmp_path):
    learner, tasks = trained
    task, y, error = evaluated
    learner.save(tmp_path / "learner.keras")
    loaded = keras.models.load_model(tmp_path / "learner.keras")
    assert loaded.columns == tasks.columns
    fitted = loaded.adapt(task["support_x"], task["support_y"])
    assert error == error_of(fitted.predict(task["query_x"], verbose=0), y)
    learner.export(tmp_path / "saved_model")
    run = tf.saved_model.load(tmp_path / "saved_model").signatures["adapt_and_predict"]
    assert error == error_of(run(**task)["predictions"], y)
    about = json.loads((tmp_path / "saved_model/assets.extra/meta_tf.json").read_text())
    assert about["columns"]["categories"] == {"site": ["east", "north"]}
    assert np.float32(about["columns"]["missing"]) == np.float32(MISSING)


@pytest.mark.slow
@needs_litert
def test_raw_rows_through_litert(trained, evaluated, tmp_path):
    task, y, error = evaluated
    path = tmp_path / "learner.tflite"
    trained[0].export(path, "litert", shots=4, queries=4)
    run = litert_signatures(path)["adapt_and_predict"]
    assert error == error_of(run(**task)["predictions"], y)
    about = json.loads((tmp_path / "learner.tflite.columns.json").read_text())
    assert about["features"] == list(FEATURES)


@pytest.mark.slow
@needs_onnx
def test_raw_rows_through_onnx(trained, evaluated, tmp_path):
    task, y, error = evaluated
    trained[0].export(tmp_path / "learner", "onnx", shots=4, queries=4)
    path = tmp_path / "learner" / "adapt_and_predict.onnx"
    assert error == error_of(run_onnx(path, task)["predictions"], y)
    assert (tmp_path / "learner.columns.json").exists()


@pytest.fixture(scope="module")
def files(table, trained, tmp_path_factory):
    """Two new patients: four measured rows of each, and four without the target."""
    folder = tmp_path_factory.mktemp("rows")
    new = table[table["patient"].isin(["p6", "p7"])]
    first = new.groupby("patient").cumcount() < 4
    new[first].to_csv(folder / "measured.csv", index=False)
    new[~first].drop(columns=["effect", "ill"]).to_csv(folder / "new.csv", index=False)
    trained[0].save(folder / "learner.keras")
    return folder


def test_a_command_predicts_the_next_rows_of_each_group(files, trained, table, capsys):
    asked = Adaptation(files / "measured.csv", files / "new.csv", files / "learner.keras")
    adapt_table.run(asked, Rows(level=0.8), files / "answers.csv")
    answers = pandas.read_csv(files / "answers.csv")
    learner, columns = trained[0], trained[1].columns
    for patient in ("p6", "p7"):
        rows = table[table["patient"] == patient]
        fitted = learner.adapt(columns.rows(rows[:4]), columns.targets(rows[:4]))
        x = columns.rows(rows[4:])
        own = answers[answers["patient"] == patient]
        found = own[["predicted_effect", "lower", "upper"]]
        expected = [fitted.predict(x, verbose=0)[:, :1], *fitted.predict_interval(x, 0.8)]
        np.testing.assert_allclose(found, np.concatenate(expected, 1), rtol=1e-4)
    assert "predicted_effect" in capsys.readouterr().out


def test_names_that_are_numbers_in_a_file_stay_what_they_are(table, tmp_path):
    # Of "007" and "A", pandas reads the texts "007" as the number 7 if a file has no "A".
    texts = np.where(np.arange(72) % 2, "007", "A")
    table = table.assign(site=texts, ill=texts, patient="0" + table["patient"].str[1:])
    groups = [[f"0{i}" for i in part] for part in (range(5), [5], range(6, 9))]
    columns = meta_tf.tasks.from_table(
        table, "ill", "patient", ["site"], split=groups, shots=2
    ).columns
    table[table["site"] == "007"].to_csv(tmp_path / "t.csv", index=False)
    read = pandas.read_csv(tmp_path / "t.csv")
    assert read["site"].dtype.kind == "i"
    np.testing.assert_array_equal(columns.rows(read), 0)
    assert set(columns.targets(read)) == {"007"}
    assert set(Column(read, "patient").places(["06", "6", "x"])) == {-1, 1}  # "6" is nearer to 6
    assert set(Column(read, "patient").places(["06", "006"])) == {-1}
    np.testing.assert_array_equal(columns.rows({"site": [7.5, 8, True, "7", None, "A"]}).T,
                                  np.float32([[-1, -1, -1, -1, MISSING, 1]]))  # fmt: skip


def test_another_table_has_the_numbers_of_the_training(trained, table, tmp_path, monkeypatch):
    learner, tasks = trained
    other = table[[*table.columns[::-1]]].copy()  # other features come first
    other.loc[other["patient"].isin(LISTS[1]), "site"] = "abroad"  # and other texts
    given = {"target": "effect", "group": "patient", "split": LISTS, "shots": 4}
    wrong = meta_tf.tasks.from_table(other.drop(columns="ill"), **given)
    for test in (wrong.test, wrong.test.whole_groups()):
        with pytest.raises(
            ValueError, match=r"features .* site, dose, age. Received: age, dose, s"
        ):
            meta_tf.evaluate(learner, test, 2)
    wrong = meta_tf.tasks.from_table(other, features=FEATURES, **given)
    with pytest.raises(ValueError, match=r"texts .* site: east, north. Received: site: abroad, ea"):
        meta_tf.evaluate(learner, wrong.test, 2)
    right = meta_tf.tasks.from_table(other, columns=learner.columns, **given)
    for ours, theirs in zip(right.test.examples(), tasks.test.examples(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert (right.valid.examples()[0][:, 0] == -1).all()
    # The command does it by itself.
    monkeypatch.chdir(tmp_path)
    learner.save("learner.keras")
    (tmp_path / "groups.json").write_text(
        json.dumps(dict(zip(("train", "valid", "test"), LISTS, strict=True)))
    )
    other.drop(columns="ill").to_csv("other.csv", index=False)
    words = "--learner=learner.keras --task=table --data=other.csv --target=effect --shots=4"
    words += " --group=patient --groups_file=groups.json --eval_tasks=3 --output=found.json"
    evaluate.run(read("evaluate", words.split()))
    found = json.loads((tmp_path / "found.json").read_text())
    expected = meta_tf.evaluate(learner, tasks.test.whole_groups(), 3, baselines=False)
    assert found["mean"] == pytest.approx(expected.mean, rel=1e-5)


@pytest.fixture
def evaluated_groups(trained, table, tmp_path, monkeypatch, capsys):
    """Evaluates a run of `table.csv`: the groups, those of the baselines, and what is printed."""
    monkeypatch.chdir(tmp_path)
    table = table.drop(columns="ill")
    tables = {
        "table": range(9),
        "new": [f"n{i}" for i in range(9)],
        "mixed": [0, 5, 6, *(f"n{i}" for i in range(6))],  # of training, validation and test
        "seen": [*range(5), 5, 5, 5, 5],
    }
    for name, patients in tables.items():
        names = [i if isinstance(i, str) else f"p{i}" for i in patients]
        table.assign(patient=np.repeat(names, 8)).to_csv(f"{name}.csv", index=False)
    for name, lists in (("groups", LISTS), ("own", [["n0"], ["n1"], ["n2", "n3"]])):
        content = dict(zip(("train", "valid", "test"), lists, strict=True))
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    found = []

    def keep(learner, split, *rest, baselines, **options):
        found[:] = sorted(set(split.groups)), getattr(baselines, "groups", baselines)
        return "evaluated"

    monkeypatch.setattr(evaluate, "load", lambda name: trained[0])
    monkeypatch.setattr(meta_tf, "evaluate", keep)

    def run(*words, groups_file="--groups_file=groups.json\n"):
        flags = "--task=table\n--data=table.csv\n--target=effect\n--group=patient\n--shots=4\n"
        (tmp_path / "flags.txt").write_text(flags + groups_file)
        evaluate.run(read("evaluate", [f"--learner={tmp_path}", *words]))
        return *found, capsys.readouterr().out

    return run


NEW = [f"n{i}" for i in range(9)]
NONE = "--groups_file=none"


@pytest.mark.parametrize(
    ("words", "groups", "printed"),
    [
        ([], LISTS[2], "3 of 9 groups: the test groups of the training."),
        ([NONE], LISTS[2], "3 of 9 groups of table.csv: the training had"),
        (["--data=new.csv"], NEW, "all 9 groups of new.csv."),
        (["--data=new.csv", NONE], NEW, "all 9 groups of new.csv."),
        (
            ["--data=mixed.csv"],
            [*NEW[:6], "p6"],
            "7 of 9 groups .*the other 2.* none evaluates all",
        ),
        (["--data=mixed.csv", NONE], [*NEW[:6], "p0", "p5", "p6"], "all 9 groups of mixed.csv."),
        (["--data=mixed.csv", "--groups_file=own.json"], NEW[2:4], "2 of 4 .* none evaluates all"),
    ],
)
def test_all_groups_of_another_table_that_the_training_did_not_have_are_evaluated(
    evaluated_groups, words, groups, printed
):
    found, known, out = evaluated_groups(*words)
    assert found == groups
    assert known == (["n0"] if "--groups_file=own.json" in words else LISTS[0])
    assert re.search(f"Evaluating {printed.replace('none', NONE)}", out)


def test_groups_of_a_training_without_a_groups_file_are_left_out_by_their_names(
    evaluated_groups, table, tmp_path
):
    by_names = meta_tf.tasks.from_table(table, "effect", "patient", FEATURES, shots=4)
    seen = {*by_names.train.groups, *by_names.valid.groups}
    found, known, _ = evaluated_groups("--data=mixed.csv", groups_file="")
    assert found == [*NEW[:6], *sorted({"p0", "p5", "p6"} - seen)]
    assert known == by_names.train.groups
    assert evaluated_groups(groups_file="")[0] == by_names.test.groups
    with pytest.raises(ValueError, match=r"--data must have groups that .*: 6 groups of seen\.csv"):
        evaluated_groups("--data=seen.csv")
    (tmp_path / "table.csv").unlink()
    found, known, out = evaluated_groups("--data=mixed.csv")
    assert (len(found), known) == (9, True)
    assert "groups of the training cannot be read" in out


def test_groups_of_the_same_number_are_the_same(evaluated_groups, table, tmp_path):
    # pandas reads "001" as 1 in a table without "A".
    names = [*(f"00{i}" for i in range(1, 9)), "A"]
    lists = {"train": names[:5], "valid": [names[5]], "test": names[6:]}
    (tmp_path / "groups.json").write_text(json.dumps(lists))
    for file, patients in (("table", names), ("numbers", range(1, 10))):
        table.assign(patient=np.repeat(patients, 8)).to_csv(f"{file}.csv", index=False)
    assert evaluated_groups("--data=numbers.csv")[0] == ["7", "8", "9"]


def test_another_table_has_all_classes_and_no_other(table):
    table = table.assign(ill=np.tile(["10", "2", "9", "9"], 18).astype(int))
    tasks = meta_tf.tasks.from_table(table, "ill", "patient", ["dose"], split=LISTS, shots=1)
    assert tasks.columns.classes == ("2", "9", "10")
    given = {"target": "ill", "group": "patient", "split": LISTS, "shots": 1}
    again = meta_tf.tasks.from_table(table, **given, columns=tasks.columns)
    np.testing.assert_array_equal(again.test.examples()[1], tasks.test.examples()[1])
    for ill, words in ((9, "must hold all classes .*: 2, 9, 10. Received: 9"), (7, "Received: 7")):
        with pytest.raises(ValueError, match=words):
            meta_tf.tasks.from_table(table.assign(ill=ill), **given, columns=tasks.columns)


def test_a_class_has_the_same_number_in_every_task(table):
    """MAML's outputs mean the classes of the training, in its order and if some are missing."""
    table = table.assign(ill=np.tile(["10", "2", "9", "9"], 18).astype(int))
    tasks = meta_tf.tasks.from_table(table, "ill", "patient", ["dose"], split=LISTS, shots=1)
    learner = meta_tf.MetaLearner(meta_tf.models.mlp(1, 3, (3,)), meta_tf.MAML(0.1), SPARSE)
    learner.standardize(tasks.train)
    rows, numbers = tasks.columns.rows(table), np.tile([2, 0, 1, 1], 18)
    for some in (slice(4), [0, 2]):
        one = table.iloc[some]
        given = learner.adapt(rows[some], tasks.columns.targets(one))
        assert given.class_names == ("2", "9", "10")
        expected = learner.adapt(rows[some], numbers[some]).predict(rows, verbose=0)
        np.testing.assert_array_equal(given.predict(rows, verbose=0), expected)
        assert list(given.predict_names(rows[:9])) == [
            given.class_names[i] for i in expected[:9].argmax(-1)
        ]
        np.testing.assert_array_equal(
            meta_tf.leave_one_out(learner, rows[some], tasks.columns.targets(one)),
            meta_tf.leave_one_out(learner, rows[some], numbers[some]),
        )
    with pytest.raises(ValueError, match=r"of `class_names`, '2', '9', '10'. Received: '7'"):
        learner.adapt(rows[:2], ["7", "2"])


def test_new_rows_may_be_nearly_the_same(trained, table):
    columns = trained[1].columns
    rows = table[:2].assign(dose=[25.001, 25.0012], effect=[140.001, 140.0012])
    np.testing.assert_allclose(columns.rows(rows)[:, 1], rows["dose"], rtol=1e-7)
    np.testing.assert_allclose(columns.targets(rows)[:, 0], rows["effect"], rtol=1e-7)


def test_answers_keep_the_cells_and_columns_of_the_queries(files, tmp_path):
    new = pandas.read_csv(files / "new.csv").assign(
        lower=7, predicted_effect="old", predicted_predicted_effect=0.5, code="007", gap="NA"
    )
    new.to_csv(tmp_path / "new.csv", index=False)
    asked = Adaptation(files / "measured.csv", tmp_path / "new.csv", files / "learner.keras")
    adapt_table.run(asked, Rows(), tmp_path / "answers.csv")
    lines = (tmp_path / "answers.csv").read_text().splitlines()
    written = (tmp_path / "new.csv").read_text().splitlines()
    assert all(a.startswith(f"{b},") for a, b in zip(lines, written, strict=True))
    assert lines[0].endswith(",predicted_predicted_predicted_effect,predicted_lower,upper")


def test_classes_come_with_their_probabilities(table, tmp_path):
    tasks = meta_tf.tasks.from_table(table, "ill", "patient", ["dose"], split=LISTS, shots=2)
    learner = meta_tf.MetaLearner(meta_tf.models.mlp(1, None, (3,)), meta_tf.ProtoNet(2), SPARSE)
    learner.standardize(tasks.train)
    learner.save(tmp_path / "learner.keras")
    one = table[table["patient"] == "p8"]
    one[:4].to_csv(tmp_path / "known.csv", index=False)
    one[4:][["dose"]].to_csv(tmp_path / "new.csv", index=False)
    names = ("known.csv", "new.csv", "learner.keras")
    asked = Adaptation(*(tmp_path / name for name in names), save=tmp_path / "adapted.keras")
    adapt_table.run(asked, Rows(), tmp_path / "answers.csv")
    answers = pandas.read_csv(tmp_path / "answers.csv")
    adapted = keras.models.load_model(tmp_path / "adapted.keras")
    adapt_table.predict(adapted, tmp_path / "new.csv", Rows(), tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_text() == (tmp_path / "answers.csv").read_text()
    fitted = learner.adapt(tasks.columns.rows(one[:4]), one["ill"][:4].to_numpy(str))
    expected = fitted.predict_proba(tasks.columns.rows(one[4:]))
    np.testing.assert_allclose(answers[["p(no)", "p(yes)"]], expected, rtol=1e-4)
    assert list(answers["predicted_ill"]) == [("no", "yes")[i] for i in expected.argmax(-1)]


def test_a_model_of_one_group_predicts_it_alone(files, trained):
    learner = trained[0]
    x, y = np.zeros([2, 3], "float32"), np.zeros([2, 1], "float32")
    with pytest.raises(ValueError, match=r"--query must .* one group .*: 2 groups .* 'patient'"):
        adapt_table.predict(learner.adapt(x, y), files / "new.csv", Rows(), None)
    other = meta_tf.MetaLearner(meta_tf.models.mlp(3), meta_tf.MAML(), "mse")
    with pytest.raises(ValueError, match="--model must be one of a learner of tables"):
        adapt_table.predict(other.adapt(x, y), files / "new.csv", Rows(), None)


def test_an_export_of_one_task_describes_its_inputs_and_its_logits(trained, tmp_path):
    x, y = np.zeros([2, 3], "float32"), np.zeros([2, 1], "float32")
    fitted = trained[0].adapt(x, y)
    fitted.export(tmp_path / "numbers", verbose=False)
    about = {p.stem: json.loads(p.read_text()) for p in (tmp_path / "numbers").glob("*/*.json")}
    assert about == {"columns": json.loads(json.dumps(fitted.columns.described()))}
    assert about["columns"]["missing"] == MISSING
    body = meta_tf.models.mlp(3, None, (3,))
    learner = meta_tf.MetaLearner(body, meta_tf.ProtoNet(2), SPARSE)
    learner.calibration = meta_tf.Calibration({(2, 1): 1.5}, {(2, 1): 0.0}, 0.05)
    fitted = learner.adapt(x, [0, 1])
    fitted.export(tmp_path / "logits", verbose=False)
    told = (tmp_path / "logits" / "assets.extra" / "temperature.json").read_text()
    assert json.loads(told) == fitted.temperature == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s, q: (s, q.drop(columns="dose")), "--query: .* without dose"),
        (lambda s, q: (s.drop(columns="effect"), q), "--support=.* without effect"),
        (lambda s, q: (s.assign(effect=None), q), "without gaps.*'effect'"),
        (lambda s, q: (s.assign(dose="much"), q), "'dose' must contain numbers"),
        (lambda s, q: (s[s["patient"] == "p6"], q), "--support must have rows of every.*p7"),
        (lambda s, q: (s, q.assign(patient=[None, *q["patient"][1:]])), "--query must be .*1 of 8"),
        (lambda s, q: (s.assign(patient=[None, *s["patient"][1:]]), q), "--support must be .*1 of"),
        (lambda s, q: (s, q.drop(columns="patient")), "--query must have the column 'patient'"),
        (lambda s, q: (s.drop(columns="patient"), q), "--support must .*'patient', as --query has"),
        (
            lambda s, q: (s, q.assign(dose=["1.5", "1,5"] * 4)),
            "as '1,5'. Leave unknown cells empty",
        ),
    ],
)
def test_tables_that_do_not_fit_are_rejected(files, tmp_path, change, words):
    tables = change(*(pandas.read_csv(files / name) for name in ("measured.csv", "new.csv")))
    for name, made in zip(("s.csv", "q.csv"), tables, strict=True):
        made.to_csv(tmp_path / name, index=False)
    asked = Adaptation(tmp_path / "s.csv", tmp_path / "q.csv", files / "learner.keras")
    with pytest.raises(ValueError, match=words):
        adapt_table.run(asked, Rows(), None)


def test_groups_may_be_in_the_index(files, trained, table, tmp_path):
    """As pandas writes them to a Parquet file: before, all rows were taken for one group."""
    for name in ("measured", "new"):
        rows = pandas.read_csv(files / f"{name}.csv").set_index("patient")
        rows.to_parquet(tmp_path / f"{name}.parquet")
    for suffix in ("csv", "parquet"):
        folder = files if suffix == "csv" else tmp_path
        paths = (folder / f"{name}.{suffix}" for name in ("measured", "new"))
        answers = tmp_path / f"{suffix}.csv"
        adapt_table.run(Adaptation(*paths, files / "learner.keras"), Rows(), answers)
    of_csv, of_index = (pandas.read_csv(tmp_path / f"{s}.csv") for s in ("csv", "parquet"))
    pandas.testing.assert_frame_equal(of_csv, of_index, rtol=1e-6)
    given = {"target": "effect", "group": "patient", "features": FEATURES, "split": LISTS}
    indexed = meta_tf.tasks.from_table(table.set_index("patient"), shots=4, **given)
    np.testing.assert_array_equal(indexed.test.examples()[0], trained[1].test.examples()[0])


def test_a_line_says_what_training_never_had(files, table, trained, tmp_path, capsys):
    columns = trained[1].columns
    columns.print_news(table)
    assert not capsys.readouterr().out
    new = pandas.read_csv(files / "new.csv")
    new.loc[:2, "site"] = ["west", "East", None]
    new.assign(dose=[*new["dose"][:7], None], age=None).to_csv(tmp_path / "new.csv", index=False)
    asked = Adaptation(files / "measured.csv", tmp_path / "new.csv", files / "learner.keras")
    adapt_table.run(asked, Rows(), None)
    first, second = capsys.readouterr().out.splitlines()[:2]
    assert first.startswith(
        "'site' has texts that training did not have, in 2 of 8 rows: 'East', 'w"
    )
    assert second.startswith("'dose' is empty in 1 of 8 rows, and never was in training")
    given = {"target": "effect", "group": "patient", "split": LISTS, "shots": 4}
    meta_tf.tasks.from_table(table.replace("north", "up"), columns=columns, **given)
    assert "'site' has texts" in capsys.readouterr().out


def test_a_network_of_another_width_is_rejected(table):
    tasks = meta_tf.tasks.from_table(table, "effect", "patient", FEATURES, split=LISTS, shots=4)
    learner = meta_tf.MetaLearner(meta_tf.models.mlp(3), meta_tf.MAML(), "mse")
    with pytest.raises(ValueError, match="The model must take 5 inputs"):
        learner.standardize(tasks.train)
