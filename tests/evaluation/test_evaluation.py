import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_tf
from meta_tf.evaluation import Evaluation, evaluate, mean_and_interval
from meta_tf.evaluation.compared import Baseline
from meta_tf.evaluation.metrics import TASK_METRICS
from tests.marks import slow

LR = 0.1
SPARSE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def sinusoid_learner(algorithm=None, **options):
    model = meta_tf.models.mlp(1, 1, hidden=(), kernel_initializer="glorot_uniform")
    return meta_tf.MetaLearner(model, algorithm or meta_tf.MAML(inner_lr=LR), "mse", **options)


def class_tasks(shape=(4,)):
    examples = np.random.default_rng(0).normal(size=[300, *shape]).astype("float32")
    return meta_tf.tasks.from_arrays(examples, np.arange(300) % 30, ways=3, shots=2, queries=4)


def first_tasks(part, number, seed=0):
    """The first tasks of a split, one at a time, as float64 arrays."""
    x, y = next(iter(part.batches(number, seed=seed)))
    sets = (x["support_x"], x["support_y"], x["query_x"], y)
    return zip(*(s.numpy().astype("float64") for s in sets), strict=True)


@pytest.mark.parametrize("metric", [None, *map(slow, ("mse", "loss")), "a function"])
def test_evaluating_again_traces_nothing_again(metric):
    traced = []

    def squares(y, p):
        traced.append(p.shape)
        return tf.square(y - p)

    class Loss(keras.losses.Loss):
        def call(self, y, p):
            return squares(y, p)

    given = squares if metric == "a function" else metric
    learner = meta_tf.MetaLearner(meta_tf.models.mlp(1, 1, ()), meta_tf.MAML(LR), Loss())
    part = meta_tf.tasks.Sinusoid(shots=5, queries=7).test
    first = evaluate(learner, part, tasks_number=6, steps=2, metric=given)
    count = len(traced)
    assert count > 0
    again = evaluate(learner, part, tasks_number=6, steps=2, metric=given)
    np.testing.assert_array_equal(first.per_task, again.per_task)
    assert len(traced) == count


def test_a_metric_without_a_hash_works():
    @dataclasses.dataclass
    class Shifted:
        by: float

        def __call__(self, y, p):
            return tf.square(y - p) + self.by

    learner, part = sinusoid_learner(), meta_tf.tasks.Sinusoid(shots=5).test
    values = [
        evaluate(learner, part, tasks_number=3, steps=1, metric=Shifted(by)).per_task
        for by in (0.0, 1.0)
    ]
    np.testing.assert_allclose(values[1], values[0] + 1, rtol=1e-6)


def test_regression_matches_numpy():
    # Linear model p = x w + b and the mean of (p - y)^2 over the set: its gradient is
    # 2 xᵀ (p - y) / S in w, and 2 mean(p - y) in b.
    learner, part = sinusoid_learner(), meta_tf.tasks.Sinusoid(shots=5, queries=7).test
    result = evaluate(learner, part, tasks_number=11, steps=3, tasks_at_once=4)
    expected = []
    for sx, sy, qx, qy in first_tasks(part, 11):
        w, b = (v.numpy().astype("float64") for v in learner.model.trainable_variables)
        after = []
        for _ in range(4):
            after.append(np.mean((qx @ w + b - qy) ** 2))
            error = sx @ w + b - sy
            w, b = w - LR * 2 * sx.T @ error / len(sx), b - LR * 2 * error.mean(0)
        expected.append(after)
    expected = np.array(expected)
    spread = np.sqrt(np.sum((expected - expected.mean(0)) ** 2, 0) / (11 - 1))
    assert (result.metric, result.steps, result.tasks) == ("mse", (0, 1, 2, 3), 11)
    np.testing.assert_allclose(result.per_task, expected, rtol=1e-4)
    np.testing.assert_allclose(result.mean, expected.mean(0), rtol=1e-4)
    np.testing.assert_allclose(result.ci95, 1.96 * spread / np.sqrt(11), rtol=1e-4)


def test_accuracy_matches_numpy():
    # Softmax regression, the mean cross-entropy: its gradient is xᵀ (p - onehot(y)) / S.
    tasks = class_tasks()
    model = meta_tf.models.mlp(4, 3, hidden=(), kernel_initializer="glorot_uniform")
    learner = meta_tf.MetaLearner(model, meta_tf.MAML(inner_lr=LR), SPARSE)
    learner.calibration = meta_tf.Calibration({(3, 2): 0.5}, {(3, 2): 0.0})
    result = evaluate(learner, tasks.test, tasks_number=9, steps=4, seed=3)
    expected, probabilities, labels = [], [], []
    for sx, sy, qx, qy in first_tasks(tasks.test, 9, seed=3):
        w, b = (v.numpy().astype("float64") for v in model.trainable_variables)
        after = []
        for _ in range(5):
            after.append(np.mean(np.argmax(qx @ w + b, -1) == qy))
            e = np.exp(sx @ w + b)
            error = e / e.sum(-1, keepdims=True) - np.eye(3)[sy.astype(int)]
            last = np.exp((qx @ w + b) / 0.5)
            w, b = w - LR * sx.T @ error / len(sx), b - LR * error.mean(0)
        expected.append(after)
        probabilities.append(last / last.sum(-1, keepdims=True))
        labels.append(qy.astype(int))
    assert result.metric == "accuracy"
    p, y = np.stack(probabilities), np.stack(labels)
    losses = -np.log(np.take_along_axis(p, y[..., None], -1)).mean((1, 2))
    half = 1.96 * losses.std(ddof=1) / 3
    np.testing.assert_allclose(result.others["nll"], [losses.mean(), half], rtol=1e-4)
    p, y = p.reshape(-1, 3), y.reshape(-1)
    confidence, right = p.max(-1), p.argmax(-1) == y
    bins = [(confidence >= i / 15) & (confidence < (i + 1) / 15) for i in range(15)]
    apart = sum(abs((confidence - right)[b].sum()) for b in bins) / len(y)
    assert result.others["ece"] == (pytest.approx(apart, rel=1e-4), None)
    likely, nearest = (result.baselines[n] for n in ("logistic regression", "nearest mean"))
    assert 0 < likely.ece < 1 < likely.nll and nearest.nll is None
    np.testing.assert_allclose(result.per_task, expected, rtol=1e-6)
    assert (result.ways, result.shots, result.queries) == (3, 2, 4)


def test_the_interval():
    # 1, 2, 3, 6: mean 3, σ² = (4 + 1 + 0 + 9) / 3, half-width 1.96 σ / √4.
    mean, ci95 = mean_and_interval(np.array([[1.0], [2.0], [3.0], [6.0]]))
    assert mean == [3.0]
    np.testing.assert_allclose(ci95, [1.96 * np.sqrt(14 / 3) / 2])


class Halving(meta_tf.Algorithm):
    """Says only `adapt`: every step halves the weights."""

    def adapt(self, network, weights, support, *, steps=None, training=False):
        return weights._replace(model=[w / 2**steps for w in weights.model])


@pytest.mark.parametrize(
    "algorithm",
    [
        meta_tf.MAML(inner_lr=LR, inner_steps=2, learned_lr="tensor_step"),
        Halving(),
        slow(meta_tf.MAML(inner_lr=LR, optimizer="adam")),
        slow(meta_tf.MetaSGD(inner_lr=LR)),
        slow(meta_tf.Reptile(inner_lr=LR, inner_batch=3)),
    ],
    ids=["tensor_step", "own", "Adam", "MetaSGD", "Reptile"],
)
def test_each_step_is_what_adapt_gives(algorithm):
    learner, part = sinusoid_learner(algorithm), meta_tf.tasks.Sinusoid(shots=4).test
    result = evaluate(learner, part, tasks_number=2, steps=3)
    x, y = next(iter(part.batches(2)))
    for t in range(2):
        for k in range(4):
            fitted = learner.adapt(x["support_x"][t], x["support_y"][t], steps=k)
            mse = np.mean((fitted(x["query_x"][t]) - y[t]) ** 2)
            np.testing.assert_allclose(result.per_task[t, k], mse, rtol=1e-5)


def test_steps_are_the_algorithms_unless_given():
    part = meta_tf.tasks.Sinusoid(shots=2).test

    def steps(**settings):
        return evaluate(sinusoid_learner(meta_tf.MAML(**settings)), part, 2).steps

    assert steps(inner_steps=2) == (0, 1, 2)
    assert steps(inner_steps=2, eval_steps=1) == (0, 1)
    assert steps(inner_steps=0) == (0,)


def test_the_tasks_do_not_depend_on_how_many_run_at_once():
    learner, part = sinusoid_learner(), meta_tf.tasks.Sinusoid().test
    whole = evaluate(learner, part, tasks_number=7).per_task
    for at_once in (1, 3):
        other = evaluate(learner, part, tasks_number=7, tasks_at_once=at_once).per_task
        np.testing.assert_allclose(other, whole, rtol=1e-5)
    fewer = evaluate(learner, part, tasks_number=3).per_task
    np.testing.assert_allclose(fewer, whole[:3], rtol=1e-5)
    assert not np.allclose(evaluate(learner, part, tasks_number=3, seed=1).per_task, fewer)


def test_it_is_traced_once_however_many_batches():
    calls = []

    def absolute(y, predictions):
        calls.append(1)
        return tf.abs(y - predictions)

    learner, part = sinusoid_learner(), meta_tf.tasks.Sinusoid().test
    evaluate(learner, part, 2, tasks_at_once=2, metric=absolute)
    once = len(calls)
    result = evaluate(learner, part, 9, tasks_at_once=2, metric=absolute)  # an odd last batch
    assert once and len(calls) == once
    assert result.metric == "absolute"


@pytest.mark.parametrize(
    ("batch_norm", "algorithm"),
    [
        pytest.param("support", meta_tf.MAML(), id="support"),
        pytest.param("running", meta_tf.Reptile(), id="running", marks=pytest.mark.slow),
        pytest.param("transductive", meta_tf.MAML(), id="transductive", marks=pytest.mark.slow),
    ],
)
def test_no_variable_changes(batch_norm, algorithm):
    model = keras.Sequential(
        [
            keras.Input([4]),
            keras.layers.Dense(8, name="dense"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.Dropout(0.5, name="drop"),
            keras.layers.Dense(3, name="head"),
        ]
    )
    learner = meta_tf.MetaLearner(model, algorithm, SPARSE, batch_norm=batch_norm)
    learner.compile(metrics=["accuracy"])
    variables = [*learner.variables, *learner.metrics_variables, *learner.optimizer.variables]
    before = [v.numpy().copy() for v in variables]
    first = evaluate(learner, class_tasks().test, 4, steps=2)
    for variable, value in zip(variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value, err_msg=variable.path)
    again = evaluate(learner, class_tasks().test, 4, steps=2)  # no dropout: the same again
    np.testing.assert_allclose(again.per_task, first.per_task, rtol=1e-6)
    assert first.batch_norm == batch_norm


def test_the_metric_follows_the_loss_unless_given():
    def metric(loss, given=None):
        model = meta_tf.models.mlp(1, 1, hidden=(), kernel_initializer="ones")
        part = meta_tf.tasks.Sinusoid(shots=2).test
        return evaluate(meta_tf.MetaLearner(model, loss=loss), part, 2, metric=given)

    mse = metric("mse")
    assert mse.metric == "mse"
    assert metric(keras.losses.MeanSquaredError()).metric == "mse"
    assert metric("mae").metric == "loss"
    assert metric("mae", "mse").mean[0] == mse.mean[0]  # later steps follow the mae
    assert mse.batch_norm == "none"  # the model has none
    np.testing.assert_allclose(metric("mse", "loss").mean, mse.mean, rtol=1e-6)


RESULT = Evaluation(
    metric="accuracy",
    steps=(0, 10),
    mean=(0.2, 0.98765),
    ci95=(0.001, 0.0123),
    tasks=600,
    seed=0,
    ways=5,
    shots=1,
    queries=15,
    batch_norm="transductive",
    algorithm="MAML(inner_lr=0.4)",
    settings={"inner_lr": 0.4},
    per_task=np.zeros([600, 2]),
)


def test_the_table():
    assert str(RESULT).splitlines() == [
        "600 new tasks (seed 0), 5-way 1-shot, 15 queries a class",
        "MAML(inner_lr=0.4), batch norm: transductive",
        "mean over tasks ± 95 % confidence interval",
        "inner steps   accuracy in %",
        "          0    20.00 ± 0.10",
        "         10    98.77 ± 1.23",
    ]
    rows = {
        "logistic regression": Baseline(0.9, 0.01, 0.08, 0.02, 600, 0.301, 0.0512),
        "nearest mean": Baseline(0.8, 0.01, 0.18, 0.02, 600),
    }
    others = {"nll": (0.04, 0.01), "ece": (0.0012, None)}
    sure = dataclasses.replace(RESULT, others=others, baselines=rows)
    assert str(sure).splitlines()[6:-1] == [
        "              cross-entropy (NLL)   0.0400 ± 0.0100",
        "calibration error (ECE) in points              0.12",
        "baseline              accuracy in %   the learner minus it      NLL    ECE",
        "logistic regression    90.00 ± 1.00           +8.00 ± 2.00   0.3010   5.12",
        "nearest mean           80.00 ± 1.00          +18.00 ± 2.00",
    ]
    without = dataclasses.replace(RESULT, batch_norm="none", batch_with="none")
    assert str(without).splitlines()[1] == "MAML(inner_lr=0.4)"
    mse = dataclasses.replace(RESULT, metric="mse", ways=None, shots=10)
    assert "10-shot, 15 queries" in str(mse)
    assert "0.9877 ± 0.0123" in str(mse)
    # In volts of microvolts, four decimals would be 0; in the square of grams of tons, 17 digits.
    for scale, text in ((1e-12, "2.000e-13 ± 1.000e-15"), (1e12, "2.000e+11 ± 1.000e+09")):
        means, halves = (tuple(scale * v for v in pair) for pair in (RESULT.mean, RESULT.ci95))
        assert text in str(dataclasses.replace(mse, mean=means, ci95=halves))


def test_the_file(tmp_path):
    path = tmp_path / "results.json"
    path.write_text("older")
    RESULT.save(path)
    read = json.loads(path.read_text())
    assert read["mean"] == [0.2, 0.98765]
    assert set(read) == {f.name for f in dataclasses.fields(RESULT)} - {"per_task"}
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]
    assert Evaluation.load(path) == RESULT  # but for the tasks, one by one
    sure = {"nll": (0.04, 0.01), "ece": (0.0012, None)}
    row = Baseline(0.9, 0.01, 0.08, 0.02, 600, 0.301, 0.0512)
    more = dataclasses.replace(RESULT, others=sure, baselines={"logistic regression": row})
    more.save(path)
    assert Evaluation.load(path) == more
    older = json.loads(path.read_text())
    older["others"] = {}
    for name in ("nll", "ece"):
        del older["baselines"]["logistic regression"][name]
    path.write_text(json.dumps(older))
    assert "ECE" not in str(Evaluation.load(path))
    path.write_text(json.dumps({**read, "command": "python train.py"}))  # as train.py's
    assert Evaluation.load(path) == RESULT
    path.write_text("{}")
    with pytest.raises(ValueError, match=r"`path` must be a file .* without algorithm, .*mean"):
        Evaluation.load(path)


def test_a_progress_bar_on_request(capsys):
    part = meta_tf.tasks.Sinusoid(shots=2).test
    evaluate(sinusoid_learner(), part, 4, tasks_at_once=2, verbose=1)
    assert "4/4" in capsys.readouterr().out
    evaluate(sinusoid_learner(), part, 4, tasks_at_once=2, verbose=0)
    assert capsys.readouterr().out == ""


class Ending:
    """A split of five tasks, in numpy arrays."""

    def batches(self, tasks, seed=0):
        ones = np.ones([1, 2, 1], "float32")
        for _ in range(5 // tasks):
            x = {name: ones.repeat(tasks, 0) for name in ("support_x", "support_y", "query_x")}
            yield x, ones.repeat(tasks, 0)


def test_any_part_with_batches_works():
    assert evaluate(sinusoid_learner(), Ending(), 5, tasks_at_once=1).tasks == 5
    with pytest.raises(ValueError, match="ends after 5 tasks, and tasks_number=6"):
        evaluate(sinusoid_learner(), Ending(), 6, tasks_at_once=1)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"tasks_number": 1}, "`tasks_number` must be an integer of at least 2"),
        ({"steps": -1}, "`steps` must be an integer of at least 0"),
        ({"tasks_at_once": 0}, "`tasks_at_once` must be"),
        ({"metric": "precision"}, "`metric` must be one of 'accuracy', 'mse', "),
        ({"verbose": "yes"}, "`verbose` must be one of"),
        ({"split": meta_tf.tasks.Sinusoid(shots=2)}, "pass a split: tasks.test"),
        ({"learner": meta_tf.models.mlp()}, "`learner` must be a meta_tf.MetaLearner"),
        ({"split": meta_tf.tasks.HiddenTeacher(shots=2).test}, "as the model 'mlp' takes them"),
    ],
)
def test_wrong_arguments(wrong, message):
    arguments = {"split": meta_tf.tasks.Sinusoid(shots=2).test, "tasks_number": 2, **wrong}
    learner = arguments.pop("learner", None) or sinusoid_learner()
    with pytest.raises(ValueError, match=message):
        evaluate(learner, **arguments)


def test_more_classes_than_outputs():
    learner = meta_tf.MetaLearner(meta_tf.models.mlp(4, 2), loss=SPARSE)
    with pytest.raises(ValueError, match="`support_y` must hold class numbers"):
        evaluate(learner, class_tasks().test, 2)


def test_what_diverges_is_not_hidden_in_an_accuracy():
    model = meta_tf.models.mlp(4, 3, kernel_initializer="glorot_uniform")
    learner = meta_tf.MetaLearner(model, meta_tf.MAML(inner_lr=1e38, inner_steps=4), SPARSE)
    with pytest.raises(ValueError, match=r"after \d inner steps, 5 of 5 .* lower its `inner_lr`"):
        evaluate(learner, class_tasks().test, 5)
    model.set_weights([np.full_like(w, np.nan) for w in model.get_weights()])
    with pytest.raises(ValueError, match=r"after 0 inner steps, .* own weights are not finite"):
        evaluate(learner, class_tasks().test, 5)


def test_metrics_take_predictions_of_an_unknown_number_of_tasks():
    # Two tasks of two queries, one answer wrong; errors of 1 and 2.
    logits = tf.constant([[[2.0, 1.0], [0.0, 1.0]], [[2.0, 1.0], [2.0, 1.0]]])
    labels = tf.constant([[0, 1], [0, 1]])
    numbers, right = tf.constant([[[1.0]], [[2.0]]]), tf.zeros([2, 1, 1])
    for metric, y, predictions, expected in (
        ("accuracy", labels, logits, [1.0, 0.5]),
        ("mse", right, numbers, [1.0, 4.0]),
    ):
        spec = tf.TensorSpec([None, *predictions.shape[1:]])
        traced = tf.function(
            TASK_METRICS[metric], input_signature=[tf.TensorSpec.from_tensor(y), spec]
        )
        np.testing.assert_array_equal(traced(y, predictions), expected)
