"""The simulators and exact answers of the benchmarks, beside closed forms."""

import numpy as np
import pytest

from benchmarks.compartments import (
    TYPICAL,
    Infusion,
    Patient,
    Population,
    log_concentration,
    most_probable,
)
from benchmarks.gaussian_process import NOISE, SUPPORT, exact
from benchmarks.linear_systems import windows
from benchmarks.new_machine import least_squares
from benchmarks.simulated_patients import (
    BROAD,
    QUERIES,
    SHOTS,
    RealPatients,
    SimulatedPatients,
    invented,
)

TIMES = np.array([1.0, 5.0, 10.0, 11.0, 30.0])
COVARIATES = np.array([40.0, 170.0, 70.0, 1.8, 55.0, 1.0])  # of the typical patient


def population(noise):
    slopes = np.concatenate([TYPICAL[None], np.zeros([2, 6])])
    return Population(slopes, 0.1 * np.eye(6), noise)


def test_without_exchange_there_is_one_compartment():
    # c = rate / CL (1 - exp(-CL t / V1)) during the infusion, which ends at T; then it decays.
    theta = np.log([4.0, 2.0, 1e-9, 10.0, 1e-9, 5.0])
    found = log_concentration(theta, TIMES, Infusion(100.0, 10.0))
    k = 2.0 / 4.0
    expected = 100 / 2 * -np.expm1(-k * np.minimum(TIMES, 10))
    expected *= np.exp(-k * np.maximum(TIMES - 10, 0))
    np.testing.assert_allclose(found, np.log(expected), rtol=1e-6)


def test_three_compartments_obey_their_differential_equation():
    # V dc/dt = rate e₁ - M c, integrated in small steps by the midpoint rule.
    volumes = np.exp(TYPICAL[[0, 3, 5]])
    clearance, q2, q3 = np.exp(TYPICAL[[1, 2, 4]])
    matrix = np.diag([clearance, 0, 0]) + np.array(
        [[q2 + q3, -q2, -q3], [-q2, q2, 0], [-q3, 0, q3]]
    )
    concentration, found, step = np.zeros(3), [], 0.01
    for i in range(int(TIMES[-1] / step)):
        into = np.array([100.0 * (i * step < 10.0 - step / 2), 0, 0])
        middle = concentration + step / 2 * (into - matrix @ concentration) / volumes
        concentration = concentration + step * (into - matrix @ middle) / volumes
        if np.isclose((i + 1) * step, TIMES).any():
            found.append(np.log(concentration[0]))
    expected = log_concentration(TYPICAL, TIMES, Infusion(100.0, 10.0))
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_many_exact_samples_give_the_parameters_of_a_patient():
    theta = TYPICAL + np.array([0.3, -0.2, 0.1, 0.2, -0.3, 0.1])
    t = np.geomspace(0.5, 300, 60)
    infusion = Infusion(100.0, 10.0)
    patient = Patient(COVARIATES, infusion, t, log_concentration(theta, t, infusion))
    found, covariance = most_probable(patient, population(noise=1e-4))
    np.testing.assert_allclose(found, theta, atol=1e-3)
    assert (np.diag(covariance) < 1e-3).all()


def known_patients():
    infusion = Infusion(100.0, 10.0)
    return [Patient(COVARIATES, infusion, TIMES, log_concentration(TYPICAL, TIMES, infusion))]


@pytest.mark.parametrize(
    "draw",
    [
        SimulatedPatients(population(0.1), known_patients(), number=3),
        SimulatedPatients(BROAD, invented(2), number=3),
        RealPatients(BROAD, known_patients()),
    ],
    ids=["a population", "broad", "real"],
)
def test_patients_have_what_a_learner_takes(draw):
    support_x, support_y, query_x, query_y = draw(np.array([1, 2]))
    assert support_x.shape == (SHOTS, SimulatedPatients.INPUTS)
    assert query_x.shape == (QUERIES, SimulatedPatients.INPUTS)
    assert (support_y.shape, query_y.shape) == ((SHOTS, 1), (QUERIES, 1))
    assert all(np.isfinite(values).all() for values in (support_x, support_y, query_x, query_y))


def test_the_broad_population_is_that_of_the_publications():
    # 2.9 l/min, 22 l, 35 min (Egan et al. 1996) and 0.9 min (Glass et al. 1993) are the clearance,
    # the volumes, and the logarithm of 2 over the last and the first rate of decay.
    v1, clearance, q2, v2, q3, v3 = np.exp(BROAD.typical(COVARIATES))
    assert (clearance, v1 + v2 + v3) == pytest.approx((2.9, 22.0))
    rates = [[-(clearance + q2 + q3) / v1, q2 / v2, q3 / v3], [q2 / v1, -q2 / v2, 0]]
    rates = np.linalg.eigvals(np.array([*rates, [q3 / v1, 0, -q3 / v3]]))
    halves = np.log(2) / np.abs(rates)
    assert (halves.max(), halves.min()) == pytest.approx((35, 0.9), rel=0.2)


def test_invented_patients_are_adults():
    # Body surface 1.3 to 2.8 m², lean mass 30 to 100 kg; samples from the infusion to hours later.
    for patient in invented(50):
        age, height, weight, surface, lean, _ = patient.covariates
        assert 18 <= age <= 90 and 140 < height < 205 and 30 < lean < weight < 160
        assert 1.2 < surface < 2.8
        assert 0 < patient.t.min() < patient.infusion.minutes < patient.t.max() < 180


def test_windows_have_the_past_newest_first():
    u, y = np.arange(5.0), 10 + np.arange(5.0)
    x, target = windows(u, y, lags=2)
    np.testing.assert_array_equal(x, [[11, 10, 1, 0], [12, 11, 2, 1], [13, 12, 3, 2]])
    np.testing.assert_array_equal(target, [[12], [13], [14]])


def test_least_squares_identify_a_system_without_noise():
    rng = np.random.default_rng(0)
    u, y = rng.normal(size=200), np.zeros(200)
    for t in range(2, 200):
        y[t] = 1.2 * y[t - 1] - 0.5 * y[t - 2] + u[t - 1] + 0.3 * u[t - 2]
    x, target = windows(u, y, lags=30)
    assert least_squares(x[:150], target[:150], x[150:], target[150:]) < 1e-9


@pytest.mark.parametrize("kernel", ["rbf", "matern"])
def test_the_exact_process_is_that_of_a_textbook(kernel):
    # mean = K_qS K_SS⁻¹ y, variance = K_qq - K_qS K_SS⁻¹ K_Sq, with the noise in K.
    rng = np.random.default_rng(0)
    x, length, height = rng.uniform(-2, 2, [SUPPORT + 2, 1]), 0.4, 0.7
    y = 0.3 * rng.normal(size=x.shape)
    r = np.abs(x - x.T) / length
    k = np.exp(-(r**2) / 2)
    if kernel == "matern":
        k = (1 + np.sqrt(5) * r + 5 * r**2 / 3) * np.exp(-np.sqrt(5) * r)
    k = height**2 * k + NOISE**2 * np.eye(len(x))
    gain = k[SUPPORT:, :SUPPORT] @ np.linalg.inv(k[:SUPPORT, :SUPPORT])
    variance = np.diag(k[SUPPORT:, SUPPORT:] - gain @ k[:SUPPORT, SUPPORT:])
    z2 = (y[SUPPORT:] - gain @ y[:SUPPORT])[:, 0] ** 2 / variance
    expected = np.mean(-z2 / 2 - np.log(2 * np.pi * variance) / 2)
    found = exact(kernel, x, y, [length], [height])
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    # Two processes of which one is impossible: the same.
    both = exact(kernel, x, y, [length, length], [height, 1e-3])
    np.testing.assert_allclose(both, expected, rtol=1e-6)
