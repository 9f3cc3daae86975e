import dataclasses
import importlib
import itertools
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from matplotlib.colors import to_hex
from matplotlib.text import Text

import meta_tf
from meta_tf import plots
from tests.marks import exhaustive


def learner():
    model = meta_tf.models.mlp(kernel_initializer="glorot_uniform")
    return meta_tf.MetaLearner(model, meta_tf.MAML(inner_lr=0.01), "mse")


def lines(axes):
    return {line.get_label(): line.get_xydata() for line in axes.get_lines()}


def band(axes):
    """Lower and upper edge of the band, by x."""
    (collection,) = axes.collections
    edges = {}
    for x, y in collection.get_paths()[0].vertices:
        low, high = edges.get(x, (y, y))
        edges[x] = (min(low, y), max(high, y))
    return np.array([[x, *edges[x]] for x in sorted(edges)])


def is_drawn(figure, path):
    figure.savefig(path)
    return path.stat().st_size > 5000


@pytest.mark.parametrize("grid", [True, False])
def test_regression_shows_what_the_learner_predicts(grid, tmp_path):
    net, part = learner(), meta_tf.tasks.Sinusoid(shots=4, queries=9, grid=grid).test
    figure = plots.regression(net, part, steps=(0, 2), seed=5)
    x, query_y = next(iter(part.batches(3, seed=5)))
    assert len(figure.axes) == 3
    for t, axes in enumerate(figure.axes):
        order = np.argsort(x["query_x"][t, :, 0])
        points = x["query_x"].numpy()[t, order]
        drawn = lines(axes)
        np.testing.assert_array_equal(
            drawn["true curve"], np.hstack([points, query_y.numpy()[t, order]])
        )
        for label, k in (("before adaptation", 0), ("after 2 steps", 2)):
            fitted = net.adapt(x["support_x"][t], x["support_y"][t], steps=k)
            expected = np.hstack([points, fitted(points)])
            np.testing.assert_allclose(drawn[label], expected, rtol=1e-4, atol=1e-6)
        support = np.hstack([x["support_x"][t], x["support_y"][t]])
        np.testing.assert_array_equal(drawn["support points"], support)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list(drawn)
    assert "4 support points" in figure.get_suptitle()
    assert is_drawn(figure, tmp_path / "fit.png")


def test_regression_shows_intervals_of_a_gaussian_learner():
    model = meta_tf.models.mlp(1, None, (4,))
    net = meta_tf.MetaLearner(model, meta_tf.ALPaCA(), meta_tf.GaussianLoss())
    part = meta_tf.tasks.Sinusoid(shots=4, queries=9, grid=True).test
    figure = plots.regression(net, part)
    x, _ = next(iter(part.batches(3)))
    fitted = net.adapt(x["support_x"][2], x["support_y"][2])
    lower, upper = fitted.predict_interval(x["query_x"][2], level=0.9)
    expected = np.hstack([x["query_x"][2], lower, upper])
    np.testing.assert_allclose(band(figure.axes[2]), expected, rtol=1e-3)
    assert "prediction" in lines(figure.axes[2])


class Padded:
    """Tasks of which the first examples are real, and the rest NaN."""

    def __init__(self, part, support, query):
        self.part, self.sizes = part, {"support_size": support, "query_size": query}

    def batches(self, tasks, seed=0):
        x, query_y = next(iter(self.part.batches(tasks, seed=seed)))
        x = {**x, "query_y": query_y}
        for name, tensor in x.items():
            size = tf.constant(self.sizes[f"{name.split('_')[0]}_size"])
            real = tf.sequence_mask(size, tensor.shape[1])[..., tf.newaxis]
            x[name] = tf.where(real, tensor, np.nan)
        x |= {name: tf.constant(size) for name, size in self.sizes.items()}
        yield x, x.pop("query_y")


def test_regression_draws_no_padding(tmp_path):
    net, part = learner(), meta_tf.tasks.Sinusoid(shots=6, queries=9).test
    support, query = [6, 2, 4], [3, 9, 5]
    figure = plots.regression(net, Padded(part, support, query), steps=(0, 2))
    x, query_y = next(iter(part.batches(3)))
    for t, (s, q) in enumerate(zip(support, query, strict=True)):
        drawn = lines(figure.axes[t])
        points, targets = x["query_x"].numpy()[t, :q], query_y.numpy()[t, :q]
        order = np.argsort(points[:, 0])
        np.testing.assert_array_equal(drawn["true curve"], np.hstack([points, targets])[order])
        support_x, support_y = x["support_x"][t, :s], x["support_y"][t, :s]
        fitted = net.adapt(support_x, support_y, steps=2)
        expected = np.hstack([points, fitted(points)])[order]
        np.testing.assert_allclose(drawn["after 2 steps"], expected, rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(drawn["support points"], np.hstack([support_x, support_y]))
    assert "2–6 support points each" in figure.get_suptitle()
    assert is_drawn(figure, tmp_path / "fit.png")


@pytest.mark.parametrize("shape", [(6, 6), exhaustive((6, 6, 1)), exhaustive((6, 6, 3))])
def test_images_are_marked_right_or_wrong(shape, tmp_path):
    pixels = np.random.default_rng(0).normal(size=[120, *shape])
    tasks = meta_tf.tasks.from_arrays(pixels, np.arange(120) % 20, ways=3, shots=2, queries=4)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model = meta_tf.models.mlp(shape, 3, kernel_initializer="glorot_uniform")
    net = meta_tf.MetaLearner(model, meta_tf.MAML(inner_lr=0.01), loss)
    figure = plots.images(net, tasks.test, seed=1, most=3)

    x, query_y = next(iter(tasks.test.batches(1, seed=1)))
    fitted = net.adapt(x["support_x"][0], x["support_y"][0])
    predicted, labels = np.argmax(fitted(x["query_x"][0]), -1), query_y[0].numpy()
    titles, names = [], tasks.test.class_names(0, seed=1)
    for label in range(3):
        titles += 2 * ["" if label else "support"]
        guesses = list(predicted[labels == label])
        wrong = [guess for guess in guesses if guess != label]
        for guess in (wrong + [label] * guesses.count(label))[:3]:
            titles.append(f"{'✓' if guess == label else '✗'} {names[guess]}")
    assert [axes.get_title() for axes in figure.axes] == titles
    assert {"✓", "✗"} < {title[:1] for title in titles}  # some are right and some are wrong
    right = np.sum(predicted == labels)
    assert f"{right} of 12 query images right ({right / 12:.1%}".rstrip("%") in (
        figure.get_suptitle()
    )
    assert is_drawn(figure, tmp_path / "task.png")


def test_names_are_no_formulas(tmp_path):
    pictures, sure = np.zeros([2, 4, 4, 3], np.uint8), np.array([[0.9, 0.1], [0.2, 0.8]])
    figure = plots.named_pictures(pictures, ["$a_{$", "$5-$10"], np.array([0, 1]), sure, [1, 1])
    assert is_drawn(figure, tmp_path / "names.png")


@pytest.mark.parametrize(
    ("levels", "shown"),
    [
        ([255.0], {1.0}),
        ([51.0], {0.2}),
        ([-2.0], {0.0}),
        ([0.25, 0.75], {0.25, 0.75}),
        ([0.5, 2.5], {0.0, 1.0}),  # standardized
        ([-1.5, 2.5], {0.0, 1.0}),
    ],
)
def test_all_pictures_of_a_figure_are_drawn_on_one_scale(levels, shown):
    pixels = np.empty([120, 4, 4, 1])
    pixels.reshape(-1, len(levels), 16)[:] = np.array(levels)[:, np.newaxis]
    tasks = meta_tf.tasks.from_arrays(pixels, np.arange(120) // 2 % 20, ways=2, queries=1)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    net = meta_tf.MetaLearner(meta_tf.models.mlp((4, 4, 1), 2), loss=loss)
    figure = plots.images(net, tasks.test)
    found = np.concatenate([axes.images[0].get_array() for axes in figure.axes])
    np.testing.assert_allclose(np.unique(found), sorted(shown), rtol=1e-6)


def test_images_of_a_padded_task_are_those_that_are_real():
    pixels = np.random.default_rng(0).uniform(size=[120, 8, 8, 1])
    tasks = meta_tf.tasks.from_arrays(
        pixels, np.arange(120) % 20, ways=(2, 3), shots=(1, 2), queries=(1, 3)
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    net = meta_tf.MetaLearner(meta_tf.models.mlp((8, 8, 1), 3), loss=loss)
    for seed in range(3):
        x, _ = next(iter(tasks.test.batches(1, seed=seed)))
        figure = plots.images(net, tasks.test, seed=seed)
        assert len(figure.axes) == int(x["support_size"][0] + x["query_size"][0])


def test_images_are_of_all_classes():
    pixels = np.random.default_rng(0).uniform(size=[400, 3, 3, 1])
    tasks = meta_tf.tasks.from_arrays(pixels, np.arange(400) % 100, ways=12, queries=3)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    net = meta_tf.MetaLearner(meta_tf.models.mlp((3, 3, 1), 12), loss=loss)
    figure = plots.images(net, tasks.test, most=1)
    labels = [axes.get_ylabel() for axes in figure.axes[::2]]
    assert labels == tasks.test.class_names() and len(set(labels)) == 12


class Nameless:
    """A split of one's own, which only gives batches."""

    def __init__(self, part):
        self.batches = part.batches


def test_rows_are_numbered_where_names_have_no_room_above_an_image():
    pixels = np.random.default_rng(0).uniform(size=[240, 3, 3, 1])
    names = np.array([f"test/a class of a long name, number {i:02d}" for i in range(60)])
    tasks = meta_tf.tasks.from_arrays(pixels, np.repeat(names, 4), ways=3, queries=3)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    net = meta_tf.MetaLearner(meta_tf.models.mlp((3, 3, 1), 3), loss=loss)
    figure = plots.images(net, tasks.test)
    drawn = tasks.test.class_names()
    for row, name in zip(figure.axes[::4], drawn, strict=True):
        assert row.get_ylabel().replace("\n", " ") == f"{drawn.index(name)}: {name[5:]}"
    x, _ = next(iter(tasks.test.batches(1)))
    fitted = net.adapt(x["support_x"][0], x["support_y"][0])
    predicted = np.argmax(fitted(x["query_x"][0]), -1)
    above = [axes.get_title()[2:] for i, axes in enumerate(figure.axes) if i % 4]
    assert sorted(above) == sorted(map(str, predicted))
    deep = [f"of/folder {i:02d}/number {i:02d}" for i in range(60)]
    tasks = meta_tf.tasks.from_arrays(pixels, np.repeat(deep, 4), ways=3, queries=3)
    told = plots.images(net, tasks.test).axes[0].get_ylabel().replace("\n", " ")
    assert told.replace("/ ", "/") == f"0: {tasks.test.class_names()[0][3:]}"
    nameless = plots.images(net, Nameless(tasks.test))
    assert [axes.get_ylabel() for axes in nameless.axes[::4]] == ["class 0", "class 1", "class 2"]


def test_the_learning_curve_shows_the_file(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text(
        "iteration,loss,accuracy,val_loss,val_accuracy,val_accuracy_ci95\n"
        "500,1.5,0.4,1.6,0.3,0.02\n"
        "1000,1.2,0.6,1.3,0.5,0.01\n"
    )
    figure = plots.learning_curve(path)
    (axes,) = figure.axes
    drawn = lines(axes)
    np.testing.assert_allclose(drawn["training tasks"], [[500, 40], [1000, 60]])
    np.testing.assert_allclose(drawn["validation tasks"], [[500, 30], [1000, 50]])
    np.testing.assert_allclose(band(axes), [[500, 28, 32], [1000, 49, 51]])
    assert axes.get_xlabel() == "outer steps"
    assert axes.get_ylabel().startswith("accuracy in %")
    assert is_drawn(figure, tmp_path / "curve.png")
    (losses,) = plots.learning_curve(path, "loss").axes
    np.testing.assert_allclose(lines(losses)["validation tasks"], [[500, 1.6], [1000, 1.3]])
    with pytest.raises(ValueError, match=r"`metric` must be a column .* Received: 'mse'"):
        plots.learning_curve(path, "mse")


def test_the_learning_curve_of_one_epoch_has_its_interval(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("iteration,loss,val_loss,val_mse_ci95\n100,4,3,0.5\n")
    (axes,) = plots.learning_curve(path).axes
    (bar,) = axes.containers
    np.testing.assert_allclose(bar.lines[2][0].get_segments(), [[[100, 2.5], [100, 3.5]]])
    low, high = axes.get_xlim()
    assert low == 0 and high > 100  # from the start of training


def test_the_learning_curve_of_a_regression(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("iteration,loss,mse_ci95,val_loss,val_mse_ci95\n100,4,1,3,0.5\n200,2,1,,\n")
    (axes,) = plots.learning_curve(path).axes
    np.testing.assert_allclose(lines(axes)["training tasks"], [[100, 4], [200, 2]])
    np.testing.assert_allclose(band(axes)[0], [100, 2.5, 3.5])
    path.write_text("iteration,loss\n")
    with pytest.raises(ValueError, match="at least one row"):
        plots.learning_curve(path)


def test_a_loss_other_than_mse_has_no_interval_of_mse(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("iteration,loss,mse,val_loss,val_mse,val_mse_ci95\n100,4,2,3,1,0.5\n")
    (axes,) = plots.learning_curve(path).axes
    assert not axes.containers  # the interval's bar
    (axes,) = plots.learning_curve(path, "mse").axes
    np.testing.assert_allclose(
        axes.containers[0].lines[2][0].get_segments(), [[[100, 0.5], [100, 1.5]]]
    )


def evaluated(steps, mean, ci95, metric="accuracy"):
    return meta_tf.Evaluation(
        metric=metric,
        steps=steps,
        mean=mean,
        ci95=ci95,
        tasks=600,
        seed=0,
        ways=5,
        shots=1,
        queries=15,
        batch_norm="transductive",
        algorithm="MAML(inner_lr=0.4)",
        settings={},
        per_task=np.zeros([600, len(steps)]),
    )


def test_a_learner_without_inner_steps_has_whole_numbers_of_them():
    figure = plots.inner_steps(evaluated((0,), (0.2,), (0.1,)))
    low, high = figure.axes[0].get_xlim()
    assert [tick for tick in figure.axes[0].get_xticks() if low <= tick <= high] == [0]


def test_inner_steps_shows_the_evaluation(tmp_path):
    # Shares of 0.2 ± 0.001 and 0.98765 ± 0.0123, drawn in %.
    evaluation = evaluated((0, 10), (0.2, 0.98765), (0.001, 0.0123))
    figure = plots.inner_steps(evaluation)
    (axes,) = figure.axes
    np.testing.assert_allclose(lines(axes)["mean over tasks"], [[0, 20], [10, 98.765]])
    np.testing.assert_allclose(band(axes), [[0, 19.9, 20.1], [10, 97.535, 99.995]])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("inner steps", "accuracy in % on query sets")
    assert "600 new tasks, 5-way 1-shot" in axes.get_title(loc="left")
    assert is_drawn(figure, tmp_path / "steps.png")


def test_a_long_title_stays_within_the_figure():
    long = dataclasses.replace(LONG, algorithm=f"MAML({', '.join(['inner_lr=0.4'] * 20)})")
    figure = plots.inner_steps(long)
    (axes,) = figure.axes
    figure.draw_without_rendering()
    (title,) = [t for t in axes.findobj(Text) if t.get_text() == axes.get_title(loc="left")]
    assert title.get_window_extent().x1 <= figure.bbox.x1
    assert axes.get_title(loc="left").replace("\n", " ").endswith(long.algorithm)


LONG = evaluated((0, 1, 2), (0.2, 0.8, 0.9), (0.02, 0.01, 0.005))
SHORT = evaluated((0, 1), (0.25, 0.75), (0.03, 0.04))
SINGLE = evaluated((0,), (0.95,), (0.01,))


def bars(axes):
    """The middle and the two ends of each row's interval, from top to bottom."""
    found = []
    for row, bar in enumerate(axes.containers):
        ((low, _), (high, _)) = bar.lines[2][0].get_segments()[0]
        (middle,), (height,) = bar.lines[0].get_data()
        assert height == row
        found.append((low, middle, high))
    return found


def test_compare_shows_the_evaluations_side_by_side(tmp_path):
    evaluations = {"long": LONG, "short": SHORT, "single": SINGLE}
    figure = plots.compare(evaluations, published={"short": 0.77, "long": 0.92})
    means, curves = figure.axes
    assert [label.get_text() for label in means.get_yticklabels()] == list(evaluations)
    assert means.get_ylim() == (2.5, -0.5)  # the first on top
    # In %, mean ± interval of the last step.
    expected = [(90 - 0.5, 90, 90 + 0.5), (75 - 4, 75, 75 + 4), (95 - 1, 95, 95 + 1)]
    np.testing.assert_allclose(bars(means), expected)
    np.testing.assert_allclose(lines(means)["published"], [[92, 0], [77, 1]])
    # 100 % minus the accuracy.
    drawn = lines(curves)
    assert set(drawn) == {"long", "short"}
    np.testing.assert_allclose(drawn["long"], [[0, 80], [1, 20], [2, 10]])
    np.testing.assert_allclose(drawn["short"], [[0, 75], [1, 25]])
    # Each name at the right, led to from its line's end.
    named = {text.get_text(): text for text in curves.texts}
    assert set(named) == {"long", "short"}
    figure.draw_without_rendering()
    for name, text in named.items():
        end = curves.transAxes.inverted().transform(curves.transData.transform(drawn[name][-1]))
        np.testing.assert_allclose(text.xy, end, atol=1e-6)
        box = Text.get_window_extent(text)  # without the line that leads to it
        assert curves.get_window_extent().x1 < box.x0 and box.x1 <= figure.bbox.x1
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["published"]
    assert figure.get_suptitle() == "600 new tasks, 5-way 1-shot"
    assert is_drawn(figure, tmp_path / "compare.png")


def test_names_of_lines_that_end_together_do_not_overlap():
    runs = {f"run {i}": evaluated((0, 1), (0.2, 0.9), (0.02, 0.01)) for i in range(8)}
    figure = plots.compare(runs)
    figure.draw_without_rendering()
    boxes = [Text.get_window_extent(text) for text in figure.axes[1].texts]
    assert len(boxes) == 8
    for above, below in itertools.combinations(sorted(boxes, key=lambda box: -box.y0), 2):
        assert above.y0 >= below.y1 - 1  # to a pixel


def test_compare_at_a_step_in_the_metrics_own_unit():
    mse = evaluated((0, 1, 2), (3.0, 0.5, 0.25), (0.2, 0.1, 0.05), metric="mse")
    figure = plots.compare({"mine": mse}, {"mine": 0.4}, step=1, title="sinusoid")
    means, curves = figure.axes
    np.testing.assert_allclose(bars(means), [(0.4, 0.5, 0.6)])
    np.testing.assert_allclose(lines(means)["published"], [[0.4, 0]])
    np.testing.assert_allclose(lines(curves)["mine"], [[0, 3], [1, 0.5], [2, 0.25]])
    np.testing.assert_allclose(band(curves), [[0, 2.8, 3.2], [1, 0.4, 0.6], [2, 0.2, 0.3]])
    assert figure.get_suptitle() == "sinusoid"


def test_compare_leaves_out_what_diverges():
    steady = evaluated((0, 1, 2), (3.0, 0.5, 0.4), (0.2, 0.1, 0.1), metric="mse")
    wild = evaluated((0, 1, 2), (3.0, 0.3, 4e9), (0.2, 0.1, 2e9), metric="mse")
    _, curves = plots.compare({"steady": steady, "wild": wild}).axes
    low, high = curves.get_ylim()
    assert low < 0.3 and 3.0 < high <= 6.0
    heights = {text.get_text(): text.xy[1] for text in curves.texts}
    assert heights["wild"] == 1  # named where it leaves


def test_compare_without_any_curve_gives_each_a_colour_of_its_own():
    many = {f"run {i}": SINGLE for i in range(35)}
    (means,) = plots.compare(many).axes
    colours = {to_hex(bar.lines[0].get_color()) for bar in means.containers}
    assert len(colours) == len(many)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"evaluations": {}}, "`evaluations` must hold at least one"),
        (
            {"evaluations": {"a": LONG, "b": evaluated((0,), (1.0,), (0.1,), "mse")}},
            "`evaluations` must all have the same metric. Received: accuracy, mse",
        ),
        (
            {"evaluations": {"a": LONG}, "published": {"b": 1.0}},
            "`published` .* 'b'; `evaluations` has a",
        ),
        ({"evaluations": {"a": SHORT}, "step": 2}, "`step` must .* 2; 'a' has 0 to 1"),
    ],
)
def test_what_cannot_be_compared(arguments, message):
    with pytest.raises(ValueError, match=message):
        plots.compare(**arguments)


def test_tasks_that_cannot_be_drawn():
    teachers = meta_tf.tasks.HiddenTeacher().test
    with pytest.raises(ValueError, match=r"`query_x` \[T, Q, 1\].* shape \(3, 10, 10\)"):
        plots.regression(learner(), teachers)
    with pytest.raises(ValueError, match="`split` must have images"):
        plots.images(learner(), teachers)
    with pytest.raises(ValueError, match="`steps` must be an integer of at least 0"):
        plots.regression(learner(), meta_tf.tasks.Sinusoid().test, steps=(-1, 2))


def test_without_matplotlib_the_cure_is_told(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "matplotlib.figure", None)
        with pytest.raises(ImportError, match=r"pip install matplotlib"):
            importlib.reload(plots)
    importlib.reload(plots)
