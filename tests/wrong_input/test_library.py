"""Wrong arguments of the library's functions and classes: each is named in one line."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_tf
from meta_tf import plots, tasks
from tests.learners import CE, classifier, make_batch, make_learner

rng = np.random.default_rng(0)
VECTORS = rng.normal(size=[60, 8])
LABELS = np.arange(60) % 15
SINUSOID = tasks.Sinusoid()


def regressor():
    return meta_tf.MetaLearner(meta_tf.models.mlp(), meta_tf.MAML(), "mse")


def arrays(images=VECTORS, labels=LABELS, **options):
    return tasks.from_arrays(images, labels, **{"ways": 2, "queries": 1, **options})


def integers(make, name, at_least):
    """Cases of an argument that is a whole number."""
    wrong = [at_least - 1, 1.5, "2", None, True]
    return [(lambda v=v: make(**{name: v}), f"`{name}` must be an integer") for v in wrong]


def numbers(make, name):
    """Cases of an argument that is a number above 0."""
    wrong = [0, -1, float("nan"), float("inf"), "0.1", True]
    return [(lambda v=v: make(**{name: v}), f"`{name}` must be a number") for v in wrong]


def choices(make, name):
    """Cases of an argument that is one of several."""
    wrong = ("nonsense", 3, np.ones(2))
    return [(lambda v=v: make(**{name: v}), f"`{name}` must be") for v in wrong]


def switches(make, name):
    """Cases of an argument that is True or False."""
    return [(lambda v=v: make(**{name: v}), f"`{name}` must be True") for v in ("yes", 1, None)]


def seeds(make, name="seed"):
    """Cases of an argument that is any integer of 64 bits."""
    wrong = [1.5, "2", None, True, 2**63]
    return [(lambda v=v: make(**{name: v}), f"`{name}` must be an integer") for v in wrong]


def texts(make, name):
    """Cases of an argument that is a text."""
    return [(lambda v=v: make(**{name: v}), f"`{name}` must be a text") for v in ("", 3, None)]


def optional(cases):
    """The same without None, which is allowed."""
    return [case for case in cases if case[0].__defaults__ != (None,)]


def algorithm(make, **fixed):
    return lambda **options: make(**{**fixed, **options})


ALGORITHMS = [
    *numbers(meta_tf.MAML, "inner_lr"),
    *integers(meta_tf.MAML, "inner_steps", 0),
    *optional(integers(meta_tf.MAML, "eval_steps", 0)),
    *integers(meta_tf.MAML, "unroll", 0),
    *[
        (lambda v=v: meta_tf.MAML(adapted=v), "`adapted` must be None for all weights")
        for v in ([], 3, [""], "", [1])
    ],
    *numbers(meta_tf.Reptile, "inner_lr"),
    *integers(meta_tf.Reptile, "inner_steps", 1),
    *numbers(meta_tf.MAMLPlusPlus, "inner_lr"),
    *integers(meta_tf.IMAML, "inner_steps", 0),
    *integers(meta_tf.IMAML, "cg_steps", 1),
    *integers(meta_tf.ProtoNet, "ways", 2),
    *choices(algorithm(meta_tf.ProtoNet, ways=2), "distance"),
    *numbers(algorithm(meta_tf.ProtoNet, ways=2), "scale"),
    *numbers(algorithm(meta_tf.MatchingNet, ways=2), "scale"),
    *numbers(algorithm(meta_tf.R2D2, ways=2), "regularization"),
    *switches(meta_tf.MAML, "first_order"),
    *texts(meta_tf.ProtoMAML, "head"),
]
SOURCES = [
    *integers(tasks.Sinusoid, "shots", 1),
    *optional(integers(tasks.Sinusoid, "queries", 1)),
    *integers(tasks.HiddenTeacher, "inputs", 1),
    *integers(tasks.HiddenTeacher, "outputs", 1),
    *integers(tasks.HiddenTeacher, "shots", 1),
    *integers(arrays, "ways", 1),
    *integers(arrays, "shots", 1),
    *optional(integers(arrays, "queries", 1)),
    *choices(arrays, "rotations"),
    (lambda: arrays(ways=14), "fewer than a task needs: ways=14"),
    (lambda: arrays(shots=4), "fewer than a task needs: shots"),
    (lambda: arrays(VECTORS[:0], LABELS[:0]), "`images` must be"),
    (lambda: arrays(VECTORS[:9]), "`images` must be"),
    (lambda: arrays(VECTORS[:, 0]), "`images` must be"),
    (lambda: arrays(labels=LABELS[:, None]), "`images` must be"),
    (lambda: arrays(np.ma.masked_greater(VECTORS, 0.5)), "`images` must not be masked"),
    (lambda: arrays(1e9 + VECTORS.astype(float)), "`images` must be numbers that differ in float3"),
    (lambda: arrays(labels=np.eye(15)[LABELS]), "argmax"),
    (lambda: arrays(labels=LABELS + 0.5), "`labels` must be integers or strings"),
    (lambda: arrays(np.full_like(VECTORS, np.nan)), "`images` must be finite"),
    (lambda: arrays(VECTORS * 1e300), "`images` must be finite"),
    (lambda: arrays(VECTORS.astype(str)), "`images` must be numbers"),
    (lambda: arrays((VECTORS * 1e12).astype("int64")), "`images` must fit"),
    (lambda: arrays(split=(0.5, 0.5)), "`split` must be three fractions"),
    (lambda: arrays(split=(0.5, 0.6, -0.1)), "`split` must be three fractions"),
    (lambda: arrays(split=(0.5, 0.1, 0.1)), "`split` must be three fractions"),
    (lambda: arrays(rotations="task"), "Only square images can be rotated"),
    *[
        (lambda v=v: arrays(split=v), "`split` must be three fractions")
        for v in ("abc", None, 0.5, (0.5, np.nan, 0.5))
    ],
    *switches(tasks.Sinusoid, "grid"),
    *integers(SINUSOID.train.batches, "tasks", 1),
    *seeds(lambda **seed: SINUSOID.train.batches(2, **seed)),
    *seeds(SINUSOID.train.class_names),
    *integers(SINUSOID.train.class_names, "episode", 0),
    *[(lambda v=v: tasks.from_pairs(v), "`pairs` must be an iterable") for v in (None, 3)],
    (lambda: SINUSOID.train.batches(3, start=-1), "`start` must be an integer"),
    (lambda: tasks.ImageFolder("/nowhere"), "There is no folder /nowhere"),
    (lambda: tasks.ImageFolder("/nowhere", size=0), "`size` must be an integer"),
    (lambda: tasks.ImageFolder("/nowhere", channels=4), "`channels` must be one of 1, 3"),
    (lambda: tasks.Omniglot("/nowhere"), "Omniglot is not in data_dir='/nowhere'"),
    (lambda: tasks.Omniglot("/nowhere", split="mine"), "`split` must be one of"),
    (lambda: tasks.Omniglot("/nowhere", size=0), "`size` must be an integer"),
    (lambda: tasks.from_function(lambda seed: 3), "`fn` must map a seed"),
    (lambda: tasks.from_function(lambda seed: (1.0, 1.0)), "It returned a tuple of 2"),
    (lambda: tasks.from_function(lambda seed: (seed, seed, seed, seed)), "for classification"),
    (lambda: tasks.from_function(3), "`fn` must map a seed"),
    (lambda: tasks.from_function(lambda s: s, ways=0), "`ways` must be an integer"),
]

# What is no argument of anything: each is refused in one line, or taken for what it says.
ODD = [
    *(None, True, 0, -1, 1.5, "x", "", b"x", [], [1], (1, 2, 3), {}, {"a": 1}, object(), 10**12),
    *(float("nan"), float("inf"), np.array(3), np.array([2, 3]), (3, 1), (0, 3), (2.0, 3), {2, 3}),
    *([None] * 60, ["a"] * 60, np.ones([60, 0]), np.ones([0, 2]), np.ones(60, bool)),
    *(np.array(["a"] * 60, object), np.full(60, "2026-01-01", "M8[D]"), np.ones(60, complex)),
]
TABLE = {"group": np.arange(60) % 10, "a": VECTORS[:, 0], "y": VECTORS[:, 1]}
GROUPED = {"x": VECTORS, "y": VECTORS[:, 1], "groups": TABLE["group"], "shots": 2}
TABLED = {"data": TABLE, "target": "y", "group": "group", "features": ["a"], "shots": 2}
SPLITS = ["shots", "queries", "support", "time", "split", "seed"]
MADE = [
    *[(tasks.from_groups, GROUPED, name) for name in ["x", "y", "groups", *SPLITS]],
    *[(tasks.from_table, TABLED, name) for name in [*list(TABLED)[:4], "kind", *SPLITS]],
    *[(arrays, {}, name) for name in ("ways", "shots", "queries", "split")],
    (tasks.from_groups(**GROUPED).test.whole_groups, {}, "draws"),
]


@pytest.mark.parametrize(
    ("make", "given", "name"),
    [pytest.param(*case, id=f"{case[0].__name__}, {case[2]}") for case in MADE],
)
def test_an_odd_argument_of_a_source_is_told_in_one_line(make, given, name):
    if make is tasks.from_table:
        pytest.importorskip("pandas")
    for odd in ODD:
        try:
            make(**given | {name: odd})
        except ValueError as error:
            message = str(error)
            assert len(message.splitlines()) == 1
            assert "Received" in message or "than a task needs" in message
            assert len(message) < 900


def learner_of(**options):
    return lambda **more: meta_tf.MetaLearner(classifier(), **{"loss": CE, **options, **more})


def compiling(**options):
    make_learner(compiled=False).compile(**options)


LEARNERS = [
    *choices(learner_of(), "batch_norm"),
    *choices(learner_of(), "task_parallelism"),
    *[
        (lambda v=v: learner_of()(algorithm=v), "`algorithm` must be an object")
        for v in ("maml", meta_tf.MAML, 3)
    ],
    *[(lambda v=v: learner_of()(loss=v), "`loss`") for v in (None, "mistake", 3)],
    *[
        (lambda v=v: meta_tf.MetaLearner(v, loss="mse"), "`model` must be")
        for v in (None, "mlp", keras.layers.Dense(1), keras.Sequential([keras.layers.Dense(1)]))
    ],
    (lambda: learner_of()(algorithm=meta_tf.MAML(adapted="nothing")), "nothing.*head"),
    (lambda: make_learner().compile("adam", loss="mse"), "`loss` is not an argument"),
    (lambda: make_learner().compile("adam", "mse"), "`loss` is not an argument.*Received: 'mse'"),
    (lambda: make_learner().compile("adam", loss_weights=[1]), "`loss_weights` is not an argument"),
    *integers(compiling, "steps_per_execution", 1),
    *choices(compiling, "jit_compile")[:1],
    *switches(compiling, "run_eagerly"),
    *switches(compiling, "auto_scale_loss"),
    *[
        (lambda v=v: make_learner().compile(v), "`optimizer` must be a Keras optimizer")
        for v in ("nonsense", 3, {})
    ],
    *switches(lambda **float16: make_learner().export("x", "litert", **float16), "float16"),
    *switches(lambda **int8: make_learner().export("x", "litert", **int8), "int8"),
    (lambda: setattr(make_learner(), "algorithm", meta_tf.MetaSGD()), "must learn the same"),
    (lambda: make_learner().save("learner.h5"), r"\.keras"),
    (lambda: make_learner().export("x", format="torch"), "`format` must be one of"),
]


@functools.cache
def refusing():
    """One learner for all batches that it refuses, which change nothing."""
    return make_learner()


def changed(call, **change):
    """Calls a learner with a batch of which some parts are others."""

    def run():
        x, y = make_batch()
        x = {**x, "query_y": y, **change}
        y = x.pop("query_y")
        learner = refusing()
        if call == "trajectory":
            return learner.trajectory(x)
        if call == "predict":
            return learner.predict(x, verbose=0)
        return getattr(learner, call)(x, y, verbose=0)

    return run


X, Y = make_batch()
SPLITS = {
    "`support_x` must be": {"support_x": np.zeros([4, 5, 2], "float32")},
    "`query_x` must be": {"query_x": np.zeros([4, 6, 3, 1], "float32")},
    "the same number of tasks": {"support_x": X["support_x"][:3]},
    "the same number of support examples": {"support_y": X["support_y"][:, :4]},
    "`support_y` must begin with a task axis": {"support_y": np.zeros([4], int)},
    "`support_y` must be class numbers": {"support_y": np.eye(2)[X["support_y"]]},
    "`support_y` must hold class numbers": {"support_y": X["support_y"] + 2},
    "`support_y` must hold class": {"support_y": X["support_y"] - 1},
    "`support_x` must be floats": {"support_x": X["support_x"].astype("uint8")},
    "`query_x` must hold at least one": {"query_x": X["query_x"][:, :0]},
    "class names": {"support_y": np.array([["a"] * 5] * 4)},
    "`support_x` must be an array": {"support_x": "pictures"},
    r"`query_x` must .* of the types float": {"query_x": X["query_x"].astype(object)},
    "'support_sizes'. Did you mean 'support_size'": {"support_sizes": np.ones(4, int)},
    "Received: 'names'. Leave it out": {"names": Y},
}
TARGETS = {
    "the same number of query examples": {"query_y": Y[:, :5]},
    "`query_y` must be class numbers": {"query_y": np.eye(2)[Y]},
    "`query_y` must hold class numbers": {"query_y": Y + 2},
    "`query_y` must hold class": {"query_y": Y - 1},
    "`query_y` must begin with a task axis": {"query_y": Y[:, 0]},
    r"`query_y` must .* of the types int": {"query_y": Y.astype(object)},
}
BATCHES = [
    *[
        (changed(call, **change), message)
        for call in ("fit", "evaluate", "predict", "trajectory")
        for message, change in SPLITS.items()
    ],
    *[
        (changed(call, **change), message)
        for call in ("fit", "evaluate")
        for message, change in TARGETS.items()
    ],
    (lambda: make_learner().fit({"support_x": X["support_x"]}, Y), "A batch must be"),
    *[
        (lambda call=call, v=v: getattr(make_learner(), call)(v), "A batch must be")
        for call in ("fit", "predict", "predict_on_batch", "trajectory")
        for v in (None, 3, "x", [], np.ones(2))
    ],
    (lambda: make_learner(optimizer=None).fit(X, Y), "`optimizer` must be given for `fit`"),
    (lambda: make_learner().fit(X, Y, sample_weight=np.ones(4), verbose=0), "`sample_weight`"),
    (lambda: make_learner().fit(X, Y, class_weight={0: 1.0}, verbose=0), "Received: `class_weight"),
    (lambda: make_learner().trajectory(X, steps=-1), "`steps` must be an integer"),
    (lambda: make_learner().trajectory(X, steps=1.5), "`steps` must be an integer"),
]
SUPPORT = [
    ([[0.0, 1, 2]], [0, 1], "same number of examples"),
    ([[0.0, 1, 2]], 0, "same number of examples"),
    (np.array([[0.0, 1, 2j]]), [0], "`support_x` must be real numbers"),
    ([[0.0, 1, 2]], [1j], "`support_y` must be real numbers"),
    (np.ma.masked_greater([[0.0, 1, 2]], 1), [0], "`support_x` must not be masked"),
    (np.array([[0.0, None, 2]]), [0], r"`support_x` must .* types NoneType.*astype\('float32"),
    ([[0.0, 1, 2]], [3], "below 2"),
    ([[0.0, 1, 2]], [-1], "class numbers"),
    ([[0.0, 1, 2]], [0.5], "class numbers"),
    ([[0.0, 1, 2]] * 3, ["a", "b", "c"], "below 2"),
    ([[0.0, 1, 2]], ["a", "b"], "same number of examples"),
    ([[0.0, 1, 2]] * 2, [["a"], ["b"]], "Drop the last axis"),
    ([[0.0, 1, 2]], [[0]], "Drop the last axis"),
    ([[0.0, 1, 2]], None, "`support_y` must hold the targets"),
    ([[0.0, 1]], [0], "`support_x` must be"),
    ([[0.0, 1, 2], [3.0]], [0, 1], "`support_x` must be numbers of one shape"),
    ([[0.0, 1, np.nan]], [0], "`support_x` must be finite"),
    ([[0.0, 1, np.inf]], [0], "`support_x` must be finite"),
    ([], [], "`support_x` must be"),
    (np.zeros([0, 3]), [], "at least one"),
    (np.zeros([1, 2, 3]), [[0, 1]], "without a task axis"),
    (None, [0], "`support_x` must be numbers"),
    ("pictures", [0], "`support_x` must be"),
    ([["a", "b", "c"]], [0], "`support_x` must be numbers"),
    (np.zeros([1, 3], "uint8"), [0], "`support_x` must be floats"),
]


NAMES = [
    (lambda v=v: make_learner().adapt(X["support_x"][0], [0] * 5, class_names=v), "`class_names`")
    for v in (3, True, "ab", [1, 2], [])
]


def evaluation(**options):
    """Evaluates a small regression, with some arguments given."""
    given = {"learner": regressor(), "split": SINUSOID.test, "tasks_number": 4, **options}
    return meta_tf.evaluate(**given)


class Ends:
    """A part that ends after one batch."""

    def batches(self, tasks, seed=0):
        return SINUSOID.test.batches(tasks, seed).take(1)


EVALUATIONS = [
    *integers(evaluation, "tasks_number", 2),
    *optional(integers(evaluation, "steps", 0)),
    *optional(integers(evaluation, "tasks_at_once", 1)),
    *seeds(evaluation),
    *choices(evaluation, "verbose")[:1],
    *choices(evaluation, "metric"),
    (lambda: evaluation(learner=classifier()), "`learner` must be a meta_tf.MetaLearner"),
    (lambda: evaluation(split=SINUSOID), "`split` must have a method"),
    (lambda: evaluation(split=X), "`split` must have a method"),
    (lambda: evaluation(split=Ends(), tasks_at_once=2), "ends after 2 tasks"),
    (lambda: evaluation(metric="accuracy"), "`metric='accuracy'` needs class numbers"),
    (lambda: evaluation(metric=keras.metrics.MeanSquaredError), "`metric` must be an object"),
    (lambda: evaluation(learner=make_learner()), r"`support_x` must be .*\(3,\)"),
]
MODELS = [
    (lambda: meta_tf.models.mlp(inputs=()), "`inputs` must have an axis"),
    (lambda: meta_tf.models.mlp(inputs=0), r"`inputs\[0\]` must be an integer"),
    (lambda: meta_tf.models.mlp(outputs=0), "`outputs` must be an integer"),
    (lambda: meta_tf.models.mlp(hidden=(0,)), r"`hidden\[0\]` must be an integer"),
    (lambda: meta_tf.models.mlp(hidden=("a",)), r"`hidden\[0\]` must be an integer"),
    (lambda: meta_tf.models.mlp(outputs=None, hidden=()), "`hidden` must have a layer"),
    (lambda: meta_tf.models.conv4(ways=0), "`ways` must be an integer"),
    (lambda: meta_tf.models.conv4(5, filters=0), "`filters` must be an integer"),
    (lambda: meta_tf.models.conv4(5, downsample="half"), "`downsample` must be one of"),
    (lambda: meta_tf.models.conv4(5, head="top"), "`head` must be one of"),
    (lambda: meta_tf.models.conv4(5, input_shape=(28, 28)), "`input_shape` must be"),
    (lambda: meta_tf.models.conv4(5, input_shape=(8, 8, 1), downsample="max_pool"), "16x16"),
    (lambda: meta_tf.layers.MetaDense(0), "`units` must be an integer"),
    (lambda: meta_tf.layers.MetaDense(2.5), "`units` must be an integer"),
    *switches(lambda **use_bias: meta_tf.layers.MetaDense(2, **use_bias), "use_bias"),
    (lambda: meta_tf.pretrained("everything"), "omniglot_5way_1shot"),
    (lambda: meta_tf.pretrained("omniglot_5way_1shot", "yes"), "`verbose` must be one of"),
    (lambda: meta_tf.models.mlp(hidden=8), "`hidden` must be a list or tuple"),
    (lambda: meta_tf.models.mlp(activation="yes"), "`activation` must be one of Keras's"),
    (lambda: meta_tf.models.mlp(kernel_initializer=3), "`kernel_initializer` must be one of Keras"),
    (lambda: meta_tf.models.conv4(5, input_shape=28), "`input_shape` must be"),
    *switches(lambda **normalization: meta_tf.models.conv4(5, **normalization), "normalization"),
    (lambda: arrays().train.embedded("mlp"), "`model` must be a Keras model"),
    (lambda: plots.images("learner", SINUSOID.test), "`learner` must be a meta_tf.MetaLearner"),
    (lambda: plots.regression(regressor(), SINUSOID), "`split` must have a method"),
    (lambda: plots.regression(regressor(), SINUSOID.test, steps=3), "`steps` must be numbers"),
    (lambda: plots.inner_steps("results"), "`evaluation` must be what `meta_tf.evaluate` returns"),
    (lambda: plots.compare([1]), "`evaluations` must be evaluations by their names"),
    (lambda: plots.compare({"a": 1}), "`evaluations` must be what `meta_tf.evaluate` returns"),
    (lambda: plots.compare({}, published=3), "`published` must be numbers by the names"),
]
ALL = [*ALGORITHMS, *SOURCES, *LEARNERS, *BATCHES, *NAMES, *EVALUATIONS, *MODELS]


@pytest.mark.parametrize(("call", "message"), ALL, ids=[message for _, message in ALL])
def test_a_wrong_argument_is_named(call, message):
    with pytest.raises((ValueError, OSError), match=message) as raised:
        call()
    assert "Graph execution error" not in str(raised.value)
    assert len(str(raised.value).strip().splitlines()) == 1, str(raised.value)


@pytest.mark.parametrize(
    "given", [[1, 2], {"one": 1}, {"one": 1, "three": 2}, {"one": 1, "two": 2, "three": 3}]
)
def test_the_inputs_of_a_model_have_their_names(given):
    one, two = (keras.Input([1], name=name) for name in ("one", "two"))
    model = keras.Model({"one": one, "two": two}, keras.layers.Add()([one, two]))
    learner = meta_tf.MetaLearner(
        keras.Model(model.input, keras.layers.Dense(2)(model.output)), meta_tf.MAML(), CE
    )
    x = keras.tree.map_structure(lambda _: np.zeros([3, 1], "float32"), given)
    with pytest.raises(ValueError, match=r"`support_x` .* inputs: a dict of 'one', 'two'. Rec"):
        learner.adapt(x, [0, 1, 1])


@pytest.mark.parametrize(("x", "y", "message"), SUPPORT, ids=[case[2] for case in SUPPORT])
def test_a_wrong_support_set_is_named(x, y, message):
    with pytest.raises(ValueError, match=message) as raised:
        make_learner().adapt(x, y)
    assert len(str(raised.value).strip().splitlines()) == 1, str(raised.value)


@pytest.mark.parametrize("text", ["", "iteration,loss\n1,low\n", "loss\n1\n"])
@pytest.mark.parametrize("more", [b"\xff", b"\x00"])
def test_a_damaged_table_of_metrics_is_named(tmp_path, text, more):
    from meta_tf.evaluation.metrics_csv import read_metrics

    path = tmp_path / "metrics.csv"
    path.write_bytes(text.encode() + b"iteration\n" + more)
    with pytest.raises(ValueError, match="must be a table of numbers") as raised:
        read_metrics(tmp_path)
    assert str(path) in str(raised.value) and "\n" not in str(raised.value)


def test_the_sizes_that_tensorflow_knows_later_are_checked_in_a_dataset_too():
    # Without arrays to look at before, the assertion in the compiled step has to tell.
    x, y = make_batch()
    data = tf.data.Dataset.from_tensors(({**x, "support_y": x["support_y"] + 2}, y))
    for call in ("fit", "evaluate"):
        with pytest.raises(ValueError, match=r"^`support_y` must hold class numbers.*below 2"):
            getattr(make_learner(), call)(data, verbose=0)
