"""Three-compartment models of a drug, for single patients and for a population.

A drug enters a central volume V1 and exchanges with two others. θ are the logarithms of

    V1, V2, V3 (l)   volumes,     CL (l/min)   elimination,     Q2, Q3 (l/min)   exchange.

A population has θ ~ N(B' z, Ω) for a patient's covariates z, and measurements have a noise σ in the
logarithm. `fit_population` estimates B, Ω and σ; `forecast` is the clinical standard for a new
patient: the most probable θ given the first samples (maximum a posteriori, MAP).

Only NumPy is imported here, so processes that simulate start fast.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

PARAMETERS = ("V1", "CL", "Q2", "V2", "Q3", "V3")
TYPICAL = np.log([5.0, 2.6, 2.0, 10.0, 0.1, 5.0])  # an adult's order of magnitude: where EM begins
_STEP = 1e-4  # of finite differences


class Infusion(NamedTuple):
    """A constant rate (µg/min) for some minutes from time 0. Numbers, or arrays [n]."""

    rate: Any
    minutes: Any


class Patient(NamedTuple):
    """One patient: covariates [6], the infusion, and samples at `t` [n] (minutes)."""

    covariates: np.ndarray  # age, height, weight, body surface, lean mass, male
    infusion: Infusion
    t: np.ndarray
    y: np.ndarray  # log of ng/ml


class Population(NamedTuple):
    """θ ~ N(zᵀ slopes, covariance), and the noise of log concentrations."""

    slopes: np.ndarray
    covariance: np.ndarray
    noise: float

    def typical(self, covariates: np.ndarray) -> np.ndarray:
        """The mean of θ for patients with covariates [..., 6]: [..., 6]."""
        return _explaining(covariates) @ self.slopes


def log_concentration(theta: np.ndarray, t: np.ndarray, infusion: Infusion) -> np.ndarray:
    """Log concentrations at times t [n] for each θ [..., 6]: [..., n].

    The amounts a obey da/dt = K a + rate e₁. With the volumes' square roots as a scale, K is
    symmetric, U diag(-μ) Uᵀ, and a bolus of 1 leaves Σ U₁ᵢ² exp(-μᵢ t) in the central volume.
    """
    v1, clearance, q2, v2, q3, v3 = np.moveaxis(np.exp(theta), -1, 0)
    matrix = np.zeros([*np.shape(v1), 3, 3])
    matrix[..., 0, 0] = -(clearance + q2 + q3) / v1
    matrix[..., 1, 1], matrix[..., 2, 2] = -q2 / v2, -q3 / v3
    matrix[..., 1, 0] = matrix[..., 0, 1] = q2 / np.sqrt(v1 * v2)
    matrix[..., 2, 0] = matrix[..., 0, 2] = q3 / np.sqrt(v1 * v3)
    values, vectors = np.linalg.eigh(matrix)
    rates, shares = -values[..., None, :], np.square(vectors[..., None, 0, :])

    def after(minutes: np.ndarray) -> np.ndarray:
        """The central amount after an endless infusion of rate 1, [..., n]."""
        passed = np.maximum(minutes, 0.0)[:, None]
        return np.sum(shares / rates * -np.expm1(-rates * passed), -1)

    amount = infusion.rate * (after(t) - after(t - infusion.minutes))
    return np.log(np.maximum(amount / v1[..., None], 1e-6))


def sensitivities(theta: np.ndarray, t: np.ndarray, infusion: Infusion) -> np.ndarray:
    """d log concentration / dθ for one θ [6], by central differences: [n, 6]."""
    moved = _STEP * np.eye(len(theta))
    found = log_concentration(np.concatenate([theta + moved, theta - moved]), t, infusion)
    return (found[: len(theta)] - found[len(theta) :]).T / (2 * _STEP)


def most_probable(patient: Patient, population: Population) -> tuple[np.ndarray, np.ndarray]:
    """The mode of θ given a patient's samples, and Laplace's covariance, by Levenberg-Marquardt.

    It minimises the sum of squares of the residuals / σ and of Ω^(-1/2) (θ - typical θ).
    """
    mean = population.typical(patient.covariates)
    whiten = np.linalg.inv(np.linalg.cholesky(population.covariance))

    def residuals(theta: np.ndarray) -> np.ndarray:
        fit = log_concentration(theta, patient.t, patient.infusion)
        return np.concatenate([(fit - patient.y) / population.noise, whiten @ (theta - mean)])

    def slopes(theta: np.ndarray) -> np.ndarray:
        fit = sensitivities(theta, patient.t, patient.infusion)
        return np.concatenate([fit / population.noise, whiten])

    theta, damping = mean, 1e-3
    left = residuals(theta)
    for _ in range(50):
        jacobian = slopes(theta)
        gradient, curvature = jacobian.T @ left, jacobian.T @ jacobian
        gain = 0.0
        while damping < 1e6:
            damped = curvature + damping * np.diag(np.diag(curvature))
            trial = theta - np.clip(np.linalg.solve(damped, gradient), -1.0, 1.0)
            new = residuals(trial)
            gain = left @ left - new @ new
            if gain >= 0:
                theta, left, damping = trial, new, max(damping / 10, 1e-6)
                break
            damping *= 10
        if gain < 1e-8:
            break
    jacobian = slopes(theta)
    return theta, np.linalg.inv(jacobian.T @ jacobian)


def forecast(patient: Patient, population: Population, t: np.ndarray) -> tuple[np.ndarray, ...]:
    """Mean and scale of log measurements at other times, by MAP and the delta method."""
    theta, covariance = most_probable(patient, population)
    slopes = sensitivities(theta, t, patient.infusion)
    variance = np.einsum("ni,ij,nj->n", slopes, covariance, slopes) + population.noise**2
    return log_concentration(theta, t, patient.infusion), np.sqrt(variance)


def fit_population(patients: list[Patient], rounds: int = 40) -> Population:
    """B, Ω and σ by expectation maximisation, with Laplace's approximation of each patient.

    Args:
      patients: all with their samples.
      rounds: of EM; few change anything after 30.
    """
    z = _explaining(np.stack([p.covariates for p in patients]))
    slopes = np.zeros([z.shape[1], len(TYPICAL)])
    slopes[0] = TYPICAL
    population = Population(slopes, 0.25 * np.eye(len(TYPICAL)), 0.25)
    samples = sum(len(p.t) for p in patients)
    weak = np.diag([0.0] + [1.0] * (z.shape[1] - 1))  # a weak prior that covariates do nothing
    for _ in range(rounds):
        squares, modes, spreads = 0.0, [], []
        for patient in patients:
            mode, spread = most_probable(patient, population)
            at = sensitivities(mode, patient.t, patient.infusion)
            left = patient.y - log_concentration(mode, patient.t, patient.infusion)
            squares += left @ left + np.einsum("ni,ij,nj->", at, spread, at)
            modes.append(mode)
            spreads.append(spread)
        theta = np.stack(modes)
        slopes = np.linalg.solve(z.T @ z + weak, z.T @ theta)
        off = theta - z @ slopes
        covariance = (off.T @ off + np.sum(spreads, 0)) / len(patients)
        noise = float(np.sqrt(squares / samples))
        population = Population(slopes, covariance + 1e-4 * np.eye(len(TYPICAL)), noise)
    return population


def _explaining(covariates: np.ndarray) -> np.ndarray:
    """1, log lean mass and age, centred on an adult: [..., 3]."""
    age, lean = covariates[..., 0], covariates[..., 4]
    return np.stack([np.ones_like(age), np.log(lean / 55.0), (age - 40.0) / 20.0], -1)
