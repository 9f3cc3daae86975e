"""MAML++: each of its options by itself, against sums and steps written by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_tf
from meta_tf.algorithms.mamlpp import loss_shares
from meta_tf.network.network import Network
from meta_tf.types import Examples

layers = keras.layers
LR, STEPS = 0.1, 3
OFF = {
    "learned_lr": None,
    "multi_step_loss": 0,
    "derivative_order_annealing": 0,
    "per_step_norm": False,
    "per_step_statistics": False,
}


@pytest.fixture(autouse=True)
def double_precision(fresh_keras):
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")


def _mamlpp(**options):
    return meta_tf.MAMLPlusPlus(LR, STEPS, **(OFF | options))


def _network(batch_norm="transductive"):
    keras.utils.set_random_seed(0)
    return Network(
        keras.Sequential(
            [
                keras.Input([3]),
                layers.Dense(4, "tanh", name="body"),
                layers.BatchNormalization(name="norm"),
                layers.Dense(1, name="head"),
            ]
        ),
        "mse",
        batch_norm,
    )


def _task():
    rng = np.random.default_rng(0)

    def examples():
        return Examples(tf.constant(rng.normal(size=[6, 3])), tf.constant(rng.normal(size=[6, 1])))

    return examples(), examples()


def _weights(network, algorithm, random=True):
    rng = np.random.default_rng(2)
    meta = {n: w + 0.2 * random * rng.normal(size=w.shape)
            for n, w in algorithm.meta_weights(network).items()}  # fmt: skip
    return network.weights._replace(meta={**meta, **algorithm.moving(network)})


def _assert_close(result, expected, **tolerance):
    tolerance = tolerance or {"rtol": 1e-10, "atol": 1e-13}
    for a, b in zip(result, expected, strict=True):
        np.testing.assert_allclose(a, b, **tolerance)


@pytest.mark.parametrize("iteration", [0, 7])
def test_without_its_options_it_is_maml(iteration):
    network, task = _network(), _task()
    ours = _mamlpp().meta_gradients(network, network.weights, *task, iteration=iteration)
    theirs = meta_tf.MAML(LR, STEPS).meta_gradients(network, network.weights, *task)
    _assert_close(ours.gradients, theirs.gradients)
    assert float(ours.loss) == pytest.approx(float(theirs.loss), rel=1e-12)


def test_learned_rates_are_those_of_maml():
    network, task = _network(), _task()
    maml = meta_tf.MAML(LR, STEPS, learned_lr="tensor_step")
    ours, weights = _mamlpp(learned_lr="tensor_step"), _weights(network, maml)
    a, b = (m.meta_gradients(network, weights, *task) for m in (ours, maml))
    _assert_close(
        [*a.gradients, *a.meta_gradients.values()], [*b.gradients, *b.meta_gradients.values()]
    )


def test_the_shares_go_from_equal_to_the_last_alone():
    annealed, k = 20, 4
    for iteration in (0, 1, 10, 19, 20, 500):
        p = min(1, iteration / annealed)
        expected = [(1 - p) / k] * (k - 1) + [1 - (k - 1) * (1 - p) / k]
        shares = loss_shares(k, tf.constant(iteration), annealed, tf.float64)
        np.testing.assert_allclose(shares, expected, rtol=1e-12, atol=1e-15)
        assert float(tf.reduce_sum(shares)) == pytest.approx(1)
    np.testing.assert_allclose(loss_shares(k, 0, annealed), [1 / k] * k)
    np.testing.assert_allclose(loss_shares(1, 0, annealed), [1])


@pytest.mark.parametrize("iteration", [0, 5, 10, 11])
def test_the_multi_step_loss_is_the_weighted_sum_of_the_steps_losses(iteration):
    network, task = _network(), _task()
    ours = _mamlpp(multi_step_loss=10)
    result = ours.meta_gradients(network, network.weights, *task, iteration=tf.constant(iteration))
    p = min(1, iteration / 10)
    shares = [(1 - p) / STEPS] * (STEPS - 1) + [1 - (STEPS - 1) * (1 - p) / STEPS]
    alone = [
        meta_tf.MAML(LR, i + 1).meta_gradients(network, network.weights, *task)
        for i in range(STEPS)
    ]
    loss = sum(v * float(r.loss) for v, r in zip(shares, alone, strict=True))
    assert float(result.loss) == pytest.approx(loss, rel=1e-12)
    summed = [
        sum(v * g for v, g in zip(shares, each, strict=True))
        for each in zip(*(r.gradients for r in alone), strict=True)
    ]
    _assert_close(result.gradients, summed)
    _assert_close([result.predictions], [alone[-1].predictions])


@pytest.mark.parametrize(("iteration", "first_order"), [(0, True), (4, True), (5, False)])
def test_second_order_begins_after_the_annealing(iteration, first_order):
    network, task = _network(), _task()
    ours = _mamlpp(derivative_order_annealing=5)
    a = ours.meta_gradients(network, network.weights, *task, iteration=tf.constant(iteration))
    maml = meta_tf.MAML(LR, STEPS, first_order=first_order)
    b = maml.meta_gradients(network, network.weights, *task)
    _assert_close(a.gradients, b.gradients)


def test_in_first_order_no_second_derivative_is_taken():
    # |p|^1.5 has none at p = 0: what second order makes of it is not a number.
    network = Network(
        keras.Sequential([keras.Input([1]), layers.Dense(1, use_bias=False, name="one")]),
        lambda y, p: tf.reduce_mean(tf.abs(p) ** 1.5, -1),
    )
    weights = network.weights._replace(model=[tf.zeros([1, 1], tf.float64)])
    task = [Examples(tf.ones([1, 1], tf.float64), tf.ones([1, 1], tf.float64))] * 2
    ours = _mamlpp(derivative_order_annealing=5)
    (first,), (second,) = (
        ours.meta_gradients(network, weights, *task, iteration=tf.constant(i)).gradients
        for i in (4, 5)
    )
    np.testing.assert_array_equal(first, 0)
    assert np.all(np.isnan(second))


@pytest.mark.parametrize("unroll", [0, 8])
def test_the_annealings_work_with_rates_and_norms_by_step(unroll):
    """The published setting: by hand Σ v_i L_Q(w_i; a_i), and its gradient from the tape."""
    network, (support, query) = _network(), _task()
    options = {"learned_lr": "tensor_step", "per_step_norm": True, "unroll": unroll}
    ours = _mamlpp(multi_step_loss=10, **options)
    weights = _weights(network, ours)
    norms = [i for i, path in enumerate(network.paths) if "norm" in path]
    others = [i for i in range(len(network.paths)) if i not in norms]

    def loss(weights):
        tables = [weights.meta[f"step_norm/{network.paths[p]}"] for p in norms]
        model, losses = list(weights.model), []
        for i in range(STEPS + 1):
            for p, table in zip(norms, tables, strict=True):
                model[p] = table[min(i, STEPS - 1)]
            here = weights._replace(model=list(model))
            if i:
                losses.append(network.mean_loss(query.y, network(here, query.x)))
            if i == STEPS:
                break
            slopes, _ = network.support_gradients(here, support, others, training=True)
            for n, (p, slope) in enumerate(zip(others, slopes, strict=True)):
                model[p] = model[p] - weights.meta["inner_lr"][i, n] * slope
        return 1 / 6 * losses[0] + 1 / 6 * losses[1] + 2 / 3 * losses[2]  # p = 1/2

    with tf.GradientTape() as tape:
        tape.watch(weights)
        expected = loss(weights)
    model, meta = tape.gradient(
        expected, (weights.model, weights.meta), unconnected_gradients=tf.UnconnectedGradients.ZERO
    )
    result = ours.meta_gradients(network, weights, support, query, iteration=tf.constant(5))
    assert float(result.loss) == pytest.approx(float(expected), rel=1e-12)
    _assert_close(result.gradients, model)
    assert result.meta_gradients.keys() == meta.keys()
    _assert_close(result.meta_gradients.values(), meta.values())


def test_every_step_has_its_own_scale_and_shift():
    network, (support, query) = _network(), _task()
    ours = _mamlpp(per_step_norm=True)
    weights = _weights(network, ours)
    tables = list(weights.meta.values())
    assert [t.shape for t in tables] == [(STEPS, 4)] * 2
    # By hand: before step i, and before the query set, that row goes into the model.
    norms = [i for i, path in enumerate(network.paths) if "norm" in path]
    others = [i for i in range(len(network.paths)) if i not in norms]
    model = list(weights.model)
    for i in range(STEPS + 1):
        for p, table in zip(norms, tables, strict=True):
            model[p] = table[min(i, STEPS - 1)]
        here = weights._replace(model=list(model))
        given = ours.adapt(network, weights, support, steps=i)
        _assert_close(given.model, here.model)
        _assert_close([ours.predict(network, given, query.x)], [network(here, query.x)])
        slopes, _ = network.support_gradients(here, support, others, training=False)
        for p, slope in zip(others, slopes, strict=True):
            model[p] = model[p] - LR * slope


@pytest.mark.parametrize(
    "batch_norm", [pytest.param("transductive", marks=pytest.mark.slow), "running"]
)
def test_before_a_task_an_exported_learner_computes_with_the_first_rows(batch_norm, tmp_path):
    network, (support, query) = _network(batch_norm), _task()
    ours = _mamlpp(per_step_norm=True, per_step_statistics=batch_norm == "running")
    learner = meta_tf.MetaLearner(network.model, ours, "mse", batch_norm=batch_norm)
    rng = np.random.default_rng(4)
    for variable in (*learner._meta.values(), *learner._moving.values()):
        variable.assign(rng.uniform(0.5, 2, variable.shape))  # as training would leave them
    learner.export(tmp_path / "saved_model")
    run = tf.saved_model.load(str(tmp_path / "saved_model")).signatures
    given = run["initial"](query_x=query.x)["predictions"]
    none = learner.adapt(support.x, support.y, steps=0)(query.x)
    _assert_close([given], [none])
    assert not np.allclose(given, learner.network(learner.network.weights, query.x))


def test_every_row_of_scale_and_shift_is_learned():
    network, task = _network(), _task()
    ours = _mamlpp(per_step_norm=True)
    result = ours.meta_gradients(network, _weights(network, ours), *task)
    for gradient in result.meta_gradients.values():
        assert np.all(np.any(np.abs(gradient) > 1e-9, axis=1))


def _running():
    """A network in the mode `running`, MAML++ with statistics by step, and a task."""
    return _network("running"), _mamlpp(per_step_statistics=True), _task()


def test_statistics_move_in_the_row_of_their_step():
    network, ours, (support, query) = _running()
    weights = _weights(network, ours)
    result = ours.meta_gradients(network, weights, support, query)
    # By hand: the mean of what the layer sees at each step, at which w_i is MAML's.
    layer = network.model.get_layer("norm")
    moved = list(result.moved.values())  # of the mean, from 0, and of the variance, from 1
    for i in range(STEPS):
        at = meta_tf.MAML(LR, STEPS).adapt(network, weights, support, steps=i, training=True)
        body = np.tanh(support.x @ at.model[0] + at.model[1])
        rows = [body.mean(0), body.var(0) - 1]
        rows = [(1 - layer.momentum) * row for row in rows]
        if i == STEPS - 1:  # the query set comes after the last step
            end = meta_tf.MAML(LR, STEPS).adapt(network, weights, support, training=True)
            body = np.tanh(query.x @ end.model[0] + end.model[1])
            seen = [body.mean(0), body.var(0) - 1]
            rows = [
                layer.momentum * row + (1 - layer.momentum) * one
                for row, one in zip(rows, seen, strict=True)
            ]
        _assert_close([table[i] for table in moved], rows, rtol=1e-9)


@pytest.mark.parametrize("batch_norm", ["transductive", "support", "running"])
def test_a_trajectory_is_adaptation_with_0_1_2_steps(batch_norm):
    network, (support, query) = _network(batch_norm), _task()
    ours = _mamlpp(per_step_norm=True, per_step_statistics=batch_norm == "running")
    weights = _weights(network, ours)
    path = ours.trajectory(
        network, weights, support, lambda w: ours.predict(network, w, query.x), steps=STEPS + 1
    )
    for k in range(STEPS + 2):
        adapted = ours.adapt(network, weights, support, steps=k)
        _assert_close([path[k]], [ours.predict(network, adapted, query.x)])


def test_statistics_of_the_step_are_used_in_evaluation():
    network, ours, (support, query) = _running()
    weights = _weights(network, ours)
    rng = np.random.default_rng(3)
    meta = {n: tf.constant(rng.uniform(0.5, 2, t.shape)) for n, t in weights.meta.items()}
    weights = weights._replace(meta=meta)
    mean, variance = meta.values()
    state, model = list(weights.state), list(weights.model)
    for i in range(STEPS + 1):
        state = [mean[min(i, STEPS - 1)], variance[min(i, STEPS - 1)]]
        here = weights._replace(model=list(model), state=state)
        given = ours.adapt(network, weights, support, steps=i)
        _assert_close(given.model, here.model)
        _assert_close([ours.predict(network, given, query.x)], [network(here, query.x)])
        slopes, _ = network.support_gradients(here, support, range(len(model)), training=False)
        model = [w - LR * g for w, g in zip(model, slopes, strict=True)]


@pytest.mark.slow
def test_statistics_are_kept_by_the_learner_and_move_by_the_tasks_mean(tmp_path):
    network, ours, (support, query) = _running()
    learner = meta_tf.MetaLearner(network.model, ours, "mse", batch_norm="running")
    learner.compile(keras.optimizers.SGD(0.0), jit_compile=False)
    weights = learner.weights_now
    tasks = [(support, query), (query, support)]
    alone = [ours.meta_gradients(learner.network, weights, *task).moved for task in tasks]
    x = {
        "support_x": tf.stack([s.x for s, _ in tasks]),
        "support_y": tf.stack([s.y for s, _ in tasks]),
        "query_x": tf.stack([q.x for _, q in tasks]),
    }
    learner.train_on_batch(x, tf.stack([q.y for _, q in tasks]))
    for name, now in learner.weights_now.meta.items():
        expected = weights.meta[name] + (alone[0][name] + alone[1][name]) / 2
        np.testing.assert_allclose(now, expected, rtol=1e-9)
        assert not np.allclose(now[0], now[-1])
    learner.save(tmp_path / "learner.keras")
    loaded = keras.models.load_model(tmp_path / "learner.keras")
    np.testing.assert_array_equal(
        loaded.adapt(support.x, support.y)(query.x), learner.adapt(support.x, support.y)(query.x)
    )


@pytest.mark.slow
def test_the_number_of_outer_steps_is_the_optimisers():
    """Four batches: the losses of three steps count at first, then the last alone."""
    network, (support, query) = _network(), _task()
    learner = meta_tf.MetaLearner(network.model, _mamlpp(multi_step_loss=2), "mse")
    learner.compile(keras.optimizers.SGD(0.0), jit_compile=False)  # so that all stays as it is
    x = {"support_x": support.x[None], "support_y": support.y[None], "query_x": query.x[None]}
    losses = [learner.train_on_batch(x, query.y[None]) for _ in range(4)]
    each = [
        float(meta_tf.MAML(LR, i + 1).task_loss(network, network.weights, support, query)[0])
        for i in range(STEPS)
    ]
    expected = [np.mean(each), np.mean([np.mean(each), each[-1]]), each[-1], each[-1]]
    np.testing.assert_allclose(losses, expected, rtol=1e-6)


@pytest.mark.parametrize("batch_norm", ["transductive", "support"])
def test_statistics_by_step_need_the_mode_running(batch_norm):
    with pytest.raises(ValueError, match=r'batch_norm="running".*Received: batch_norm='):
        meta_tf.MetaLearner(
            _network().model, _mamlpp(per_step_statistics=True), "mse", batch_norm=batch_norm
        )


def test_scale_and_shift_by_step_leave_other_weights_to_adapt():
    model = _network().model
    with pytest.raises(ValueError, match=r"`adapted`.*norm/gamma, norm/beta.*per_step_norm=False"):
        meta_tf.MetaLearner(model, _mamlpp(per_step_norm=True, adapted="norm"), "mse")
    meta_tf.MetaLearner(model, _mamlpp(per_step_norm=False, adapted="norm"), "mse")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"inner_steps": 0}, "`inner_steps`"),
        ({"multi_step_loss": -1}, "`multi_step_loss`"),
        ({"derivative_order_annealing": 1.5}, "`derivative_order_annealing`"),
        ({"learned_lr": "layer"}, "`learned_lr`"),
    ],
)
def test_settings_out_of_range_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        meta_tf.MAMLPlusPlus(**settings)
