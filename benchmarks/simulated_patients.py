"""Simulated and real patients as tasks, in NumPy alone: five samples, and twelve queries.

What is simulated is drawn from a population fitted to known patients, or from `BROAD`: wide
ranges around what is published of other people.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from benchmarks.compartments import (
    Infusion,
    Patient,
    Population,
    log_concentration,
    sensitivities,
)

SHOTS, QUERIES = 5, 12

# A population of adults from publications about other people. Ten volunteers had a clearance of
# 2.9 l/min, volumes of 22 l in all and a last half-life of 35 min (Egan et al. 1996); others had
# a first half-life of 0.9 min (Glass et al. 1993). Volumes are proportional to lean mass, and
# flows to its power 0.75. Two standard deviations are a factor of 2.7 or 4.
BROAD = Population(
    np.stack(
        [np.log([6.0, 2.9, 2.0, 10.0, 0.14, 6.0]), [1.0, 0.75, 0.75, 1.0, 0.75, 1.0], np.zeros(6)]
    ),
    np.diag(np.square([0.5, 0.5, 0.7, 0.5, 0.7, 0.7])),
    0.15,
)

_SAMPLES = 30  # of a simulated patient
_LEAST = np.log(0.1)  # of a log concentration that a laboratory can measure, ng/ml
_DOSES = np.array([1.0, 3.0, 10.0, 30.0, 100.0])  # minutes of the moving means of the rate


class SimulatedPatients:
    """Draws samples of simulated patients, who resemble real ones in all but concentrations.

    They are simulated once, since a patient takes a millisecond and a training draws each of
    them many times, with other samples.

    Args:
      population: of the compartment model.
      known: real patients; each simulated one resembles one of them in covariates, infusion
        and sample times, but not in concentrations.
      number: the simulated patients.
    """

    INPUTS = 22

    def __init__(self, population: Population, known: list[Patient], number: int = 4000):
        self.population, self.known = population, known
        self.patients = [self.simulated(np.random.default_rng([0, i])) for i in range(number)]

    def __call__(self, seed: np.ndarray) -> tuple[np.ndarray, ...]:
        rng = np.random.default_rng(seed)
        x, y = self.patients[rng.integers(len(self.patients))]
        order = rng.permutation(len(x))
        support, query = order[:SHOTS], order[SHOTS : SHOTS + QUERIES]
        return x[support], y[support], x[query], y[query]

    def simulated(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Inputs [n, 22] and differences from the typical patient [n, 1] of a new patient."""
        like = self.known[rng.integers(len(self.known))]
        covariates = _similar(rng, like.covariates)
        own = np.linalg.cholesky(self.population.covariance) @ rng.normal(size=6)
        theta = self.population.typical(covariates) + own
        infusion = Infusion(
            like.infusion.rate * np.exp(rng.uniform(-0.5, 0.5)),
            like.infusion.minutes * np.exp(rng.uniform(-0.1, 0.1)),
        )
        t = _similar_times(rng, like, infusion, 2 * _SAMPLES)
        y = log_concentration(theta, t, infusion)
        y = y + self.population.noise * rng.normal(size=len(t))
        measured = np.argsort(y < _LEAST, kind="stable")[:_SAMPLES]  # those that can be, first
        patient = Patient(covariates, infusion, t[measured], y[measured])
        return differences(self.population, patient)


def invented(number: int) -> list[Patient]:
    """Adults without concentrations, with an infusion each that a study might choose."""
    rng, found = np.random.default_rng(1), []
    for _ in range(number):
        male = rng.uniform() < 0.5
        height = rng.normal(178, 8) if male else rng.normal(165, 7)
        weight = np.clip(rng.normal(25, 3.5), 18, 36) * (height / 100) ** 2
        about = _derived(rng.uniform(18, 90), height, weight, male)
        infusion = Infusion(np.exp(rng.uniform(*np.log([0.8, 9.0]))) * weight, rng.uniform(3, 22))
        during = infusion.minutes * rng.uniform(0.1, 1, _SAMPLES // 3)
        after = np.exp(rng.uniform(*np.log([0.03, 150.0]), 2 * _SAMPLES - len(during)))
        t = np.concatenate([during, infusion.minutes + after])
        found.append(Patient(about, infusion, t, np.zeros_like(t)))
    return found


@dataclasses.dataclass(frozen=True)
class RealPatients:
    """Draws samples of real patients.

    A patient's dose is scaled at random, and the concentrations with it, as the model is linear.
    The whole patient and each sample get a little more noise, as there are few patients.
    """

    population: Population
    known: list[Patient]

    def __call__(self, seed: np.ndarray) -> tuple[np.ndarray, ...]:
        rng = np.random.default_rng(seed)
        one = self.known[rng.integers(len(self.known))]
        factor = rng.uniform(-0.5, 0.5)
        infusion = one.infusion._replace(rate=one.infusion.rate * np.exp(factor))
        size = SHOTS + QUERIES
        order = np.resize(rng.permutation(len(one.t)), size)
        y = one.y[order] + factor + rng.normal(0, 0.15) + rng.normal(0, 0.02, size)
        patient = Patient(one.covariates, infusion, one.t[order], y)
        x, left = differences(self.population, patient)
        return x[:SHOTS], left[:SHOTS], x[SHOTS:], left[SHOTS:]


def inputs(population: Population, patient: Patient) -> tuple[np.ndarray, np.ndarray]:
    """What a learner sees of each sample, [n, 22], and the typical log concentration, [n].

    The inputs are moving means of the rate, the covariates, the times, the typical patient's
    concentration, and how it depends on the six parameters. Nothing is scaled by any patient.
    """
    t, infusion = patient.t, patient.infusion
    theta = population.typical(patient.covariates)
    typical = log_concentration(theta, t, infusion)
    on, after = np.minimum(t, infusion.minutes), np.maximum(t - infusion.minutes, 0.0)
    means = -np.expm1(-on[:, None] / _DOSES) * np.exp(-after[:, None] / _DOSES)
    doses = (np.log1p(infusion.rate * means) - 3.0) / 2.0
    about = (patient.covariates - [45, 170, 75, 1.88, 56, 0.5]) / [20, 10, 15, 0.22, 10, 0.5]
    rest = [
        np.log(t + 0.2) - 2.0,
        np.full_like(t, (infusion.minutes - 10.0) / 5.0),
        np.log(after + 0.1),
        (after > 0) - 0.5,
        (typical - 2.0) / 2.0,
    ]
    columns = [doses, np.tile(about, [len(t), 1]), np.stack(rest, -1)]
    columns.append(sensitivities(theta, t, infusion))
    return np.concatenate(columns, -1), typical


def differences(population: Population, patient: Patient) -> tuple[np.ndarray, np.ndarray]:
    """The inputs of a patient's samples, and how they differ from a typical patient's."""
    x, typical = inputs(population, patient)
    return x, (patient.y - typical)[:, None]


def _similar(rng: np.random.Generator, covariates: np.ndarray) -> np.ndarray:
    """The covariates of somebody similar."""
    age, height, weight, _, _, male = covariates
    age = np.clip(age + rng.normal(0, 4), 18, 95)
    height, weight = height * np.exp(rng.normal(0, 0.02)), weight * np.exp(rng.normal(0, 0.07))
    return _derived(age, height, weight, male)


def _derived(age: float, height: float, weight: float, male: float) -> np.ndarray:
    """All covariates, with DuBois's body surface and James's lean mass."""
    surface = 0.007184 * weight**0.425 * height**0.725
    slim = 1.1 * weight - 128 * (weight / height) ** 2
    lean = slim if male else 1.07 * weight - 148 * (weight / height) ** 2
    return np.array([age, height, weight, surface, lean, male])


def _similar_times(
    rng: np.random.Generator, like: Patient, infusion: Infusion, number: int
) -> np.ndarray:
    """Times like a patient's: stretched with the infusion, and jittered after its end."""
    t = like.t[np.resize(rng.permutation(len(like.t)), number)]
    during = t * infusion.minutes / like.infusion.minutes
    after = (t - like.infusion.minutes) * np.exp(rng.normal(0, 0.1, number))
    return np.where(t > like.infusion.minutes, infusion.minutes + after, during)
