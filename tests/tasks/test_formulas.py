"""The sources given by a formula, recovered from what they give."""

import statistics

import numpy as np
import pytest
import tensorflow as tf

from meta_tf.tasks import HiddenTeacher, Sinusoid
from meta_tf.tasks.formula import standard_normal


def first_batch(part, tasks):
    x, query_y = next(iter(part.batches(tasks)))
    return {name: t.numpy() for name, t in x.items()}, query_y.numpy()


def fit_sinusoid(x, y):
    # A sin(x - φ) = (A cos φ) sin x - (A sin φ) cos x: linear in two unknowns.
    (p, q), *_ = np.linalg.lstsq(np.column_stack([np.sin(x), -np.cos(x)]), y, rcond=None)
    return np.hypot(p, q), np.arctan2(q, p)


def test_sinusoid_obeys_its_formula_and_ranges():
    x, query_y = first_batch(Sinusoid(shots=10, queries=15).train, 1000)
    found = []
    for task in range(1000):
        a, phi = fit_sinusoid(x["support_x"][task, :, 0], x["support_y"][task, :, 0])
        np.testing.assert_allclose(query_y[task], a * np.sin(x["query_x"][task] - phi), atol=2e-5)
        found.append((a, phi))
    a, phi = np.array(found).T
    points = np.concatenate([x["support_x"].ravel(), x["query_x"].ravel()])
    for values, low, high in [(a, 0.1, 5.0), (phi, 0.0, np.pi), (points, -5.0, 5.0)]:
        assert values.min() > low - 1e-3 and values.max() < high + 1e-3
        # Uniform: the quartiles stand at quarters, to within 4 standard errors of n = 1000.
        quartiles = low + (high - low) * np.array([0.25, 0.5, 0.75])
        np.testing.assert_allclose(
            np.quantile(values, [0.25, 0.5, 0.75]), quartiles, atol=(high - low) * 0.065
        )


def test_sinusoid_takes_other_ranges():
    source = Sinusoid(shots=4, amplitude=(2.0, 2.0), phase=(1.0, 1.0), x_range=(0.0, 1.0))
    x, query_y = first_batch(source.test, 50)
    np.testing.assert_allclose(query_y, 2 * np.sin(x["query_x"] - 1), atol=1e-6)
    assert x["support_x"].min() >= 0 and x["support_x"].max() < 1


def test_grid_shows_the_true_curve_of_the_same_tasks():
    x, query_y = first_batch(Sinusoid(shots=10, queries=101, grid=True).test, 3)
    for task in range(3):
        np.testing.assert_allclose(x["query_x"][task, :, 0], np.linspace(-5, 5, 101), atol=1e-5)
        a, phi = fit_sinusoid(x["support_x"][task, :, 0], x["support_y"][task, :, 0])
        np.testing.assert_allclose(query_y[task], a * np.sin(x["query_x"][task] - phi), atol=2e-5)
    random, _ = first_batch(Sinusoid(shots=10, queries=101).test, 3)
    np.testing.assert_array_equal(x["support_y"], random["support_y"])


def test_teacher_is_a_hidden_rectified_layer():
    x, query_y = first_batch(HiddenTeacher(inputs=3, outputs=2, shots=60, queries=20).train, 100)
    found = []
    for task in range(100):
        inputs = np.column_stack([x["support_x"][task], np.ones(60)])
        queries = np.column_stack([x["query_x"][task], np.ones(20)])
        for output in range(2):
            y = x["support_y"][task, :, output]
            assert (y >= 0).all()
            active = y > 0
            if active.sum() < 10:  # too few points to find the four unknowns well
                continue
            # Where it is positive the teacher is x W + b.
            weights, *_ = np.linalg.lstsq(inputs[active], y[active], rcond=None)
            np.testing.assert_allclose(
                query_y[task, :, output], np.maximum(queries @ weights, 0), atol=1e-4
            )
            found.append(weights)
    # W is N(0, 1); b is too, but the teachers that are hardly active were left out.
    kernel = np.array(found)[:, :3].ravel()
    assert abs(kernel.mean()) < 4 / np.sqrt(len(kernel))
    assert abs(kernel.var() - 1) < 4 * np.sqrt(2 / len(kernel))


def test_teacher_inputs_are_standard_normal():
    x, _ = first_batch(HiddenTeacher().train, 500)
    values = np.sort(x["support_x"].ravel())
    expected = [statistics.NormalDist().inv_cdf(q) for q in (0.02, 0.25, 0.5, 0.75, 0.98)]
    found = np.quantile(values, [0.02, 0.25, 0.5, 0.75, 0.98])
    np.testing.assert_allclose(found, expected, atol=0.05)


def test_normal_numbers_are_right_and_always_finite():
    # The extreme uniforms, 0 and 1 - 2^-23, and some between; each stands for its cell's middle.
    u = np.array([0, 2**-23, 1e-4, 0.1, 0.25, 0.5, 0.9, 1 - 2**-12, 1 - 2**-23], np.float32)
    z = standard_normal(tf.constant(u)).numpy()
    expected = [statistics.NormalDist().inv_cdf(float(v) + 2**-24) for v in u]
    assert np.isfinite(z).all()
    np.testing.assert_allclose(z, expected, rtol=2e-4, atol=1e-6)
    assert z[0] == pytest.approx(-z[-1], rel=1e-3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Sinusoid(shots=0), "`shots` must be an integer of at least 1.*Received: 0"),
        (lambda: Sinusoid(shots=1.5), "`shots` must be an integer.*1.5"),
        (lambda: Sinusoid(queries=-1), "`queries`.*-1"),
        (lambda: Sinusoid(phase=(2, 1)), r"`phase` must be a pair \(low, high\)"),
        (lambda: HiddenTeacher(inputs=0), "`inputs`"),
    ],
)
def test_invalid_arguments_are_rejected(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_source_tells_what_a_program_needs():
    sinusoid, teacher = Sinusoid(shots=3), HiddenTeacher(shots=4, queries=6)
    assert (sinusoid.kind, sinusoid.ways, sinusoid.shots, sinusoid.queries) == (
        "regression",
        None,
        3,
        3,
    )
    assert (teacher.input_shape, teacher.target_shape, teacher.queries) == ((10,), (5,), 6)
    assert repr(sinusoid).startswith("Sinusoid(shots=3, queries=3")
